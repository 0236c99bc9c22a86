//! What keeps anything from being sent for an object, and which of several reasons is shown. Pure.

use std::time::Duration;

use crate::api::{Reason, RemovalStatus, Rfc3339, TenantKind, TenantRef};
use crate::dispatch::{View, Wait};

use super::answers::lacks_scope;
use super::demand::awaits_request;
use super::history::Known;
use super::inputs::{Inputs, Tenant};
use super::kinds::validate;
use super::outcome::Outcome;
use super::refusals::{Refused, is_refusal};
use super::schedule::{MAX_PAUSE, pause_left, resync_after, until};

/// How often an object whose token lacks a scope looks whether there is a fresh one that has it.
const FRESH_TOKEN: Duration = Duration::from_secs(600);
/// After a refusal in force ends, the objects that wait for it come back within this time, not all at once.
const SPREAD: Duration = Duration::from_secs(30);

/// Why nothing is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocked {
    /// What the status says.
    pub outcome: Outcome,
    /// After how long to decide again; none if only a change of the object can end it, which wakes it.
    pub recheck_after: Option<Duration>,
}

type Rule = fn(&Inputs<'_>, &Known) -> Option<(Reason, String)>;

/// The first rule that applies wins. Fields that this version does not know need no rule of their own: `unknown_field`
/// blocks every spec that uses one.
const RULES: [Rule; 14] = [
    still_expired,
    unknown_field,
    not_replayed,
    expired,
    suspended,
    on_hold,
    tenant_missing,
    not_allowed,
    tenant_suspended,
    tenant_on_hold,
    tenant_not_ready,
    malformed,
    protected,
    scheduled,
];

/// What keeps anything from being sent for this object, if anything does.
pub(super) fn blocked(inputs: &Inputs<'_>, known: &Known) -> Option<Blocked> {
    let Some((reason, message)) = RULES.iter().find_map(|rule| rule(inputs, known)) else {
        let refused = refused(inputs, known);
        let is_other = refused.as_ref().is_some_and(|blocked| blocked.outcome.reason != Reason::InsufficientScope);
        let refused = if is_other { refused } else { without_scope(inputs, known).or(refused) };
        return refused.or_else(|| braked(inputs, known));
    };
    // A change of the tenant wakes its objects; the time is for a wake-up that got lost.
    let resync = (!matches!(inputs.tenant, Tenant::Ready { .. })).then(|| resync_after(inputs.jitter));
    let recheck_after = [resync, inputs.next_instant()].into_iter().flatten().min();
    let next_attempt = if reason == Reason::Scheduled { inputs.options.scheduled_for(inputs.now.wall) } else { None };
    let outcome = Outcome { next_attempt, ..Outcome::plain(reason, message, known.clone()) };
    Some(Blocked { outcome, recheck_after })
}

fn unknown_field(inputs: &Inputs<'_>, _: &Known) -> Option<(Reason, String)> {
    let unknown = &inputs.options.unknown;
    (!unknown.is_empty()).then(|| {
        let fields = unknown.join(", ");
        let message = format!(
            "This version of rescind does not act on {fields}, so nothing is sent. Use another version, install the \
             CRDs that belong to this one, or leave it out."
        );
        (Reason::UnknownField, message)
    })
}

/// A file that is older than its own end, such as one in a cluster that was built again from Git, never acts.
fn not_replayed(inputs: &Inputs<'_>, known: &Known) -> Option<(Reason, String)> {
    let created = inputs.created?;
    let is_old = inputs.options.ends_at().is_some_and(|end| created > end) && !known.has_accepted();
    is_old.then(|| {
        let end = not_after(inputs);
        let message = format!(
            "Created at {created}, after its spec.notAfter ({end}): it is too old to act on. Nothing was looked at, and \
             nothing is sent."
        );
        (Reason::NotReplayed, message)
    })
}

/// An object that has expired stays so, whatever else is said of it: with another reason in its place, its times could
/// be changed again, and it could act.
fn still_expired(inputs: &Inputs<'_>, known: &Known) -> Option<(Reason, String)> {
    let was_expired = inputs.status.and_then(RemovalStatus::reason_text) == Some(Reason::Expired.as_str());
    was_expired.then(|| has_expired(inputs, known))
}

/// What Auth0 has accepted is proved after the end, too; a call in flight is not taken back (promise 8).
fn expired(inputs: &Inputs<'_>, known: &Known) -> Option<(Reason, String)> {
    // A check that could not be made before the end only reads.
    let has_ended = inputs.options.has_ended(inputs.now.wall) && !is_in_flight(inputs) && !inputs.is_check();
    (has_ended && !known.is_complete()).then(|| has_expired(inputs, known))
}

fn has_expired(inputs: &Inputs<'_>, known: &Known) -> (Reason, String) {
    let (end, result) = (not_after(inputs), known.result());
    let has_drifted = inputs.status.is_some_and(|status| status.drift.is_some());
    let so_far = match result.accepted {
        0 if has_drifted => "before what had come back was removed again".to_owned(),
        0 => "before anything was removed".to_owned(),
        accepted => format!("when Auth0 had accepted the removal of {accepted} of {}", result.requested),
    };
    let message =
        format!("spec.notAfter ({end}) passed {so_far}. This object never acts again; create a new one to remove it.");
    (Reason::Expired, message)
}

/// Whether a call of the object is in flight. To take its job back would cost the answer (promise 8).
fn is_in_flight(inputs: &Inputs<'_>) -> bool {
    matches!(inputs.view, View::Pending { wait: Wait::Working, .. })
}

/// `spec.notAfter` as it was written.
fn not_after<'a>(inputs: &Inputs<'a>) -> &'a str {
    inputs.options.not_after.as_ref().map_or("", Rfc3339::as_str)
}

fn suspended(inputs: &Inputs<'_>, _: &Known) -> Option<(Reason, String)> {
    let message = "Suspended by spec.suspend: nothing is sent. Set it to false to resume.";
    inputs.options.suspend.then(|| (Reason::Suspended, message.to_owned()))
}

fn on_hold(inputs: &Inputs<'_>, _: &Known) -> Option<(Reason, String)> {
    let hold = inputs.options.hold.as_ref().filter(|hold| hold.in_force(inputs.now.wall).is_some())?;
    let message = format!("On hold until {} ({}): nothing is sent.", hold.until.as_str(), hold.reason);
    Some((Reason::OnHold, message))
}

fn tenant_missing(inputs: &Inputs<'_>, _: &Known) -> Option<(Reason, String)> {
    let place = match inputs.options.tenant_ref.kind {
        TenantKind::Auth0Tenant => " in this namespace",
        TenantKind::ClusterAuth0Tenant => "",
    };
    let name = tenant_name(inputs);
    let message = || format!("There is no {name}{place}. Create it, or name another one in spec.tenantRef.");
    matches!(inputs.tenant, Tenant::Missing).then(|| (Reason::TenantNotReady, message()))
}

/// Kind and name of the tenant object, for messages.
fn tenant_name(inputs: &Inputs<'_>) -> String {
    let TenantRef { kind, name } = &inputs.options.tenant_ref;
    format!("{kind} {name}")
}

fn not_allowed(inputs: &Inputs<'_>, _: &Known) -> Option<(Reason, String)> {
    match inputs.tenant {
        Tenant::NotAllowed(why) => Some((Reason::NamespaceNotAllowed, why.to_owned())),
        Tenant::Missing | Tenant::Suspended | Tenant::OnHold { .. } => None,
        Tenant::NotReady { .. } | Tenant::Ready { .. } => None,
    }
}

fn tenant_suspended(inputs: &Inputs<'_>, _: &Known) -> Option<(Reason, String)> {
    let name = tenant_name(inputs);
    let message = || format!("{name} is suspended: nothing is sent. Set its spec.suspend to false to resume.");
    matches!(inputs.tenant, Tenant::Suspended).then(|| (Reason::Suspended, message()))
}

fn tenant_on_hold(inputs: &Inputs<'_>, _: &Known) -> Option<(Reason, String)> {
    let Tenant::OnHold { until, why } = inputs.tenant else { return None };
    let name = tenant_name(inputs);
    Some((Reason::OnHold, format!("{name} is on hold until {until} ({why}): nothing is sent.")))
}

fn tenant_not_ready(inputs: &Inputs<'_>, _: &Known) -> Option<(Reason, String)> {
    match inputs.tenant {
        Tenant::NotReady { reason: Reason::Unauthorized, message } => Some(credential_rejected(inputs, message)),
        Tenant::NotReady { message, .. } => Some((Reason::TenantNotReady, not_ready(inputs, message))),
        Tenant::Missing | Tenant::NotAllowed(_) | Tenant::Suspended => None,
        Tenant::OnHold { .. } | Tenant::Ready { .. } => None,
    }
}

fn not_ready(inputs: &Inputs<'_>, message: &str) -> String {
    format!("{} is not ready: {message}", tenant_name(inputs))
}

/// The object whose call found out that Auth0 rejects the credential keeps saying so. All others only wait for their
/// tenant, so that one bad token does not stall thousands of objects.
fn credential_rejected(inputs: &Inputs<'_>, message: &str) -> (Reason, String) {
    match inputs.message_of(Reason::Unauthorized).map(str::to_owned) {
        Some(own) => (Reason::Unauthorized, own),
        None => (Reason::TenantNotReady, not_ready(inputs, message)),
    }
}

/// Objects that were stored under another schema may contain what this one rejects.
fn malformed(inputs: &Inputs<'_>, _: &Known) -> Option<(Reason, String)> {
    let what = validate(inputs.removal).err()?;
    Some((Reason::InvalidRequest, format!("Nothing was sent: {what}.")))
}

/// What Auth0 has accepted is proved all the same.
fn protected(inputs: &Inputs<'_>, known: &Known) -> Option<(Reason, String)> {
    let Tenant::Ready { protected, .. } = inputs.tenant else { return None };
    let what = protected.filter(|_| !known.is_complete() && !is_in_flight(inputs))?;
    let name = tenant_name(inputs);
    let message = format!(
        "{name} protects {what}, which this object names, so nothing of it is sent. Create an object that names only \
         what may be removed, or have spec.protected of the tenant changed."
    );
    Some((Reason::Protected, message))
}

/// What Auth0 has accepted is proved whatever the time.
fn scheduled(inputs: &Inputs<'_>, known: &Known) -> Option<(Reason, String)> {
    inputs.options.scheduled_for(inputs.now.wall).filter(|_| !known.is_complete() || inputs.is_check())?;
    let at = inputs.options.not_before.as_ref().map_or("", Rfc3339::as_str);
    Some((Reason::Scheduled, format!("Nothing is sent before {at} (spec.notBefore).")))
}

/// What Auth0 has accepted is proved all the same. The tenant wakes its objects when its brake is released.
fn braked(inputs: &Inputs<'_>, known: &Known) -> Option<Blocked> {
    let Tenant::Ready { brake, .. } = inputs.tenant else { return None };
    let is_idle = inputs.request.is_none() && inputs.reason_here().is_some_and(awaits_request);
    let is_free = known.is_complete() || is_in_flight(inputs) || inputs.observes(known) || is_idle;
    let why = brake.filter(|_| !is_free)?;
    let outcome = Outcome::plain(Reason::BrakeEngaged, why.to_owned(), known.clone());
    let recheck_after = [Some(resync_after(inputs.jitter)), inputs.next_instant()].into_iter().flatten().min();
    Some(Blocked { outcome, recheck_after })
}

/// The token says itself that it holds no scope of which any source says that it is enough. A request by annotation is
/// tried all the same.
fn without_scope(inputs: &Inputs<'_>, known: &Known) -> Option<Blocked> {
    let Tenant::Ready { scopes: Some(held), .. } = inputs.tenant else { return None };
    let observes = inputs.observes(known);
    // An object that only has to be proved needs no scope to remove.
    let only_proves = known.is_complete() && !observes;
    if only_proves || inputs.request.is_some() || matches!(inputs.view, View::Pending { .. }) {
        return None;
    }
    let row = inputs.removal.endpoint.row();
    let scope = if observes { row.lacking_to_read(held) } else { row.lacking(held) }?;
    let outcome = Outcome::plain(Reason::InsufficientScope, lacks_scope(scope), known.clone());
    Some(Blocked { outcome, recheck_after: Some(FRESH_TOKEN + SPREAD.mul_f64(inputs.jitter)) })
}

/// Auth0 refuses such calls, as far as is known. An object that was refused itself waits for its own next attempt, the
/// others until the refusal ends. Another credential and a request by annotation end both at once.
fn refused(inputs: &Inputs<'_>, known: &Known) -> Option<Blocked> {
    let Tenant::Ready { key, .. } = inputs.tenant else { return None };
    let is_probing = inputs.is_probe && matches!(inputs.view, View::Pending { .. });
    // The answer to a call that is in flight says more than what is known of others.
    if is_probing || is_in_flight(inputs) || inputs.request.is_some() {
        return None;
    }
    let own = inputs.reason().filter(|reason| is_refusal(*reason));
    let next = inputs.status.and_then(RemovalStatus::next_attempt);
    let own_pause =
        next.filter(|_| inputs.refused_with == Some(key)).and_then(|at| pause_left(at, inputs.now.wall, MAX_PAUSE));
    // An object that only has to be proved needs no scope to remove.
    let only_proves = known.is_complete() && !inputs.observes(known);
    let concerns = |refused: &Refused| refused.reason == Reason::Unauthorized || !only_proves;
    let others = inputs.refusal.filter(|refused| refused.until > inputs.now.steady && concerns(refused));
    let spread = SPREAD.mul_f64(inputs.jitter);
    let others_pause = others.map(|refused| refused.until.saturating_duration_since(inputs.now.steady) + spread);
    let recheck_after = match (own, own_pause) {
        (Some(_), Some(own_pause)) => own_pause,
        _ => others_pause?,
    };
    let (reason, message) = match (own, others) {
        (Some(own), _) => (own, inputs.message_of(own).map(str::to_owned).unwrap_or_default()),
        (None, Some(refused)) if refused.reason == Reason::Unauthorized => {
            credential_rejected(inputs, &refused.message)
        }
        (None, Some(refused)) => (refused.reason, refused.message.clone()),
        (None, None) => return None,
    };
    // The next attempt that the object shows stays as it was written.
    let next_attempt = own.and(next).filter(|at| until(*at, inputs.now.wall).is_some());
    let outcome = Outcome { next_attempt, ..Outcome::plain(reason, message, known.clone()) };
    Some(Blocked { outcome, recheck_after: Some(recheck_after) })
}
