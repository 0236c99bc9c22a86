//! What is known of an object from before, at one domain: what Auth0 accepted, the counts, and what was seen. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::{ConditionType, Reason, RemovalResult, RemovalStatus, State, VerifiedReason, time};
use crate::auth0::{Domain, Item, Missing, NotFound};
use crate::dispatch::{End, History, Removal, Report, Task};

use super::items::Items;
use super::schedule::REMOVE_AGAIN_AFTER;

/// Times in a status are rounded to seconds, so they may be this far ahead of the clock.
const ROUNDING: SignedDuration = SignedDuration::from_secs(2);
/// How long ago something happened of which only is known that it was before the wall clock was set back: shorter than
/// the time after which a DELETE is sent once more.
const A_MOMENT: SignedDuration = SignedDuration::from_secs(60);

/// What is known of an object at one domain. Only the status keeps it over a restart, as counts; nothing of it holds
/// for another domain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// How many items the spec names.
    requested: usize,
    /// Whether a read before the removal may spare the DELETE of items that it does not show.
    may_spare: bool,
    /// Whether the object is about a membership, which may end while the user and the organization stay.
    of_membership: bool,
    /// Of how many items Auth0 accepted a DELETE, including those that a read still shows.
    accepted: usize,
    /// How many items were not there to begin with, or are unknown to Auth0.
    absent: usize,
    /// How many of those Auth0 may not know, as the verdict of an earlier process says without naming them.
    unnamed_unknown: usize,
    /// How many of the accepted items the last read still showed.
    pub(super) remaining: usize,
    /// What this process knows item by item.
    pub(super) items: Items,
    /// When Auth0 had accepted a DELETE of every item that was there. Until then: when it accepted the first one. Reads
    /// after the removal are scheduled from this time.
    pub(super) since: Option<Timestamp>,
    /// When Auth0 last accepted a DELETE.
    pub(super) accepted_at: Option<Timestamp>,
    /// When a read showed that an item is still present although Auth0's lists cannot lag for so long.
    pub(super) still_present_since: Option<Timestamp>,
    /// A DELETE that got no answer may have had an effect.
    pub(super) lost: bool,
    /// When Auth0 last showed that the user or organization exists.
    seen_at: Option<Timestamp>,
    /// The correlation id, in Auth0's logs, of the last DELETE that may have had an effect.
    pub(super) correlation: Option<String>,
    /// The domain where all of this happened.
    pub(super) domain: Option<String>,
}

/// Whether a status is about this domain. If either is unknown, it is.
pub(super) fn concerns(status: &RemovalStatus, domain: Option<&Domain>) -> bool {
    match (&status.domain, domain) {
        (Some(written_for), Some(domain)) => *written_for == domain.to_string(),
        (None, _) | (_, None) => true,
    }
}

/// How much of a status counts for what comes next. Nothing does if it was written for another domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// All of it.
    Counts,
    /// It is the verdict on the same target, which is to be looked at or removed again: only that Auth0 has shown the
    /// user or organization.
    Seen,
    /// It is the verdict on another target.
    Nothing,
}

impl Known {
    /// What a status says, together with what this process knows beyond it.
    pub(super) fn from_status(
        status: Option<&RemovalStatus>,
        items: &Items,
        domain: Option<&Domain>,
        removal: &Removal,
        past: Past,
    ) -> Self {
        let new = Self::new(removal);
        let Self { requested, may_spare, of_membership, .. } = new;
        let Some(status) = status.filter(|status| concerns(status, domain)) else { return new };
        let seen_at = status.last_seen_time.as_ref().map(|at| at.0);
        match past {
            Past::Counts => {}
            Past::Seen => return Self { seen_at, domain: status.domain.clone(), ..new },
            Past::Nothing => return new,
        }
        let mut items = items.at(domain);
        let count = |n: i32| usize::try_from(n).unwrap_or(0).min(requested);
        let result = status.result.clone().unwrap_or_default();
        let accepted_at = status.removed_at();
        if accepted_at.is_none() {
            // While the tenant had another domain, what was known of this one was dropped from the status.
            items.accepted.clear();
        }
        // If nothing was accepted, it is what an observation found there.
        let remaining = if accepted_at.is_some() { count(result.remaining) } else { 0 };
        let verified = status.condition(ConditionType::Verified);
        let since = |of: &str| verified.filter(|c| c.status == of).map(|c| c.last_transition_time.0);
        let shown = verified.is_some_and(|c| c.status == "False" && c.reason == VerifiedReason::ReadAfter.as_str());
        let (named, not_held) = (items.accepted.len(), items.not_held().count());
        let (accepted, absent) = (count(result.accepted) + remaining, count(result.already_absent));
        let (absent, unnamed_unknown) = match status.reason_text().and_then(Reason::parse) {
            Some(Reason::ItemNotFound) => (absent, absent.saturating_sub(not_held)),
            Some(reason) if reason.state() == State::Done => (absent, 0),
            Some(_) | None => (absent + items.unknown_counted, 0),
        };
        // Items that a read did not find may be those whose DELETE Auth0 accepted before a restart.
        let certain = (accepted + absent).max(named + not_held).min(requested);
        let accepted = accepted.max(named).min(certain);
        Self {
            requested,
            may_spare,
            of_membership,
            accepted,
            absent: absent.max(not_held).min(certain - accepted),
            unnamed_unknown,
            remaining,
            since: since("Unknown").or(accepted_at),
            accepted_at,
            still_present_since: since("False").filter(|_| shown),
            lost: items.lost || (status.correlation_id.is_some() && accepted_at.is_none()),
            items,
            seen_at,
            correlation: status.correlation_id.clone(),
            domain: status.domain.clone(),
        }
    }

    /// Times that are still to come were written before the wall clock was set back. What happened then was a moment
    /// ago: no wait may last until the clock gets there again.
    pub(super) fn forget_the_future(&mut self, now: Timestamp) {
        for at in [&mut self.since, &mut self.accepted_at, &mut self.still_present_since].into_iter().flatten() {
            if at.duration_since(now) > ROUNDING {
                *at = now - A_MOMENT;
            }
        }
    }

    /// Nothing.
    fn new(removal: &Removal) -> Self {
        let (requested, row) = (removal.items.len(), removal.endpoint.row());
        let of_membership = row.not_found == NotFound::MembershipOrItem;
        Self { requested, may_spare: row.strongly_consistent, of_membership, ..Self::default() }
    }

    /// What is known once a check has shown again what had been removed: only what it found.
    pub(super) fn from_check(removal: &Removal, report: &Report, domain: Option<&Domain>, now: Timestamp) -> Self {
        let mut known = Self::new(removal);
        let found =
            Report { accepted_unnamed: 0, first_accepted_at: None, accepted_at: None, lost: false, ..report.clone() };
        known.add(&found, domain, now);
        known
    }

    /// Adds the report of a job at `domain`. A report includes the history that the job was given.
    pub(super) fn add(&mut self, report: &Report, domain: Option<&Domain>, now: Timestamp) {
        if matches!(report.task, Task::Remove { .. }) {
            self.forget_tried(report);
        }
        let was_still_present = self.still_present_since.is_some();
        let was_complete = self.is_complete();
        self.items.domain = domain.cloned().or_else(|| self.items.domain.take());
        self.count(report);
        let is_new = report.accepted_at > self.accepted_at;
        let is_new_round = is_new && self.still_present_since.take().is_some();
        if was_still_present && matches!((&report.task, &report.end), (Task::Remove { .. }, End::Failed(_))) {
            self.reopen(report);
        }
        self.accepted_at = self.accepted_at.max(report.accepted_at);
        if is_new_round || (self.is_complete() && !was_complete) {
            self.since = report.accepted_at.or(self.since);
        }
        if was_complete && is_new && !is_new_round {
            // It was sent once more, also if the wall clock, which has been set back, says that this was too early.
            self.since = self.since.min(report.accepted_at.map(|at| at - REMOVE_AGAIN_AFTER));
        }
        self.since = self.since.or(report.first_accepted_at).or(report.accepted_at);
        self.lost = report.lost;
        if report.seen {
            self.seen_at = Some(now);
        }
        self.correlation = report.correlation.as_deref().map(str::to_owned).or_else(|| self.correlation.take());
        // As long as no call was made, nothing is known of the domain.
        let domain = domain.filter(|_| report.domain.is_some() || report.lost || self.has_accepted());
        self.domain = domain.map(ToString::to_string).or_else(|| self.domain.take());
    }

    /// Counts each item once. Of the items that Auth0 accepted before a restart only the number is known, so an item
    /// that a read does not find now is taken for one of them.
    fn count(&mut self, report: &Report) {
        let before = self.accepted + self.absent;
        self.items.add(report, self.may_spare, self.of_membership);
        let (named, absent) = (self.items.accepted.len(), self.items.not_held().count());
        let from_before = report.accepted_unnamed.min(absent);
        self.accepted = self.accepted.max(named + from_before);
        self.absent = self.absent.max(absent - from_before);
        // What was counted before a restart may be the same that has a name now. Never may the counts add up to more
        // than is certain: an item that seems to be done gets no DELETE (promise 4).
        let certain = before.max(named + absent);
        self.accepted = self.accepted.min(certain.saturating_sub(self.absent)).max(named);
        self.absent = self.absent.min(certain - self.accepted);
        let accepted_at = self.accepted_at.max(report.accepted_at);
        match &report.end {
            End::Gone if accepted_at.is_none() => {
                (self.accepted, self.absent) = (0, self.requested);
            }
            End::Gone | End::NotFound(Missing::Subject) => self.remaining = 0,
            // The proof shows none of the items; the ones that it would have to show do not exist.
            End::NotFound(Missing::Item) if report.read_at.is_some() && report.read_at >= accepted_at => {
                self.remaining = 0;
            }
            End::Remaining(left) if report.task == Task::Observe => self.count_observed(left),
            End::Remaining(left) if accepted_at.is_some() => {
                // An item that this read shows is not absent, whatever an earlier read said.
                let unknown = left.iter().filter(|item| self.items.unknown.contains(*item)).count();
                self.remaining = (left.len() - unknown).min(self.requested);
                self.absent = self.absent.min(self.requested - self.remaining);
                self.accepted = self.accepted.max(self.remaining);
            }
            End::Remaining(_) | End::Unverified(_) | End::NotFound(_) => {}
            End::Failed(_) | End::HandedBack(_) | End::Learned => {}
        }
        self.absent = self.absent.min(self.requested);
        self.accepted = self.accepted.min(self.requested - self.absent);
        // What does not exist does not remain either.
        let exist = self.requested.saturating_sub(self.items.unknown.len());
        self.remaining = self.remaining.min(self.accepted).min(exist);
        self.items.unknown_counted = self.items.unknown.len().min(self.absent);
    }

    /// Counts what an observation found. It shows what is there now, whatever an earlier one said, and none of it became
    /// accepted by being seen.
    fn count_observed(&mut self, left: &[Item]) {
        let named = left.iter().filter(|item| self.items.accepted.contains(*item)).count();
        let unnamed = self.accepted.saturating_sub(self.items.accepted.len());
        self.remaining = named + unnamed.min(left.len() - named);
        self.absent = self.requested.saturating_sub(left.len() + self.accepted.saturating_sub(self.remaining));
    }

    /// Items that Auth0 did not know are tried again.
    pub(super) fn forget_unknown(&mut self) {
        self.absent -= self.items.unknown.len().min(self.absent);
        (self.items.unknown_counted, self.items.unknown) = (0, BTreeSet::new());
        self.forget_unnamed();
    }

    fn forget_unnamed(&mut self) {
        self.absent -= self.unnamed_unknown.min(self.absent);
        self.unnamed_unknown = 0;
    }

    /// Items that Auth0 did not know count no more if this job has tried them again, whatever came of that.
    fn forget_tried(&mut self, report: &Report) {
        self.forget_unnamed();
        let before = self.items.unknown.len();
        self.items.unknown.retain(|item| report.already_absent.contains(item) || report.not_found.contains(item));
        self.absent -= (before - self.items.unknown.len()).min(self.absent);
    }

    /// Whether Auth0 does not know some of the items.
    pub(super) fn has_unknown(&self) -> bool {
        !self.items.unknown.is_empty() || self.unnamed_unknown > 0
    }

    /// The DELETE of what a late read showed failed, at least in part. Only what it accepted is done. The counts keep that
    /// over a restart.
    fn reopen(&mut self, report: &Report) {
        self.items.accepted = report.accepted.iter().cloned().collect();
        (self.accepted, self.remaining) = (self.items.accepted.len(), 0);
        self.still_present_since = None;
    }

    /// Whether Auth0 accepted a DELETE of every item that was there.
    pub(super) fn is_complete(&self) -> bool {
        // What is still present was complete, although a process that knows only the status may not see that.
        let is_done = self.accepted + self.absent >= self.requested || self.still_present_since.is_some();
        self.accepted_at.is_some() && is_done
    }

    /// Whether Auth0 knows none of the items.
    pub(super) fn is_all_unknown(&self) -> bool {
        self.items.unknown.len() >= self.requested
    }

    /// Whether Auth0 accepted any DELETE.
    pub(super) fn has_accepted(&self) -> bool {
        self.accepted_at.is_some()
    }

    /// Whether what the path names must exist, so that a 404 is about an item: Auth0 accepted a DELETE there.
    pub(super) fn must_exist(&self) -> bool {
        self.has_accepted() && !self.of_membership
    }

    /// Whether Auth0 ever showed this object that its user or organization exists.
    pub(super) fn was_seen(&self) -> bool {
        self.seen_at.is_some() || self.has_accepted()
    }

    /// Whether the DELETE was sent once more after Auth0 had accepted it.
    pub(super) fn was_sent_again(&self) -> bool {
        let (Some(since), Some(last)) = (self.since, self.accepted_at) else { return false };
        last.duration_since(since) >= SignedDuration::try_from(REMOVE_AGAIN_AFTER / 2).unwrap_or_default()
    }

    /// The counts for the status, as a verdict says them: what Auth0 does not know is absent.
    pub(super) fn result(&self) -> RemovalResult {
        let int = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        RemovalResult {
            requested: int(self.requested),
            accepted: int(self.accepted - self.remaining.min(self.accepted)),
            already_absent: int(self.absent),
            remaining: int(self.remaining),
            items: Vec::new(),
        }
    }

    /// The same before a verdict. A process that knows only the status must not take what Auth0 does not know for done.
    fn result_so_far(&self) -> RemovalResult {
        let unknown = i32::try_from(self.items.unknown_counted + self.unnamed_unknown).unwrap_or(i32::MAX);
        let result = self.result();
        RemovalResult { already_absent: (result.already_absent - unknown).max(0), ..result }
    }

    /// What the next job needs to know. To have everything sent `again`, it lists no item as accepted or absent.
    pub(super) fn history(&self, removal: &Removal, again: bool) -> History {
        let absent = || self.items.not_held().cloned().collect::<Vec<_>>();
        let accepted_unnamed = self.accepted.saturating_sub(self.items.accepted.len());
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
            accepted_unnamed,
            absent,
            first_accepted_at: self.since,
            accepted_at: self.accepted_at,
            lost: self.lost,
            seen: self.was_seen(),
            known_gone: false,
        }
    }

    /// Writes it into a status, except for the condition `Verified`.
    pub(super) fn write_into(&self, status: &mut RemovalStatus, is_verdict: bool) {
        let result = || if is_verdict { self.result() } else { self.result_so_far() };
        status.result = (self.accepted + self.absent > 0 || self.domain.is_some()).then(result);
        status.domain.clone_from(&self.domain);
        status.last_removal_time = self.accepted_at.map(time);
        status.last_seen_time = self.seen_at.map(time);
        status.correlation_id.clone_from(&self.correlation);
    }
}

/// Rounds up to whole seconds, as statuses hold no more: a wait must not become shorter by being written. Up to 50 ms
/// are rounded down, so that a time that was rounded already stays what it is.
pub(super) fn rounded_up(at: Timestamp) -> Timestamp {
    time(at + Duration::from_millis(950)).0
}
