//! What the operator would do for an object, by its own decision, and what that means for each item. Pure.

use serde::{Deserialize, Serialize};

use crate::api::{Mode, Policy, Reason, RemovalOptions, RemovalStatus, State};
use crate::auth0::NotFound;
pub use crate::cli::look::Presence;
use crate::cli::object::Object;
use crate::dispatch::{KnownFacts, Task, View};
use crate::revocation::{Decision, Inputs, Items, Now, Tenant, decide};

/// What would happen to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sign {
    /// `-`: it is held, and would be removed.
    Remove,
    /// `=`: it is not held, so there is nothing to remove.
    Absent,
    /// `!`: it would be refused, or nothing would be done about it.
    Refused,
    /// `?`: whether it is held could not be read.
    Unknown,
}

impl Sign {
    /// The sign as it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Remove => "-",
            Self::Absent => "=",
            Self::Refused => "!",
            Self::Unknown => "?",
        }
    }
}

/// What the operator would do for an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Remove what is held.
    Remove,
    /// Only say what it would remove.
    Look,
    /// Only verify what Auth0 has accepted already.
    Prove,
    /// Nothing, because it is finished.
    Nothing(String),
    /// Nothing, for this reason.
    Refuse(Reason, String),
}

/// What the operator would do for an object, and what it waits for before.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What it would do in the end.
    pub act: Act,
    /// Why not at once: the reason and the explanation.
    pub wait: Option<(Reason, String)>,
}

/// What the operator would do. `tenant` is the tenant as it is, `if_free` the same as if it had not been stopped.
pub fn judge(object: &Object, tenant: Tenant<'_>, if_free: Tenant<'_>, now: Now) -> Judged {
    let first = act(object, &object.options, tenant, now);
    let wait = if let Act::Refuse(reason, message) = &first { Some((*reason, message.clone())) } else { None };
    match wait.filter(|(reason, _)| ends_by_itself_or_edit(*reason)) {
        Some(wait) => {
            let free = RemovalOptions { suspend: false, hold: None, not_before: None, ..object.options.clone() };
            Judged { act: act(object, &free, if_free, now), wait: Some(wait) }
        }
        None => Judged { act: first, wait: None },
    }
}

/// Whether what this reason says may end without a change of what the object names or of what the tenant allows.
const fn ends_by_itself_or_edit(reason: Reason) -> bool {
    matches!(reason, Reason::Suspended | Reason::OnHold | Reason::Scheduled | Reason::TenantNotReady)
}

fn act(object: &Object, options: &RemovalOptions, tenant: Tenant<'_>, now: Now) -> Act {
    let (items, facts, view) = (Items::default(), KnownFacts::default(), View::Absent);
    let inputs = Inputs {
        generation: object.meta.generation.unwrap_or(1),
        removal: &object.removal,
        options,
        created: object.created().or(Some(now.wall)),
        status: object.status.as_ref(),
        items: &items,
        tenant,
        refusal: None,
        refused_with: None,
        is_probe: false,
        submitted_with: None,
        submitted_to: None,
        submitted_for: None,
        facts: &facts,
        learning_since: None,
        view: &view,
        request: None,
        handed_back: None,
        failures: None,
        not_before: None,
        check_at: None,
        now,
        jitter: 0.0,
    };
    let repeats = options.policy == Policy::Continuous;
    match decide(&inputs) {
        Decision::Block(blocked) => Act::Refuse(blocked.outcome.reason, blocked.outcome.message),
        Decision::Submit { task: Task::Remove { .. } | Task::Learn(_), .. } => Act::Remove,
        // A check of an object of policy Continuous removes what it finds.
        Decision::Submit { task: Task::Observe, .. } if repeats && !observes(options, tenant) => Act::Remove,
        Decision::Submit { task: Task::Observe, .. } => Act::Look,
        Decision::Submit { task: Task::Prove, .. } => Act::Prove,
        Decision::AwaitChange(_) | Decision::Acknowledge | Decision::TakeReport | Decision::UpdateStatus(..) => {
            standing(object.status.as_ref(), repeats && !observes(options, tenant))
        }
    }
}

fn observes(options: &RemovalOptions, tenant: Tenant<'_>) -> bool {
    options.mode == Mode::Observe || matches!(tenant, Tenant::Ready { mode: Mode::Observe, .. })
}

/// What is left to do for an object that waits for a change or for its time.
fn standing(status: Option<&RemovalStatus>, is_checked_again: bool) -> Act {
    let Some(status) = status else { return Act::Remove };
    let reason = status.reason_text().and_then(Reason::parse);
    match reason.map(Reason::state) {
        _ if status.is_ready() && is_checked_again => Act::Remove,
        _ if status.is_ready() => Act::Nothing(format!("finished: {}", status.reason_text().unwrap_or_default())),
        Some(State::Stalled) => Act::Refuse(
            reason.unwrap_or(Reason::InvalidRequest),
            format!("{} It is tried again on request.", status.message()),
        ),
        Some(State::Waiting | State::Held | State::Done) | None if status.last_removal_time.is_some() => Act::Prove,
        Some(State::Waiting | State::Held | State::Done) | None => Act::Remove,
    }
}

/// The sign of an item, and what is to be said of it.
pub fn sign(object: &Object, act: &Act, presence: &Presence) -> (Sign, Option<String>) {
    let ignores = object.options.if_not_found == crate::api::IfNotFound::Ignore;
    match (act, presence) {
        (Act::Refuse(reason, message), _) => (Sign::Refused, Some(format!("{}: {message}", reason.as_str()))),
        (_, Presence::Unknown(why)) => (Sign::Unknown, Some(format!("not looked at: {why}"))),
        (Act::Nothing(why), Presence::Held) => {
            (Sign::Refused, Some(format!("{why}, and held again: create another object to remove it")))
        }
        (Act::Nothing(why), _) => (Sign::Absent, Some(why.clone())),
        (Act::Prove, _) => (Sign::Absent, Some("Auth0 has accepted the removal; the proof is pending".to_owned())),
        (Act::Look, Presence::Held) => (Sign::Remove, Some("only looked at: mode is Observe".to_owned())),
        (Act::Remove, Presence::Held) => (Sign::Remove, None),
        (Act::Remove | Act::Look, Presence::Absent) => (Sign::Absent, Some("not held".to_owned())),
        (Act::Remove | Act::Look, Presence::NoSubject) => match object.removal.endpoint.row().not_found {
            // A 404 of this list can mean that the user is no member, which is what is wanted.
            NotFound::MembershipOrItem => (Sign::Absent, Some("no member, so no roles there".to_owned())),
            NotFound::SubjectOrItem | NotFound::OrganizationOrUser if ignores => {
                (Sign::Absent, Some(unknown_subject(object)))
            }
            NotFound::SubjectOrItem | NotFound::OrganizationOrUser => {
                (Sign::Refused, Some(format!("SubjectNotFound: {}", unknown_subject(object))))
            }
        },
    }
}

fn unknown_subject(object: &Object) -> String {
    let endpoint = &object.removal.endpoint;
    match (endpoint.organization(), endpoint.user()) {
        (Some(id), _) => format!("Auth0 knows no organization {id}"),
        (None, Some(id)) => format!("Auth0 knows no user {id}"),
        (None, None) => "Auth0 does not know it".to_owned(),
    }
}
