//! What is known of an object from before: what was accepted, counted and seen at one domain. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::{ConditionType, RemovalResult, RemovalStatus, VerifiedReason, time};
use crate::auth0::Domain;
use crate::dispatch::{End, History, Refusal, Removal, Report};

use super::items::Items;
use super::schedule::REMOVE_AGAIN_AFTER;

/// What is known of an object at one domain. The status is its only lasting form; another domain knows nothing of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// How many items the spec names.
    requested: usize,
    /// Whether a read may spare the DELETE of what it does not show.
    may_spare: bool,
    /// Of how many Auth0 accepted a DELETE, those included that a read still shows.
    accepted: usize,
    /// How many were not there to begin with.
    absent: usize,
    /// How many of the accepted the last read still showed.
    pub(super) remaining: usize,
    /// The same item by item, as far as it is known.
    pub(super) items: Items,
    /// When all was accepted that is; before that, when the first was.
    pub(super) since: Option<Timestamp>,
    /// When Auth0 last accepted a DELETE.
    pub(super) accepted_at: Option<Timestamp>,
    /// When it was found that a read still shows it although that can be no lag any more.
    pub(super) still_present_since: Option<Timestamp>,
    /// A DELETE may have had an effect although no answer came.
    pub(super) lost: bool,
    /// When Auth0 last showed that the user or organization exists.
    seen_at: Option<Timestamp>,
    /// Name in Auth0's logs of the last DELETE that may have had an effect.
    correlation: Option<String>,
    /// Where all of this was.
    pub(super) domain: Option<String>,
}

/// Whether what a status tells is of this domain; while nobody knows the domain it is.
pub(super) fn is_of(status: &RemovalStatus, domain: Option<&Domain>) -> bool {
    match (&status.domain, domain) {
        (Some(told), Some(domain)) => *told == domain.to_string(),
        _ => true,
    }
}

impl Known {
    /// What a status tells, and what is known beyond it since this process began. A status that speaks of another
    /// domain, or of something else that was finished, tells nothing.
    pub(super) fn read(
        status: Option<&RemovalStatus>,
        items: &Items,
        domain: Option<&Domain>,
        removal: &Removal,
        is_finished: bool,
    ) -> Self {
        let is_ready =
            |status: &RemovalStatus| status.condition(ConditionType::Ready).is_some_and(|c| c.status == "True");
        let status = status.filter(|status| is_of(status, domain) && (is_finished || !is_ready(status)));
        let (requested, may_spare) = (removal.items.len(), removal.endpoint.row().strongly_consistent);
        let Some(status) = status else { return Self { requested, may_spare, ..Self::default() } };
        let count = |n: i32| usize::try_from(n).unwrap_or(0).min(requested);
        let result = status.result.unwrap_or_default();
        let accepted_at = status.last_removal_time.as_ref().map(|at| at.0);
        let remaining = count(result.remaining);
        let verified = status.condition(ConditionType::Verified);
        let since = |of: &str| verified.filter(|c| c.status == of).map(|c| c.last_transition_time.0);
        let shown = verified.is_some_and(|c| c.status == "False" && c.reason == VerifiedReason::ReadAfter.as_str());
        let accepted = (count(result.accepted) + remaining).max(items.accepted.len()).min(requested);
        Self {
            requested,
            may_spare,
            accepted,
            // What a read did not find may be what an earlier process had accepted.
            absent: count(result.already_absent).max(items.not_held().count()).min(requested - accepted),
            remaining,
            items: items.clone(),
            since: since("Unknown").or(accepted_at),
            accepted_at,
            still_present_since: since("False").filter(|_| shown),
            lost: items.lost || (status.correlation_id.is_some() && accepted_at.is_none()),
            seen_at: status.last_seen_time.as_ref().map(|at| at.0),
            correlation: status.correlation_id.clone(),
            domain: status.domain.clone(),
        }
    }

    /// Adds what came of a job at `domain`, which includes what the job was told of before.
    pub(super) fn add(&mut self, report: &Report, domain: Option<&Domain>, now: Timestamp) {
        let was_complete = self.is_complete();
        self.count(report);
        let is_new = report.accepted_at > self.accepted_at;
        let is_new_round = is_new && self.still_present_since.take().is_some();
        self.accepted_at = self.accepted_at.max(report.accepted_at);
        if is_new_round || (self.is_complete() && !was_complete) {
            self.since = report.accepted_at.or(self.since);
        }
        self.since = self.since.or(report.first_accepted_at).or(report.accepted_at);
        self.lost = report.lost;
        if report.seen {
            self.seen_at = Some(now);
        }
        self.correlation = report.correlation.as_deref().map(str::to_owned).or_else(|| self.correlation.take());
        // Until a call was made nothing is known of a domain.
        let domain = domain.filter(|_| report.domain.is_some() || report.lost || self.has_accepted());
        self.domain = domain.map(ToString::to_string).or_else(|| self.domain.take());
    }

    /// Counts each item once. Of items that were accepted before this process began only the number is known: what a
    /// read does not find now is most likely one of them.
    fn count(&mut self, report: &Report) {
        let known = self.items.accepted.len();
        self.items.add(report, self.may_spare);
        let absent = self.items.not_held().count();
        let nameless = self.accepted.saturating_sub(known).min(absent);
        self.accepted = self.accepted.max(self.items.accepted.len() + nameless);
        self.absent = self.absent.max(absent - nameless);
        match &report.end {
            End::Gone if self.accepted_at.max(report.accepted_at).is_none() => {
                (self.accepted, self.absent) = (0, self.requested);
            }
            End::Gone => self.remaining = 0,
            End::Remaining(left) if self.accepted_at.max(report.accepted_at).is_some() => {
                // What is there is not absent, whatever a read before it said.
                let unknown = left.iter().filter(|item| self.items.unknown.contains(*item)).count();
                self.remaining = (left.len() - unknown).min(self.requested);
                self.absent = self.absent.min(self.requested - self.remaining);
                self.accepted = self.accepted.max(self.remaining);
            }
            _ => {}
        }
        self.absent = self.absent.min(self.requested);
        self.accepted = self.accepted.min(self.requested - self.absent);
        self.remaining = self.remaining.min(self.accepted);
    }

    /// What Auth0 did not know is tried again.
    pub(super) fn forget_unknown(&mut self) {
        self.absent -= self.items.unknown.len().min(self.absent);
        self.items.unknown.clear();
    }

    /// Whether Auth0 accepted all that was there.
    pub(super) fn is_complete(&self) -> bool {
        self.accepted_at.is_some() && self.accepted + self.absent >= self.requested
    }

    /// Whether anything is known of which a crash must not forget.
    pub(super) fn has_accepted(&self) -> bool {
        self.accepted_at.is_some()
    }

    /// Whether Auth0 ever showed this object that its user or organization exists.
    pub(super) fn was_seen(&self) -> bool {
        self.seen_at.is_some() || self.has_accepted()
    }

    /// Whether the removal was sent once more after it was accepted.
    pub(super) fn was_sent_again(&self) -> bool {
        let (Some(since), Some(last)) = (self.since, self.accepted_at) else { return false };
        last.duration_since(since) >= SignedDuration::try_from(REMOVE_AGAIN_AFTER / 2).unwrap_or_default()
    }

    /// The counts.
    pub(super) fn result(&self) -> RemovalResult {
        let int = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        RemovalResult {
            requested: int(self.requested),
            accepted: int(self.accepted - self.remaining.min(self.accepted)),
            already_absent: int(self.absent),
            remaining: int(self.remaining),
        }
    }

    /// What the dispatcher is told. If it is to be sent `again`, nothing is taken for accepted.
    pub(super) fn history(&self, removal: &Removal, again: bool) -> History {
        let absent = || self.items.not_held().cloned().collect::<Vec<_>>();
        let (accepted, absent) = match () {
            () if again => (Vec::new(), Vec::new()),
            () if self.is_complete() => {
                let absent = absent();
                (removal.items.iter().filter(|item| !absent.contains(item)).cloned().collect(), absent)
            }
            () => (self.items.accepted.iter().cloned().collect(), absent()),
        };
        History {
            accepted,
            absent,
            first_accepted_at: self.since,
            accepted_at: self.accepted_at,
            lost: self.lost,
            seen: self.was_seen(),
        }
    }

    /// Puts it into a status; `Verified` is not part of it.
    pub(super) fn write_into(&self, status: &mut RemovalStatus) {
        status.result = (self.accepted + self.absent > 0 || self.domain.is_some()).then(|| self.result());
        status.domain.clone_from(&self.domain);
        status.last_removal_time = self.accepted_at.map(time);
        status.last_seen_time = self.seen_at.map(time);
        status.correlation_id.clone_from(&self.correlation);
    }
}

/// What is known of an object whose removal Auth0 accepted and no read has proved, as a report that nobody fetched.
pub(super) fn unproved(
    status: Option<&RemovalStatus>,
    items: &Items,
    removal: &Removal,
    report: Option<Report>,
    now: Timestamp,
) -> Option<Report> {
    let is_ready = status.and_then(|status| status.condition(ConditionType::Ready)).is_some_and(|c| c.status == "True");
    let has_ended = report.as_ref().is_some_and(|report| matches!(report.end, End::Gone | End::Unverified(_)));
    if is_ready || has_ended {
        return None;
    }
    let mut known = Known::read(status, items, None, removal, false);
    if let Some(report) = &report {
        known.add(report, report.domain.as_ref(), now);
    }
    let History { accepted, absent, first_accepted_at, accepted_at, lost, .. } = known.history(removal, false);
    known.has_accepted().then(|| Report {
        accepted,
        already_absent: absent,
        not_found: Vec::new(),
        refused: Vec::new(),
        first_accepted_at,
        accepted_at,
        lost,
        seen: known.was_seen(),
        read_at: None,
        connection: report.and_then(|report| report.connection),
        domain: known.domain.and_then(|domain| domain.parse().ok()),
        correlation: known.correlation.as_deref().map(Into::into),
        end: End::HandedBack(Refusal::Gone),
    })
}

/// In whole seconds, upwards: a time that is waited for must not come early by being written down. The tolerance keeps
/// a whole second from becoming the next one.
pub(super) fn rounded_up(at: Timestamp) -> Timestamp {
    time(at + Duration::from_millis(950)).0
}
