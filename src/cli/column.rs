//! Where a removal object stands, in a few words: in which column of a table of sums it counts, and what it says.

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{ConditionType, Reason};

use super::object::Object;

/// A column of the table of sums. Every object counts in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Column {
    /// A complete read after the removal proved it.
    Proved,
    /// Auth0 accepted the removal, and no read proved it.
    Unproved,
    /// Nothing was there to remove.
    Absent,
    /// The user or organization does not exist any more.
    Gone,
    /// The operator goes on by itself, or has not looked at it yet.
    Waiting,
    /// Somebody has to act.
    Stalled,
    /// Somebody stopped it on purpose, or its time has not come.
    Held,
    /// It was only looked at, or it was too old to act: nothing was changed.
    Observed,
}

impl Column {
    /// Every column, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Proved,
        Self::Unproved,
        Self::Absent,
        Self::Gone,
        Self::Waiting,
        Self::Stalled,
        Self::Held,
        Self::Observed,
    ];

    /// The head of the column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Unproved => "unproved",
            Self::Absent => "absent",
            Self::Gone => "gone",
            Self::Waiting => "waiting",
            Self::Stalled => "stalled",
            Self::Held => "held",
            Self::Observed => "observed",
        }
    }

    /// Whether nothing more happens unless somebody acts.
    pub const fn is_decided(self) -> bool {
        !matches!(self, Self::Waiting | Self::Held)
    }

    /// The column of a reason. Those of tenants alone count as unproved, the most careful of the good ones, or as what
    /// they mean for a tenant.
    const fn of(reason: Reason) -> Self {
        use Reason as R;
        match reason {
            R::Removed => Self::Proved,
            R::RemovedUnverified | R::Connected | R::Unproved => Self::Unproved,
            R::AlreadyAbsent => Self::Absent,
            R::SubjectGone => Self::Gone,
            R::WouldRemove | R::NotReplayed => Self::Observed,
            R::SubjectNotFound | R::ItemNotFound | R::Expired | R::StillPresent | R::InvalidRequest => Self::Stalled,
            R::Unauthorized | R::InsufficientScope | R::Denied | R::Protected | R::NamespaceNotAllowed => Self::Stalled,
            R::BrakeEngaged | R::UnknownField => Self::Stalled,
            R::InvalidCredentials | R::DomainNotAllowed | R::InvalidConnection => Self::Stalled,
            R::Queued | R::AwaitingProof | R::TenantNotReady | R::RateLimited => Self::Waiting,
            R::Auth0Unavailable | R::AwaitingConsistency | R::SecretNotFound => Self::Waiting,
            R::Scheduled | R::Suspended | R::OnHold => Self::Held,
        }
    }
}

/// What an object says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Where it counts.
    pub column: Column,
    /// The reason of its condition Ready; None while the operator has not looked at this version of it.
    pub reason: Option<String>,
    /// The message of its condition Ready.
    pub message: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

impl Stand {
    /// Where the object stands. A status of an earlier version of the spec says nothing of this one.
    pub fn of(object: &Object) -> Self {
        let status = object.status.as_ref();
        let is_current = |of: i64| object.meta.generation.is_none_or(|generation| of == generation);
        let status = status.filter(|status| status.observed_generation.is_some_and(is_current));
        let Some(ready) = status.and_then(|status| status.condition(ConditionType::Ready)) else {
            let (since, message) = (object.created(), "the operator has not looked at it yet".to_owned());
            return Self { column: Column::Waiting, reason: None, message, since };
        };
        let holds = |kind| {
            let condition = status.and_then(|status| status.condition(kind));
            condition.is_some_and(|condition| condition.status == "True")
        };
        let column = match Reason::parse(&ready.reason) {
            Some(reason) => Column::of(reason),
            // The reason of another version: its conditions mean the same in all versions.
            None if holds(ConditionType::Ready) => Column::Unproved,
            None if holds(ConditionType::Stalled) => Column::Stalled,
            None if holds(ConditionType::Reconciling) => Column::Waiting,
            None => Column::Held,
        };
        let (reason, message) = (Some(ready.reason.clone()), ready.message.clone());
        Self { column, reason, message, since: Some(ready.last_transition_time.0) }
    }

    /// The reason, or that there is none yet.
    pub fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or("not looked at")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::State;
    use crate::cli::object::kinds;

    fn object(status: serde_json::Value) -> Object {
        let kind = kinds().into_iter().find(|kind| kind.name == "UserRoleRevocation").unwrap();
        let object = json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
            "metadata": {"name": "a", "namespace": "n", "generation": 2, "creationTimestamp": "2026-11-26T10:00:00Z"},
            "spec": {"userId": "auth0|a", "roles": ["rol_bN1a2b3c4d5e6f7g"]},
            "status": status,
        });
        kind.read_with_defaults(object).unwrap()
    }

    fn ready(generation: i64, reason: &str, status: &str, also: &str) -> Stand {
        let condition = |kind: &str, status: &str| {
            let time = "2026-11-26T10:00:00Z";
            json!({"type": kind, "status": status, "reason": reason, "message": "m", "lastTransitionTime": time})
        };
        let conditions = json!([condition("Ready", status), condition(also, "True")]);
        Stand::of(&object(json!({"observedGeneration": generation, "conditions": conditions})))
    }

    #[test]
    fn a_reason_counts_as_its_state_says() {
        for reason in Reason::ALL {
            let column = Column::of(*reason);
            let state = match column {
                Column::Waiting => State::Waiting,
                Column::Stalled => State::Stalled,
                Column::Held => State::Held,
                Column::Proved | Column::Unproved | Column::Absent | Column::Gone | Column::Observed => State::Done,
            };
            assert_eq!(state, reason.state(), "{reason}");
        }
        assert_eq!(Reason::ALL.iter().filter(|reason| Column::of(**reason) == Column::Proved).count(), 1);
    }

    #[test]
    fn what_is_not_looked_at_waits() {
        assert_eq!(Stand::of(&object(json!({"observedGeneration": -1}))).column, Column::Waiting);
        let stand = ready(1, "Removed", "True", "Verified");
        assert_eq!((stand.column, stand.reason()), (Column::Waiting, "not looked at"), "of an earlier spec");
        assert_eq!(ready(2, "Removed", "True", "Verified").column, Column::Proved);
    }

    #[test]
    fn reasons_of_other_versions_count_by_their_conditions() {
        assert_eq!(ready(2, "FromTheFuture", "True", "Verified").column, Column::Unproved, "not taken for proved");
        assert_eq!(ready(2, "FromTheFuture", "False", "Stalled").column, Column::Stalled);
        assert_eq!(ready(2, "FromTheFuture", "False", "Reconciling").column, Column::Waiting);
        assert_eq!(ready(2, "FromTheFuture", "False", "Verified").column, Column::Held);
    }
}
