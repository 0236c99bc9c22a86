//! The condition types, and how a reason becomes conditions that kstatus understands. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::printable::printable;
use super::{Reason, State};

/// Every condition type of this API. Ready, Reconciling and Stalled mean what kstatus says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// The object has reached what its spec asks for.
    Ready,
    /// The operator is working or waiting, and continues by itself. Present only while true.
    Reconciling,
    /// Somebody has to change something. Present only while true.
    Stalled,
    /// A complete read after the removal proved that what was named is gone.
    Verified,
    /// The removal is in effect wherever the access had been granted.
    Effective,
    /// What was removed came back.
    Drifted,
    /// Of a tenant: its brake stops removals, or will.
    BrakeEngaged,
}

impl ConditionType {
    /// Every condition type.
    pub const ALL: [Self; 7] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::Verified,
        Self::Effective,
        Self::Drifted,
        Self::BrakeEngaged,
    ];

    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Verified => "Verified",
            Self::Effective => "Effective",
            Self::Drifted => "Drifted",
            Self::BrakeEngaged => "BrakeEngaged",
        }
    }
}

/// The condition of this type, if it is among `conditions`.
pub fn find_condition(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// One condition without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The type of the condition.
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// The reason, a word for machines.
    pub reason: &'static str,
    /// The explanation for users.
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is not known yet.
    Unknown,
}

impl ConditionStatus {
    /// The word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// The conditions a reason stands for: `Ready` always, `Reconciling` and `Stalled` only while true.
pub fn verdicts(reason: Reason, message: &str) -> Vec<Verdict> {
    let verdict = |kind, holds: bool| Verdict {
        kind,
        status: holds.into(),
        reason: reason.as_str(),
        message: message.to_owned(),
    };
    let ready = verdict(ConditionType::Ready, reason.state() == State::Done);
    match reason.state() {
        State::Done | State::Held => vec![ready],
        State::Waiting => vec![ready, verdict(ConditionType::Reconciling, true)],
        State::Stalled => vec![ready, verdict(ConditionType::Stalled, true)],
    }
}

/// Makes conditions of `verdicts`. A condition whose status is the same among `old` keeps its transition time.
pub fn conditions(old: &[Condition], verdicts: &[Verdict], generation: i64, now: Timestamp) -> Vec<Condition> {
    let complete = |verdict: &Verdict| {
        let status = verdict.status.as_str();
        let before = old.iter().find(|c| c.type_ == verdict.kind.as_str() && c.status == status);
        Condition {
            type_: verdict.kind.as_str().to_owned(),
            status: status.to_owned(),
            reason: verdict.reason.to_owned(),
            message: printable(&verdict.message),
            observed_generation: Some(generation),
            last_transition_time: before.map_or_else(|| time(now), |c| c.last_transition_time.clone()),
        }
    };
    verdicts.iter().map(complete).collect()
}

/// `at` as Kubernetes writes it, in whole seconds, rounded down.
pub fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn every_reason_follows_kstatus() {
        for reason in Reason::ALL {
            let conditions = conditions(&[], &verdicts(*reason, "why"), 3, at(9));
            let is =
                |kind: ConditionType| conditions.iter().find(|c| c.type_ == kind.as_str()).map(|c| c.status.as_str());
            assert!(conditions.iter().all(|c| c.reason == reason.as_str() && c.observed_generation == Some(3)));
            assert_eq!(is(ConditionType::Ready), Some(if reason.state() == State::Done { "True" } else { "False" }));
            assert_eq!(is(ConditionType::Reconciling), (reason.state() == State::Waiting).then_some("True"));
            assert_eq!(is(ConditionType::Stalled), (reason.state() == State::Stalled).then_some("True"));
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        }
    }

    #[test]
    fn transition_times_change_with_the_status_only() {
        let first = conditions(&[], &verdicts(Reason::RateLimited, "a"), 1, at(1));
        let second = conditions(&first, &verdicts(Reason::Auth0Unavailable, "b"), 1, at(2));
        assert!(second.iter().all(|c| c.last_transition_time == time(at(1)) && c.message == "b"));
        let third = conditions(&second, &verdicts(Reason::Removed, "c"), 1, at(3));
        assert_eq!(third[0].last_transition_time, time(at(3)));
    }
}
