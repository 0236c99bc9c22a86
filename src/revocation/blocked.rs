//! What keeps anything from being sent for an object, and which of several reasons is shown. Pure.

use std::time::Duration;

use crate::api::{Reason, RemovalStatus, TenantKind, TenantRef};
use crate::dispatch::{View, Wait};

use super::answers::lacks_scope;
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

type Rule = fn(&Inputs<'_>) -> Option<(Reason, String)>;

/// The first rule that applies wins. Fields that this version does not act on need no rule of their own:
/// `unknown_field` blocks every spec that uses one.
const RULES: [Rule; 7] =
    [unknown_field, suspended, tenant_missing, not_allowed, tenant_suspended, tenant_not_ready, malformed];

/// What keeps anything from being sent for this object, if anything does.
pub(super) fn blocked(inputs: &Inputs<'_>, known: &Known) -> Option<Blocked> {
    let Some((reason, message)) = RULES.iter().find_map(|rule| rule(inputs)) else {
        let refused = refused(inputs, known);
        let is_other = refused.as_ref().is_some_and(|blocked| blocked.outcome.reason != Reason::InsufficientScope);
        return if is_other { refused } else { without_scope(inputs, known).or(refused) };
    };
    // A change of the tenant wakes its objects; the time is for a wake-up that got lost.
    let recheck_after = (!matches!(inputs.tenant, Tenant::Ready { .. })).then(|| resync_after(inputs.jitter));
    Some(Blocked { outcome: Outcome::plain(reason, message, known.clone()), recheck_after })
}

fn unknown_field(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
    let unsupported = inputs.options.unsupported();
    (!unsupported.is_empty()).then(|| {
        let fields = unsupported.join(", ");
        let message = format!(
            "This version of rescind does not act on {fields}, so nothing is sent. Use another version, install the \
             CRDs that belong to this one, or leave it out."
        );
        (Reason::UnknownField, message)
    })
}

fn suspended(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
    let message = "Suspended by spec.suspend: nothing is sent. Set it to false to resume.";
    inputs.options.suspend.then(|| (Reason::Suspended, message.to_owned()))
}

fn tenant_missing(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
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

fn not_allowed(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
    match inputs.tenant {
        Tenant::NotAllowed(why) => Some((Reason::NamespaceNotAllowed, why.to_owned())),
        Tenant::Missing | Tenant::Suspended | Tenant::NotReady { .. } | Tenant::Ready { .. } => None,
    }
}

fn tenant_suspended(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
    let name = tenant_name(inputs);
    let message = || format!("{name} is suspended: nothing is sent. Set its spec.suspend to false to resume.");
    matches!(inputs.tenant, Tenant::Suspended).then(|| (Reason::Suspended, message()))
}

fn tenant_not_ready(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
    match inputs.tenant {
        Tenant::NotReady { reason: Reason::Unauthorized, message } => Some(credential_rejected(inputs, message)),
        Tenant::NotReady { message, .. } => Some((Reason::TenantNotReady, not_ready(inputs, message))),
        Tenant::Missing | Tenant::NotAllowed(_) | Tenant::Suspended | Tenant::Ready { .. } => None,
    }
}

fn not_ready(inputs: &Inputs<'_>, message: &str) -> String {
    format!("{} is not ready: {message}", tenant_name(inputs))
}

/// The object whose call found out that Auth0 rejects the credential keeps saying so. All others only wait for their
/// tenant, so that one bad token does not stall thousands of objects.
fn credential_rejected(inputs: &Inputs<'_>, message: &str) -> (Reason, String) {
    match current_message(inputs, Reason::Unauthorized) {
        Some(own) => (Reason::Unauthorized, own),
        None => (Reason::TenantNotReady, not_ready(inputs, message)),
    }
}

/// The message of the status, if its reason is this one.
fn current_message(inputs: &Inputs<'_>, reason: Reason) -> Option<String> {
    let status = inputs.status.filter(|_| inputs.reason() == Some(reason))?;
    Some(status.message().to_owned())
}

/// Objects that were stored under another schema may contain what this one rejects.
fn malformed(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
    let what = validate(inputs.removal).err()?;
    Some((Reason::InvalidRequest, format!("Nothing was sent: {what}.")))
}

/// The token says itself that it holds no scope of which any source says that it is enough. A request by annotation is
/// tried all the same.
fn without_scope(inputs: &Inputs<'_>, known: &Known) -> Option<Blocked> {
    let Tenant::Ready { scopes: Some(held), .. } = inputs.tenant else { return None };
    // An object that only has to be proved needs no scope to remove.
    if known.is_complete() || inputs.request.is_some() || matches!(inputs.view, View::Pending { .. }) {
        return None;
    }
    let scope = inputs.removal.endpoint.row().lacking(held)?;
    let outcome = Outcome::plain(Reason::InsufficientScope, lacks_scope(scope), known.clone());
    Some(Blocked { outcome, recheck_after: Some(FRESH_TOKEN + SPREAD.mul_f64(inputs.jitter)) })
}

/// Auth0 refuses such calls, as far as is known. An object that was refused itself waits for its own next attempt, the
/// others until the refusal ends. Another credential and a request by annotation end both at once.
fn refused(inputs: &Inputs<'_>, known: &Known) -> Option<Blocked> {
    let Tenant::Ready { key, .. } = inputs.tenant else { return None };
    let is_probing = inputs.is_probe && matches!(inputs.view, View::Pending { .. });
    // To take back a job whose call is in flight would cost its answer (promise 8), and that says more than what is
    // known of others.
    let is_in_flight = matches!(inputs.view, View::Pending { wait: Wait::Working, .. });
    if is_probing || is_in_flight || inputs.request.is_some() {
        return None;
    }
    let own = inputs.reason().filter(|reason| is_refusal(*reason));
    let next = inputs.status.and_then(RemovalStatus::next_attempt);
    let own_pause =
        next.filter(|_| inputs.refused_with == Some(key)).and_then(|at| pause_left(at, inputs.now.wall, MAX_PAUSE));
    // An object that only has to be proved needs no scope to remove.
    let concerns = |refused: &Refused| refused.reason == Reason::Unauthorized || !known.is_complete();
    let others = inputs.refusal.filter(|refused| refused.until > inputs.now.steady && concerns(refused));
    let spread = SPREAD.mul_f64(inputs.jitter);
    let others_pause = others.map(|refused| refused.until.saturating_duration_since(inputs.now.steady) + spread);
    let recheck_after = match (own, own_pause) {
        (Some(_), Some(own_pause)) => own_pause,
        _ => others_pause?,
    };
    let (reason, message) = match (own, others) {
        (Some(own), _) => (own, current_message(inputs, own).unwrap_or_default()),
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
