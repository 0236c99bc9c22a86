//! A line of the report: one item of one person that was to be taken away, with its times, its verdict and its proof.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::EffectiveReason;
use crate::auth0::{Endpoint, Item};

/// One removal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The UID of its object.
    pub uid: String,
    /// The kind of its object.
    pub kind: String,
    /// The namespace of its object.
    pub namespace: String,
    /// The name of its object.
    pub name: String,
    /// The generation of its object.
    pub generation: Option<i64>,
    /// The Auth0 domain.
    pub domain: String,
    /// Whose access it is.
    pub user_id: String,
    /// What they are called, with `--names`.
    pub user_name: Option<String>,
    /// `role`, `permission`, `membership` or `organization-role`.
    pub item_type: &'static str,
    /// The id of the role or organization, or the name of the permission. Empty if it is not known.
    pub item_id: String,
    /// The API of the permission, or the organization in which the role is held.
    pub item_of: Option<String>,
    /// When it was asked for: when its object was created.
    pub requested_at: Option<Timestamp>,
    /// Who asked for it, as far as it is known.
    pub requested_by: Option<String>,
    /// How that is known.
    pub requested_by_source: Option<Source>,
    /// Who the object says has asked.
    pub claimed_by: Option<String>,
    /// Before when it was not to be removed.
    pub not_before: Option<Timestamp>,
    /// When Auth0 accepted the removal.
    pub removed_at: Option<Timestamp>,
    /// When a complete read proved that it is gone.
    pub proved_at: Option<Timestamp>,
    /// What says when it was removed.
    pub times_from: TimesFrom,
    /// Where it stands.
    pub standing: Standing,
    /// Whether that was in time.
    pub within_sla: Sla,
    /// The reason of the condition `Ready`; of a deleted object, what the audit log says of it.
    pub verdict: String,
    /// What the verdict says in words.
    pub message: String,
    /// The reason of the condition `Verified`, or why there is no proof.
    pub proof: String,
    /// The id of the call in Auth0's logs.
    pub correlation_id: Option<String>,
    /// The reason of the condition `Effective`.
    pub effective: Option<String>,
    /// What that says in words.
    pub effective_message: String,
    /// Until when access tokens may be valid that were issued before.
    pub effective_by: Option<Timestamp>,
    /// How often it came back.
    pub came_back: i32,
    /// What `--recheck` has found.
    pub recheck: Option<Recheck>,
    /// Where it is removed, and what; for `--recheck`.
    pub target: Option<(Endpoint, Item)>,
}

/// How it is known who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The API server compared the annotation with the authenticated user, as the audit log says.
    Admission,
    /// The API server's own audit log names the user who created the object.
    KubeAudit,
    /// Only the object says so.
    Claimed,
}

impl Source {
    /// The word in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::KubeAudit => "kube-audit",
            Self::Claimed => "claimed",
        }
    }
}

/// What says when an item was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimesFrom {
    /// The status of the object, for all its items together.
    #[default]
    Object,
    /// The line of the audit log about this item.
    Audit,
}

/// Where a removal stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Done, and a complete read proves it.
    Proved,
    /// Done, without proof.
    Unproved,
    /// Not done.
    #[default]
    NotDone,
}

impl Standing {
    /// The word in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Unproved => "unproved",
            Self::NotDone => "not done",
        }
    }
}

/// Whether a removal was in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sla {
    /// It was.
    Yes,
    /// It was not, or is not done and the time is over.
    No,
    /// It is not done, and there is time left.
    Open,
    /// A time is not known.
    #[default]
    Unknown,
}

impl Sla {
    /// The word in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Open => "open",
            Self::Unknown => "unknown",
        }
    }
}

/// What another read has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recheck {
    /// When it was read.
    pub at: Timestamp,
    /// What is there now.
    pub found: Again,
}

/// Whether an item is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is not.
    Gone,
    /// It is.
    Held,
    /// It could not be read, for this reason.
    Unknown(String),
}

impl Again {
    /// The word in the report.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Held => "held",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl Row {
    /// From when on the time counts: `notBefore`, if that is later than the request.
    pub fn due_from(&self) -> Option<Timestamp> {
        self.requested_at.map(|at| self.not_before.map_or(at, |not_before| at.max(not_before)))
    }

    /// How long it took until it was removed. What clocks of different machines make negative is 0.
    pub fn seconds_to_removed(&self) -> Option<i64> {
        self.seconds_to(self.removed_at)
    }

    /// How long it took until it was proved.
    pub fn seconds_to_proved(&self) -> Option<i64> {
        self.seconds_to(self.proved_at)
    }

    fn seconds_to(&self, at: Option<Timestamp>) -> Option<i64> {
        Some(at?.duration_since(self.due_from()?).as_secs().max(0))
    }

    /// How long it took until it was done: removed or, of what was not there, proved.
    pub fn seconds_to_done(&self) -> Option<i64> {
        if self.standing == Standing::NotDone {
            return None;
        }
        self.seconds_to_removed().or_else(|| self.seconds_to_proved())
    }

    /// Whether it was in time, as of `now`.
    pub fn judged(&self, sla: Duration, now: Timestamp) -> Sla {
        let limit = i64::try_from(sla.as_secs()).unwrap_or(i64::MAX);
        let is_within = |seconds: i64| if seconds <= limit { Sla::Yes } else { Sla::No };
        match (self.standing, self.seconds_to_done()) {
            (Standing::NotDone, _) => match self.seconds_to(Some(now)) {
                Some(seconds) if seconds <= limit => Sla::Open,
                Some(_) => Sla::No,
                None => Sla::Unknown,
            },
            (Standing::Proved | Standing::Unproved, Some(seconds)) => is_within(seconds),
            (Standing::Proved | Standing::Unproved, None) => Sla::Unknown,
        }
    }

    /// Why somebody should look at it; empty if that is not needed.
    pub fn exceptions(&self) -> Vec<String> {
        let mut why = Vec::new();
        match self.standing {
            Standing::NotDone => why.push(format!("not done: {}", self.verdict)),
            Standing::Unproved => why.push(format!("not proved: {}", self.proof)),
            Standing::Proved => {}
        }
        if self.within_sla == Sla::No {
            why.push("too late".to_owned());
        }
        if let Some(effective) = self.effective.as_ref().filter(|_| self.is_not_in_effect()) {
            why.push(format!("not in effect: {effective}"));
        }
        if self.came_back > 0 {
            let times = if self.came_back == 1 { "once".to_owned() } else { format!("{} times", self.came_back) };
            why.push(format!("came back {times}"));
        }
        match self.recheck.as_ref().map(|recheck| &recheck.found) {
            Some(Again::Held) => why.push("held now".to_owned()),
            Some(Again::Unknown(_)) => why.push("could not be read again".to_owned()),
            Some(Again::Gone) | None => {}
        }
        why
    }

    /// Whether the person still has it in another way, or gets it again.
    pub fn is_not_in_effect(&self) -> bool {
        let known = [EffectiveReason::GrantedByRole, EffectiveReason::RbacDisabled, EffectiveReason::MembershipOnLogin];
        self.effective.as_ref().is_some_and(|reason| known.iter().any(|known| known.as_str() == reason))
    }

    /// The worst first: not done, too late, not proved, anything else.
    pub fn severity(&self) -> u8 {
        match (self.standing, self.within_sla) {
            (Standing::NotDone, Sla::No) => 0,
            (Standing::NotDone, Sla::Yes | Sla::Open | Sla::Unknown) => 1,
            (Standing::Proved | Standing::Unproved, Sla::No) => 2,
            (Standing::Unproved, Sla::Yes | Sla::Open | Sla::Unknown) => 3,
            (Standing::Proved, Sla::Yes | Sla::Open | Sla::Unknown) => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_time_counts_from_the_request_or_from_not_before() {
        let day = Duration::from_secs(86_400);
        let mut row = Row {
            requested_at: Some(at("2026-10-01T00:00:00Z")),
            removed_at: Some(at("2026-10-03T00:00:00Z")),
            standing: Standing::Proved,
            ..Row::default()
        };
        let now = at("2026-12-01T00:00:00Z");
        assert_eq!((row.seconds_to_removed(), row.judged(day, now)), (Some(172_800), Sla::No));
        row.not_before = Some(at("2026-10-02T12:00:00Z"));
        assert_eq!((row.seconds_to_removed(), row.judged(day, now)), (Some(43_200), Sla::Yes));
        row.not_before = Some(at("2026-09-01T00:00:00Z"));
        assert_eq!(row.judged(day, now), Sla::No, "an earlier one changes nothing");
        row.removed_at = Some(at("2026-09-30T23:59:59Z"));
        assert_eq!(row.seconds_to_removed(), Some(0), "the clocks differ");

        row.standing = Standing::NotDone;
        assert_eq!(row.judged(day, at("2026-10-01T23:00:00Z")), Sla::Open);
        assert_eq!(row.judged(day, now), Sla::No);
        row.requested_at = None;
        assert_eq!(row.judged(day, now), Sla::Unknown);
    }

    #[test]
    fn what_was_absent_already_counts_until_its_proof() {
        let row = Row {
            requested_at: Some(at("2026-10-01T00:00:00Z")),
            proved_at: Some(at("2026-10-01T00:00:09Z")),
            standing: Standing::Proved,
            ..Row::default()
        };
        assert_eq!((row.seconds_to_removed(), row.seconds_to_done()), (None, Some(9)));
    }
}
