//! What is left to say of an object that goes away before its proof. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::api::RemovalStatus;
use crate::dispatch::{End, History, Refusal, Removal, Report, Task};

use super::history::{Known, Past};
use super::items::Items;

/// What is known of an object whose removal Auth0 accepted but no read proved, as a report. None for other objects.
pub(super) fn unproved_report(
    status: Option<&RemovalStatus>,
    items: &Items,
    removal: &Removal,
    report: Option<Report>,
    now: Timestamp,
) -> Option<Report> {
    let has_ended = report.as_ref().is_some_and(|report| matches!(report.end, End::Gone | End::Unverified(_)));
    let is_verdict = status.is_some_and(RemovalStatus::is_ready);
    let removes = report.as_ref().is_some_and(|report| matches!(report.task, Task::Remove { .. }));
    if has_ended || (is_verdict && !removes) {
        return None;
    }
    // A job that removes begins after a verdict on another target, or on what was only observed.
    let past = if is_verdict { Past::Nothing } else { Past::Counts };
    let mut known = Known::from_status(status, items, None, removal, past);
    if let Some(report) = &report {
        known.add(report, report.domain.as_ref(), now);
    }
    let History { accepted, accepted_unnamed, absent, first_accepted_at, accepted_at, lost, .. } =
        known.history(removal, false);
    known.has_accepted().then(|| Report {
        task: Task::Prove,
        accepted,
        accepted_unnamed,
        already_absent: absent,
        not_found: Vec::new(),
        refused: Vec::new(),
        first_accepted_at,
        accepted_at,
        lost,
        seen: known.was_seen(),
        through_roles: BTreeSet::new(),
        read_at: None,
        connection: report.and_then(|report| report.connection),
        domain: known.domain.and_then(|domain| domain.parse().ok()),
        correlation: known.correlation.as_deref().map(Into::into),
        end: End::HandedBack(Refusal::Gone),
    })
}
