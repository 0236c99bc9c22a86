//! What the result of a read means for a job. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::auth0::{CallError, Item, Missing};
use crate::dispatch::job::{End, Task, Unverified};
use crate::dispatch::machine::diagnosis::{Finding, Verdict};

use super::pending::{Diagnosis, PendingRead, ReadPurpose};
use super::state::{ItemState, JobState, Phase};
use super::step::{ItemResult, ReadError, Suspect, Unresolved};

/// For so long after a DELETE lists may contradict each other. After that, a proof is not waited for any longer.
const LISTS_AGREE_WITHIN: Duration = Duration::from_secs(60);
/// The user's own list shows the membership that a 404 denies. Another try, once the lists agree, decides.
const UNSETTLED: CallError = CallError::no_answer(
    "Auth0 knows no such member (404), but still lists the organization for that user; its lists lag by some seconds",
);

type ReadResult = Result<Vec<Item>, ReadError>;

impl JobState {
    /// Whether the read that the job waits for has begun.
    pub(crate) fn is_being_read(&self) -> bool {
        self.pending_read.as_ref().is_some_and(|read| read.began.is_some())
    }

    /// A walk that answers the pending read begins.
    pub(crate) fn read_started(&mut self, at: Timestamp) {
        if let Some(read) = &mut self.pending_read {
            read.began = Some(read.began.map_or(at, |began| began.min(at)));
        }
    }

    /// The walk that answers the pending read was given up, and begins anew later.
    pub(crate) fn read_put_back(&mut self) {
        if let Some(read) = &mut self.pending_read {
            read.began = None;
        }
    }

    /// Takes a result for the pending read. It answers for `answers` of the wanted items, and holds those of them that
    /// are in the list. `by_list`: it is that of the list, and not of a user's organizations instead.
    pub(crate) fn answer(&mut self, answers: usize, result: ReadResult, by_list: bool) {
        let Some(read) = &mut self.pending_read else { return };
        self.called = true;
        match result {
            Ok(present) => {
                read.present.extend(present);
                read.by_list |= by_list;
            }
            Err(error) => drop(read.error.get_or_insert(error)),
        }
        read.answers_due = read.answers_due.saturating_sub(answers);
        if read.answers_due > 0 {
            return;
        }
        let Some(read) = self.pending_read.take() else { return };
        let PendingRead { purpose, unresolved, mut findings, first_page_only, .. } = read;
        let PendingRead { present, by_list, error, began, .. } = read;
        let result = error.map_or(Ok(present), Err);
        if let (Ok(present), true) = (&result, matches!(purpose, ReadPurpose::Before | ReadPurpose::Proof)) {
            // If members were read user by user, only a user who is a member shows that the organization exists.
            self.seen |= by_list || !present.is_empty();
        }
        match purpose {
            ReadPurpose::Before if self.task == Task::Observe => self.read_to_observe(result, by_list, began),
            ReadPurpose::Before => self.read_before(result, began),
            ReadPurpose::NoAnswer => self.read_after_delete(unresolved, result, began),
            ReadPurpose::Proof => self.read_as_proof(result, began),
            // Whatever came of it is among the facts of the connection.
            ReadPurpose::Learning => self.end = Some(End::Learned),
            ReadPurpose::Diagnosis => {
                findings.push(match result {
                    Ok(present) if !first_page_only && present.is_empty() => Finding::NotThere,
                    Ok(_) => Finding::There,
                    Err(ReadError::Call(CallError::NotFound(_))) => Finding::NotFound,
                    Err(ReadError::Call(error)) if !error.is_lasting() => {
                        self.end = Some(End::Failed(error));
                        return;
                    }
                    Err(_) => Finding::Unreadable,
                });
                self.diagnosis = Some(Diagnosis { items: unresolved, findings, read_at: began });
            }
        }
    }

    fn read_before(&mut self, result: ReadResult, began: Option<Timestamp>) {
        match result {
            Ok(present) => {
                let absent = self.all_open().into_iter().filter(|(n, _)| !present.contains(&self.removal.items[*n]));
                for (index, _) in absent.collect::<Vec<_>>() {
                    if self.strongly_consistent() {
                        self.close_as_absent(index, began);
                    } else if !self.lost {
                        self.states[index] = ItemState::OpenUnseen;
                    }
                }
            }
            Err(ReadError::Call(error)) if !error.is_lasting() => {
                self.end = Some(End::Failed(error));
                return;
            }
            // The removal is attempted nevertheless; if it fails too, its own answer says why.
            Err(_) => {}
        }
        self.phase = Phase::Removing;
        self.resend = self.all_open();
    }

    /// The only read of a job that observes. It answers the question whatever it says, so no read is spared.
    fn read_to_observe(&mut self, result: ReadResult, by_list: bool, began: Option<Timestamp>) {
        match result {
            // Users who are no members do not tell whether the organization exists, as its own list would.
            Ok(present) if !by_list && present.is_empty() && !self.known_gone => {
                self.diagnose_read(Finding::NotThere, began);
            }
            Ok(present) => self.observed(present, began),
            Err(ReadError::Call(CallError::NotFound(_))) => self.diagnose_read(Finding::NotFound, began),
            Err(ReadError::Call(error) | ReadError::Unreadable(error)) => self.end = Some(End::Failed(error)),
        }
    }

    fn observed(&mut self, present: Vec<Item>, began: Option<Timestamp>) {
        let absent = self.all_open().into_iter().filter(|(n, _)| !present.contains(&self.removal.items[*n]));
        for (index, _) in absent.collect::<Vec<_>>() {
            self.close_as_absent(index, began);
        }
        self.read_at = began;
        self.end = Some(if present.is_empty() { End::Gone } else { End::Remaining(present) });
    }

    /// A read was answered with 404, or does not say whether the organization exists.
    fn diagnose_read(&mut self, finding: Finding, began: Option<Timestamp>) {
        self.diagnosis = Some(Diagnosis { items: Vec::new(), findings: vec![finding], read_at: began });
    }

    /// A complete read of a strongly consistent list does not contain this item. It does not count as accepted, even if
    /// an earlier DELETE without an answer removed it.
    fn close_as_absent(&mut self, index: usize, began: Option<Timestamp>) {
        self.read_at = began;
        self.close(index, ItemState::Absent);
    }

    /// The read after DELETEs without an answer. What is gone is settled; the rest is sent again, in smaller batches.
    /// If the read failed too, the DELETEs have failed.
    fn read_after_delete(&mut self, unresolved: Vec<Unresolved>, result: ReadResult, began: Option<Timestamp>) {
        let auth0_fails = matches!(&result, Err(ReadError::Call(error)) if !error.is_lasting());
        for Unresolved { index, error, suspect } in unresolved {
            let shown = result.as_ref().map_or(true, |present| present.contains(&self.removal.items[index]));
            if auth0_fails {
                self.settle(index, ItemResult::Failed(error));
            } else if self.strongly_consistent() && !shown {
                self.close_as_absent(index, began);
            } else {
                self.resend.push((index, Some(suspect)));
            }
        }
    }

    /// Takes the meaning of a 404, which was the answer to the DELETE of these items or, while proving, to the read.
    pub(super) fn diagnosed(&mut self, verdict: Verdict, items: Vec<Unresolved>, read_at: Option<Timestamp>) {
        if matches!(verdict, Verdict::Subject | Verdict::Absent) {
            self.read_at = read_at;
        }
        match (verdict, self.phase) {
            (Verdict::Absent, Phase::ReadBefore) => return self.observed(Vec::new(), read_at),
            (Verdict::Item | Verdict::Unclear, Phase::ReadBefore) => {
                self.end = Some(End::Failed(CallError::NotFound(Missing::Unclear)));
            }
            (Verdict::Subject, _) => self.end = Some(End::NotFound(Missing::Subject)),
            // A user who is not a member of the organization has no roles in it.
            (Verdict::Absent, Phase::Proving) => self.end = Some(self.end_unless_missing(End::Gone)),
            (Verdict::Item | Verdict::Unclear, Phase::Proving) => {
                let error = CallError::NotFound(Missing::Unclear);
                self.end = Some(End::Unverified(Unverified::ReadRefused(error)));
            }
            (Verdict::Unsettled, Phase::Proving) if read_at > self.accepted_at.map(|at| at + LISTS_AGREE_WITHIN) => {
                let error = CallError::NotFound(Missing::Unclear);
                self.end = Some(End::Unverified(Unverified::ReadRefused(error)));
            }
            (Verdict::Unsettled, Phase::ReadBefore | Phase::Proving) => self.end = Some(End::Failed(UNSETTLED)),
            (Verdict::Absent | Verdict::Item | Verdict::Unclear | Verdict::Unsettled, Phase::Removing) => {}
        }
        for Unresolved { index, suspect, .. } in items {
            match verdict {
                Verdict::Unsettled if suspect.asked_again => self.end = Some(End::Failed(UNSETTLED)),
                Verdict::Unsettled => self.ask_again(index, suspect),
                // The 404 may be about another item of the batch.
                _ if suspect.max_batch > 0 => self.resend.push((index, Some(suspect))),
                Verdict::Absent => self.close(index, ItemState::Absent),
                // It may be about a membership that has just ended, which a list that lags still shows.
                Verdict::Item if !self.strongly_consistent() && !suspect.asked_again => self.ask_again(index, suspect),
                Verdict::Item => self.settle(index, ItemResult::NotFound(Missing::Item)),
                Verdict::Subject | Verdict::Unclear => self.settle(index, ItemResult::NotFound(Missing::Unclear)),
            }
        }
    }

    /// Has the DELETE sent again once lists that lag show what is so now.
    fn ask_again(&mut self, index: usize, suspect: Suspect) {
        self.resend.push((index, Some(Suspect { asked_again: true, ..suspect })));
        self.resends_later = true;
    }

    fn read_as_proof(&mut self, result: ReadResult, began: Option<Timestamp>) {
        self.end = Some(match result {
            Ok(present) => {
                self.read_at = began;
                if present.is_empty() { self.end_unless_missing(End::Gone) } else { End::Remaining(present) }
            }
            Err(ReadError::Call(CallError::NotFound(_))) => return self.diagnose_read(Finding::NotFound, began),
            Err(ReadError::Call(CallError::InsufficientScope(scope))) => {
                End::Unverified(Unverified::MissingScope(scope))
            }
            Err(ReadError::Call(error)) if !error.is_lasting() => End::Failed(error),
            Err(ReadError::Call(error) | ReadError::Unreadable(error)) => {
                End::Unverified(Unverified::ReadRefused(error))
            }
        });
    }
}
