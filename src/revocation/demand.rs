//! What an object wants to have removed, as the brake of its tenant counts it. Pure.

use jiff::Timestamp;

use crate::api::{Mode, Reason};

use super::finished::{Modes, is_finished, target};
use super::kinds::Revocation;
use super::settled::pending_request;

/// When an object wants its items removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Not as it is: it is finished, held, only observed, or nothing is sent until somebody acts.
    Nothing,
    /// Now, or as soon as its turn comes.
    Now,
    /// From this time on.
    From(Timestamp),
}

/// What `object` wants, whose tenant has this mode.
pub fn want<K: Revocation>(object: &K, tenant: Mode, now: Timestamp) -> Want {
    let (meta, options) = (object.meta(), object.options());
    let is_held = options.suspend || options.hold.as_ref().is_some_and(|hold| hold.in_force(now).is_some());
    let is_observed = options.mode == Mode::Observe || tenant == Mode::Observe;
    let has_ended = options.has_ended(now)
        || meta.creation_timestamp.as_ref().zip(options.ends_at()).is_some_and(|(created, end)| created.0 > end);
    if meta.deletion_timestamp.is_some() || !options.unknown.is_empty() || is_held || is_observed || has_ended {
        return Want::Nothing;
    }
    let generation = meta.generation.unwrap_or_default();
    if let Some(status) = object.status() {
        let modes = Modes { own: options.mode, tenant: Some(tenant) };
        let about = (generation, options.policy);
        let is_done = is_finished(status, about, modes, || target(&options.tenant_ref, &object.removal()));
        let awaits_request = status.reason_at(generation).is_some_and(awaits_request);
        let is_requested = || pending_request(object, Some(status)).is_some();
        let only_proves = || status.removed_at().is_some() && !status.is_ready() && is_accepted(status);
        if is_done || (awaits_request && !is_requested()) || only_proves() {
            return Want::Nothing;
        }
    }
    options.scheduled_for(now).map_or(Want::Now, Want::From)
}

/// Whether Auth0 has accepted, or never had, everything that the object names. A DELETE that is sent once more is for an
/// item that was counted when it was first sent.
fn is_accepted(status: &crate::api::RemovalStatus) -> bool {
    status.result.as_ref().is_some_and(|result| {
        result.accepted + result.already_absent + result.remaining >= result.requested && result.requested > 0
    })
}

/// Whether an object with this reason sends nothing until somebody requests it.
pub(super) const fn awaits_request(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::SubjectNotFound
            | Reason::ItemNotFound
            | Reason::InvalidRequest
            | Reason::StillPresent
            | Reason::Expired
            | Reason::NotReplayed
    )
}
