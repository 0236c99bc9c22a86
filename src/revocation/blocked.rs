//! What keeps anything from being sent, in the order in which it is said. Pure.

use std::time::Duration;

use crate::api::{ConditionType, Reason};

use super::history::Known;
use super::inputs::{Inputs, Tenant};
use super::kinds::validate;
use super::outcome::Outcome;
use super::refusals::{Refused, is_refusal};
use super::schedule::{LONGEST_PAUSE, pause, until};

/// Looked at again after this long at the latest, and up to twice as long so that not all come at once.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// Why nothing is sent, and after how long to look again at the latest.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocked {
    /// What the status says.
    pub outcome: Outcome,
    /// None when a change of what blocks it wakes the object.
    pub again: Option<Duration>,
}

type Rule = fn(&Inputs<'_>) -> Option<(Reason, String)>;

/// The first that applies wins. What no version acts on yet has no rule: a spec that asks for it is held as a whole.
const ORDER: [Rule; 6] = [unknown_field, suspended, tenant_missing, tenant_suspended, tenant_not_ready, malformed];

/// What keeps anything from being sent for this object, if anything does.
pub(super) fn blocked(inputs: &Inputs<'_>, known: &Known) -> Option<Blocked> {
    let Some((reason, message)) = ORDER.iter().find_map(|rule| rule(inputs)) else { return refused(inputs, known) };
    // The tenant's own changes wake its objects; this is for the wake-up that got lost.
    let again = (!matches!(inputs.tenant, Tenant::Ready { .. })).then(|| LOOK_AGAIN.mul_f64(1.0 + inputs.jitter));
    Some(Blocked { outcome: Outcome::plain(reason, message, known.clone()), again })
}

fn unknown_field(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
    let unsupported = inputs.options.unsupported();
    (!unsupported.is_empty()).then(|| {
        let fields = unsupported.join(", ");
        let message = format!(
            "This version of rescind does not act on {fields}: nothing is sent; use another version, or the CRDs that belong \
             to this one, or leave it out"
        );
        (Reason::UnknownField, message)
    })
}

fn suspended(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
    let message = "spec.suspend is set: nothing is sent; set it to false to go on";
    inputs.options.suspend.then(|| (Reason::Suspended, message.to_owned()))
}

fn tenant_missing(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
    let name = &inputs.options.tenant_ref.name;
    let message =
        || format!("There is no Auth0Tenant {name} in this namespace; create it, or name another in spec.tenantRef");
    matches!(inputs.tenant, Tenant::Missing).then(|| (Reason::TenantNotReady, message()))
}

fn tenant_suspended(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
    let name = &inputs.options.tenant_ref.name;
    let message =
        || format!("Auth0Tenant {name} is suspended: nothing is sent; set its spec.suspend to false to go on");
    matches!(inputs.tenant, Tenant::Suspended).then(|| (Reason::Suspended, message()))
}

fn tenant_not_ready(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
    match inputs.tenant {
        Tenant::NotReady { reason: Reason::Unauthorized, message } => Some(credential_refused(inputs, message)),
        Tenant::NotReady { message, .. } => Some((Reason::TenantNotReady, not_ready(inputs, message))),
        Tenant::Missing | Tenant::Suspended | Tenant::Ready { .. } => None,
    }
}

fn not_ready(inputs: &Inputs<'_>, message: &str) -> String {
    format!("Auth0Tenant {} is not ready: {message}", inputs.options.tenant_ref.name)
}

/// The object that found out that Auth0 refuses the credential says so; the others wait for another credential.
fn credential_refused(inputs: &Inputs<'_>, message: &str) -> (Reason, String) {
    match own_words(inputs, Reason::Unauthorized) {
        Some(own) => (Reason::Unauthorized, own),
        None => (Reason::TenantNotReady, not_ready(inputs, message)),
    }
}

/// What the object says already, if it is this.
fn own_words(inputs: &Inputs<'_>, reason: Reason) -> Option<String> {
    let status = inputs.status.filter(|_| inputs.reason() == Some(reason))?;
    status.condition(ConditionType::Ready).map(|ready| ready.message.clone())
}

/// An object that was stored under another schema may hold what this one refuses.
fn malformed(inputs: &Inputs<'_>) -> Option<(Reason, String)> {
    let what = validate(inputs.removal).err()?;
    Some((Reason::InvalidRequest, format!("Nothing was sent: {what}")))
}

/// What Auth0 refused is not asked again by everybody: an object that was refused waits its time, the others wait for it.
/// Another credential ends that at once, and so does a request.
fn refused(inputs: &Inputs<'_>, known: &Known) -> Option<Blocked> {
    let Tenant::Ready { key, .. } = inputs.tenant else { return None };
    if inputs.asked.is_some() {
        return None;
    }
    let own = inputs.reason().filter(|reason| is_refusal(*reason));
    let next = inputs.status.and_then(|status| status.next_attempt_time.as_ref()).map(|at| at.0);
    let own_pause =
        next.filter(|_| inputs.refused_with == Some(key)).and_then(|at| pause(at, inputs.now.wall, LONGEST_PAUSE));
    // Whoever waits for its proof alone needs no scope to remove.
    let holds = |refused: &Refused| refused.reason == Reason::Unauthorized || !known.is_complete();
    let others = inputs.refusal.filter(|refused| refused.until > inputs.now.steady && holds(refused));
    let spread = Duration::from_secs(30).mul_f64(inputs.jitter);
    let others_pause = others.map(|refused| refused.until.saturating_duration_since(inputs.now.steady) + spread);
    let again = match (own, own_pause) {
        (Some(_), Some(own_pause)) => own_pause,
        _ => others_pause?,
    };
    let (reason, message) = match (own, others) {
        (Some(own), _) => (own, own_words(inputs, own).unwrap_or_default()),
        (None, Some(refused)) if refused.reason == Reason::Unauthorized => credential_refused(inputs, &refused.message),
        (None, Some(refused)) => (refused.reason, refused.message.clone()),
        (None, None) => return None,
    };
    // What it says of its own next attempt stays as it was written.
    let next_attempt = own.and(next).filter(|at| until(*at, inputs.now.wall).is_some());
    let outcome = Outcome { next_attempt, ..Outcome::plain(reason, message, known.clone()) };
    Some(Blocked { outcome, again: Some(again) })
}
