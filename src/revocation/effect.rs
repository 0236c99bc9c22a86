//! Whether a removal has an effect: the condition `Effective`. It is decided once, with the verdict, from what is known
//! then. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ConditionStatus, ConditionType, EffectiveReason, Reason, Verdict, escaped, time};
use crate::auth0::{ApiSettings, CallError, Fact, ItemKind, Question};
use crate::dispatch::{End, Report, Task};

use super::history::{Known, rounded_up};
use super::inputs::Inputs;
use super::needs::{MAX_APIS, apis, effect_questions, known_fact, login_membership};

/// The length, in characters, at which a name or id from Auth0 is cut, and how many of a kind a message names.
const MAX_NAME: usize = 60;
const NAMED: usize = 5;

/// The condition `Effective`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The worst of the reasons.
    pub reason: EffectiveReason,
    /// All of them, for users.
    pub message: String,
    /// `status.effectiveBy`: until when tokens may be valid that were issued before the removal.
    pub by: Option<Timestamp>,
}

impl Effective {
    /// The condition without its times.
    pub(super) fn verdict(&self) -> Verdict {
        let (kind, status) = (ConditionType::Effective, status(self.reason));
        Verdict { kind, status, reason: self.reason.as_str(), message: self.message.clone() }
    }
}

/// Whether a removal with this reason is in effect.
const fn status(reason: EffectiveReason) -> ConditionStatus {
    match reason {
        EffectiveReason::GrantedByRole | EffectiveReason::RbacDisabled | EffectiveReason::MembershipOnLogin => {
            ConditionStatus::False
        }
        EffectiveReason::EffectUnknown | EffectiveReason::TokensStillValid => ConditionStatus::Unknown,
        EffectiveReason::InEffect => ConditionStatus::True,
    }
}

/// Whether the verdict for this reason says whether the removal has an effect.
pub(super) const fn has_effect(reason: Reason) -> bool {
    matches!(reason, Reason::Removed | Reason::RemovedUnverified | Reason::AlreadyAbsent)
}

/// The condition for a verdict that follows from this report; `known` includes the report. None: nothing is said, or
/// what was said stands.
pub(super) fn effect(inputs: &Inputs<'_>, report: &Report, verdict: Reason, known: &Known) -> Option<Effective> {
    if !has_effect(verdict) || inputs.is_observed() {
        return None;
    }
    let mut causes = match inputs.removal.endpoint.items() {
        ItemKind::Permission => of_permissions(inputs, report, known.accepted_at),
        ItemKind::Member => of_memberships(inputs),
        // Which APIs a role gives access to is not looked at.
        ItemKind::Role | ItemKind::Organization => return None,
    };
    // A look at what is finished asks nothing, so it may know less than what was known with the verdict.
    let asked = |question: &Question| known_fact(inputs, question).is_some();
    let is_repeated = inputs.is_finished() || report.task == Task::Observe;
    if is_repeated && !effect_questions(inputs).iter().all(asked) {
        return None;
    }
    causes.sort_by_key(|cause| cause.reason);
    let nothing = || "Nothing is known that keeps the removal from being in effect.".to_owned();
    let texts: Vec<String> = causes.iter().map(|cause| cause.text.clone()).collect();
    let text = if texts.is_empty() { nothing() } else { texts.join(" ") };
    let worst = causes.first();
    Some(Effective {
        reason: worst.map_or(EffectiveReason::InEffect, |cause| cause.reason),
        message: format!("As of the verdict: {text}"),
        by: worst.and_then(|cause| cause.by),
    })
}

/// Why a removal has no effect, or not yet, or perhaps.
struct Cause {
    reason: EffectiveReason,
    text: String,
    by: Option<Timestamp>,
}

impl Cause {
    fn new(reason: EffectiveReason, text: String) -> Self {
        Self { reason, text, by: None }
    }
}

fn of_permissions(inputs: &Inputs<'_>, report: &Report, accepted_at: Option<Timestamp>) -> Vec<Cause> {
    let apis = apis(inputs.removal);
    let mut causes: Vec<Cause> = through_roles(report).into_iter().collect();
    let mut lifetime = Some(0);
    let mut ungoverned = Vec::new();
    for api in apis.iter().take(MAX_APIS) {
        let fact = Question::api_settings(api).and_then(|question| known_fact(inputs, &question));
        let settings = match fact {
            Some(Fact::ApiSettings(settings)) => settings,
            other => {
                let what = format!("The settings of the API {} are not known", shown(api));
                causes.push(unknown(&what, other.as_ref()));
                lifetime = None;
                continue;
            }
        };
        match settings {
            ApiSettings { enforces_policies: Some(false), .. } => ungoverned.push(shown(api)),
            ApiSettings { enforces_policies: Some(true), token_lifetime: Some(of_api) } => {
                lifetime = lifetime.map(|lifetime: u32| lifetime.max(of_api));
            }
            ApiSettings { enforces_policies: on, .. } => {
                let which = if on.is_none() { "whether RBAC is on" } else { "how long its access tokens are valid" };
                let text = format!("Auth0 does not say {which} for the API {}.", shown(api));
                causes.push(Cause::new(EffectiveReason::EffectUnknown, text));
                lifetime = None;
            }
        }
    }
    if !ungoverned.is_empty() {
        let text = format!(
            "RBAC is off for {}, so permissions limit nothing there. Switch on RBAC for the API in Auth0.",
            named(&ungoverned)
        );
        causes.push(Cause::new(EffectiveReason::RbacDisabled, text));
    }
    if apis.len() > MAX_APIS {
        let text = format!("The settings of {} more APIs were not looked at.", apis.len() - MAX_APIS);
        causes.push(Cause::new(EffectiveReason::EffectUnknown, text));
        lifetime = None;
    }
    causes.extend(issued_tokens(lifetime, accepted_at, inputs.now.wall));
    causes
}

/// The same permissions come through roles, as far as a complete read of the user's permissions shows.
fn through_roles(report: &Report) -> Option<Cause> {
    if report.end != End::Gone {
        let text = "Whether a role gives the same permissions was not read.".to_owned();
        return Some(Cause::new(EffectiveReason::EffectUnknown, text));
    }
    let roles: Vec<String> = report.through_roles.iter().map(|id| shown(id)).collect();
    let text = || {
        let roles = named(&roles);
        format!("The user still has what was removed through {roles}. Remove the role from the user, too.")
    };
    (!roles.is_empty()).then(|| Cause::new(EffectiveReason::GrantedByRole, text()))
}

/// Access tokens that were issued before the removal stay valid. If Auth0 accepted no removal, none of them is known to
/// hold what was named.
fn issued_tokens(lifetime: Option<u32>, accepted_at: Option<Timestamp>, now: Timestamp) -> Option<Cause> {
    let lifetime = Duration::from_secs(lifetime?.into());
    let by = rounded_up(accepted_at?.checked_add(lifetime).unwrap_or(Timestamp::MAX - Duration::from_secs(1)));
    let text = format!("Access tokens that were issued before the removal are valid until {by} at the latest.");
    (by > now && !lifetime.is_zero())
        .then(|| Cause { by: Some(time(by).0), ..Cause::new(EffectiveReason::TokensStillValid, text) })
}

fn of_memberships(inputs: &Inputs<'_>) -> Vec<Cause> {
    let fact = login_membership(inputs.removal).and_then(|question| known_fact(inputs, &question));
    match fact {
        Some(Fact::LoginMembership(connections)) if connections.is_empty() => Vec::new(),
        Some(Fact::LoginMembership(connections)) => {
            let names: Vec<String> = connections.iter().map(|name| shown(name)).collect();
            let text = format!(
                "Whoever logs in through {} becomes a member again. Switch off membership on login for the connection \
                 in the organization, or keep the person from logging in.",
                named(&names)
            );
            vec![Cause::new(EffectiveReason::MembershipOnLogin, text)]
        }
        other => vec![unknown("Whether a login makes people members again is not known", other.as_ref())],
    }
}

/// That something is not known, and why.
fn unknown(what: &str, fact: Option<&Fact>) -> Cause {
    let why = match fact {
        Some(Fact::Unknown { why: CallError::InsufficientScope(scope) }) => {
            format!("the token lacks the scope {scope}")
        }
        Some(Fact::Unknown { why }) => why.to_string(),
        Some(_) | None => "it was not asked".to_owned(),
    };
    Cause::new(EffectiveReason::EffectUnknown, format!("{what}: {why}."))
}

/// A name or id from Auth0, with which anybody can have come.
fn shown(text: &str) -> String {
    escaped(&text.chars().take(MAX_NAME).collect::<String>()).into_owned()
}

fn named(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}
