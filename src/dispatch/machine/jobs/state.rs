//! The state of one job: what became of each of its items, and what it needs next. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::auth0::{CallError, Endpoint, Item, ItemKind, Missing, Read, Rejection};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{NamespaceId, Priority};
use crate::dispatch::job::{End, History, Job, Owner, Removal, Task, Unverified};
use crate::dispatch::machine::diagnosis::{DiagnosisStep, Finding, diagnose};

use super::pending::{Diagnosis, PendingRead, ReadPurpose};
use super::step::{ItemResult, NextStep, ReadRequest, Suspect, Unresolved};

/// What a job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    ReadBefore,
    Removing,
    Proving,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemState {
    /// Its DELETE has no result yet.
    Open,
    /// The same; a read before did not show it, but the list lags, so the DELETE is sent nevertheless.
    OpenUnseen,
    Accepted,
    Absent,
    /// Auth0 does not know it.
    NotFound,
    /// Its DELETE was answered with 404, and it could not be found out whether that is about the item.
    Unclear,
    Refused,
    Failed,
}

/// The state of a job.
#[derive(Debug)]
pub(crate) struct JobState {
    pub(crate) owner: Owner,
    pub(crate) removal: Removal,
    pub(crate) task: Task,
    pub(crate) connection: ConnectionKey,
    pub(crate) ns: NamespaceId,
    pub(crate) submitted: Instant,
    pub(crate) phase: Phase,
    pub(crate) states: Vec<ItemState>,
    /// How many items are open, and how many of those are in a call.
    pub(crate) open_items: usize,
    pub(crate) items_in_flight: usize,
    /// Items that the next reads are about.
    unresolved: Vec<Unresolved>,
    /// Items whose DELETE is to be sent next, by index.
    pub(super) resend: Vec<(usize, Option<Suspect>)>,
    /// Whether they wait until lists that lag show what is so now.
    pub(super) resends_later: bool,
    pub(super) diagnosis: Option<Diagnosis>,
    pub(super) pending_read: Option<PendingRead>,
    /// The error that the job reports if any of its items failed.
    error: Option<CallError>,
    missing: Option<Missing>,
    /// Whether a read still has to verify the removal: an item was accepted, or comes from the history.
    unproved: bool,
    /// How the job ends, once that is decided.
    pub(super) end: Option<End>,
    pub(super) accepted_unnamed: usize,
    pub(super) first_accepted_at: Option<Timestamp>,
    pub(super) accepted_at: Option<Timestamp>,
    /// Whether an item was accepted since the job last advanced.
    pub(crate) newly_accepted: bool,
    pub(super) lost: bool,
    pub(super) seen: bool,
    /// See [`History::known_gone`].
    pub(super) known_gone: bool,
    /// The roles through which the user has what the job names, as the last read showed.
    pub(crate) through_roles: BTreeSet<Arc<str>>,
    pub(super) read_at: Option<Timestamp>,
    /// Whether any call for this job was made.
    pub(super) called: bool,
    pub(super) correlation: Option<Arc<str>>,
    /// Whether the last call for this job was answered with a 429 whose wait is long enough to be shown.
    pub(crate) rate_limited: bool,
    /// Whether its owner was woken to show what the job waits for.
    pub(crate) wait_reported: bool,
    /// Its number among the jobs of its namespace, and whether a call for it was sent.
    pub(crate) number: u64,
    pub(crate) started: bool,
}

/// Of the errors of several items the job reports one. A rejection is the last choice: with any other error, a retry of
/// the job may help.
const fn is_rejection(error: &CallError) -> bool {
    matches!(error, CallError::Rejected(_))
}

impl JobState {
    pub(super) fn new(job: Job, connection: ConnectionKey, ns: NamespaceId, now: Instant) -> Self {
        let Job { owner, removal, task, history } = job;
        let History { accepted, accepted_unnamed, absent, first_accepted_at, accepted_at, .. } = history;
        let History { lost, seen, known_gone, .. } = history;
        let state = |item| match () {
            () if task == Task::Observe => ItemState::Open,
            () if accepted.contains(item) => ItemState::Accepted,
            () if absent.contains(item) => ItemState::Absent,
            () => ItemState::Open,
        };
        let states: Vec<ItemState> = removal.items.iter().map(state).collect();
        let open = states.iter().filter(|state| **state == ItemState::Open).count();
        let reads_first = |before| open > 0 && (before || lost && removal.endpoint.row().strongly_consistent);
        let phase = match task {
            Task::Prove => Phase::Proving,
            Task::Observe | Task::Learn(_) => Phase::ReadBefore,
            Task::Remove { before, .. } if reads_first(before) => Phase::ReadBefore,
            Task::Remove { .. } => Phase::Removing,
        };
        // Nothing may be concluded from an empty list of items (docs/design.md, promise 4).
        let no_items = removal.items.is_empty().then_some(End::Failed(CallError::Rejected(Rejection::Body)));
        let mut new = Self {
            owner,
            removal,
            task,
            connection,
            ns,
            submitted: now,
            phase,
            open_items: if phase == Phase::Proving { 0 } else { open },
            items_in_flight: 0,
            unresolved: Vec::new(),
            resend: Vec::new(),
            resends_later: false,
            diagnosis: None,
            pending_read: None,
            error: None,
            missing: None,
            unproved: states.iter().any(|state| *state != ItemState::Open),
            end: no_items,
            accepted_unnamed,
            first_accepted_at,
            accepted_at,
            newly_accepted: false,
            lost,
            seen,
            known_gone,
            through_roles: BTreeSet::new(),
            read_at: None,
            called: false,
            correlation: None,
            rate_limited: false,
            wait_reported: false,
            number: 0,
            started: false,
            states,
        };
        if phase == Phase::Removing {
            new.resend = new.all_open();
        }
        new
    }

    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.removal.endpoint
    }

    /// Whether its items are users.
    const fn names_users(&self) -> bool {
        matches!(self.endpoint().items(), ItemKind::Member)
    }

    pub(super) const fn strongly_consistent(&self) -> bool {
        self.endpoint().row().strongly_consistent
    }

    /// The indexes of the open items that wait for a read, or whose DELETE is to be sent next.
    pub(crate) fn held_items(&self) -> impl Iterator<Item = usize> {
        let pending = self.pending_read.iter().flat_map(|read| &read.unresolved);
        let diagnosed = self.diagnosis.iter().flat_map(|diagnosis| &diagnosis.items);
        let unresolved = self.unresolved.iter().chain(pending).chain(diagnosed).map(|unresolved| unresolved.index);
        unresolved.chain(self.resend.iter().map(|(index, _)| *index))
    }

    /// How many answers the job waits for; `None` if it waits for no read.
    pub(crate) fn answers_due(&self) -> Option<usize> {
        self.pending_read.as_ref().map(|read| read.answers_due)
    }

    /// All open items, by index, to be sent without suspicion.
    pub(crate) fn all_open(&self) -> Vec<(usize, Option<Suspect>)> {
        let is_open = |state: &ItemState| matches!(state, ItemState::Open | ItemState::OpenUnseen);
        let open = self.states.iter().enumerate().filter(|(_, state)| is_open(state));
        open.map(|(index, _)| (index, None)).collect()
    }

    /// A call for this job was made.
    pub(crate) const fn record_call(&mut self) {
        self.called = true;
    }

    /// A DELETE for this job may have taken effect.
    pub(crate) fn record_delete(&mut self, correlation: &Arc<str>) {
        self.correlation = Some(correlation.clone());
    }

    /// Takes the result of a DELETE for the item with this index.
    pub(crate) fn settle(&mut self, index: usize, result: ItemResult) {
        match result {
            ItemResult::Accepted(at) => {
                self.first_accepted_at.get_or_insert(at);
                (self.accepted_at, self.newly_accepted) = (Some(at), true);
                (self.seen, self.unproved) = (true, true);
                let unseen = self.states[index] == ItemState::OpenUnseen;
                self.close(index, if unseen { ItemState::Absent } else { ItemState::Accepted });
            }
            // That one of several members does not exist says nothing about the others.
            ItemResult::NotFound(Missing::Subject) if self.removal.items.len() == 1 || !self.names_users() => {
                self.end = Some(End::NotFound(Missing::Subject));
            }
            ItemResult::NotFound(Missing::Subject | Missing::Item) => {
                self.missing.get_or_insert(Missing::Item);
                self.close(index, ItemState::NotFound);
            }
            ItemResult::NotFound(Missing::Unclear) => {
                self.missing = Some(Missing::Unclear);
                self.close(index, ItemState::Unclear);
            }
            ItemResult::Failed(error) => {
                self.lost |= error.may_have_worked();
                let rejected = is_rejection(&error);
                self.close(index, if rejected { ItemState::Refused } else { ItemState::Failed });
                if self.error.as_ref().is_none_or(|before| is_rejection(before) && !rejected) {
                    self.error = Some(error);
                }
            }
            ItemResult::Unresolved(unresolved) => self.unresolved.push(unresolved),
        }
    }

    /// An open item is open no more.
    pub(super) fn close(&mut self, index: usize, state: ItemState) {
        self.states[index] = state;
        self.open_items -= 1;
    }

    /// What the job needs next. To be called after every result that it was given.
    pub(crate) fn next_step(&mut self) -> NextStep {
        if let Some(end) = self.end.take() {
            return NextStep::End(end);
        }
        if !self.resend.is_empty() {
            let later = std::mem::take(&mut self.resends_later);
            return NextStep::Remove { items: std::mem::take(&mut self.resend), later };
        }
        if self.pending_read.is_some() {
            return NextStep::Wait;
        }
        if let Task::Learn(question) = &self.task {
            let read = Read::Answer(question.clone());
            let request = ReadRequest { read, ..self.read_list(Vec::new(), true) };
            return self.start_read(ReadPurpose::Learning, Vec::new(), Vec::new(), request);
        }
        if let Some(diagnosis) = self.diagnosis.take() {
            return self.continue_diagnosis(diagnosis);
        }
        if !self.unresolved.is_empty() {
            return self.read_unresolved();
        }
        if self.phase == Phase::Removing {
            if self.open_items > 0 {
                return NextStep::Wait;
            }
            if let Some(end) = self.end_of_removing() {
                return NextStep::End(end);
            }
            self.phase = Phase::Proving;
        }
        let (purpose, wanted) = match self.phase {
            Phase::ReadBefore => {
                let open = self.all_open();
                (ReadPurpose::Before, open.iter().map(|(index, _)| self.removal.items[*index].clone()).collect())
            }
            Phase::Removing | Phase::Proving => (ReadPurpose::Proof, self.removal.items.clone()),
        };
        let is_last = purpose == ReadPurpose::Proof || self.task == Task::Observe;
        let request = self.read_list(wanted, is_last);
        self.start_read(purpose, Vec::new(), Vec::new(), request)
    }

    fn continue_diagnosis(&mut self, Diagnosis { items, findings, read_at }: Diagnosis) -> NextStep {
        // What lists something exists, and so does what Auth0 has accepted a DELETE of.
        self.seen |= findings.contains(&Finding::There) || self.phase == Phase::Proving;
        match diagnose(self.endpoint(), &findings, self.seen) {
            DiagnosisStep::Verdict(verdict) => {
                self.diagnosed(verdict, items, read_at);
                self.next_step()
            }
            DiagnosisStep::Read(read, wanted) => {
                let (priority, first_page_only) = (self.priority(), wanted.is_none());
                let wanted = wanted.into_iter().collect();
                let request = ReadRequest { read, wanted, first_page_only, priority, retry_first_page: true };
                self.start_read(ReadPurpose::Diagnosis, items, findings, request)
            }
        }
    }

    /// Reads about the unresolved items, either those without an answer or those with a 404; the others follow later.
    fn read_unresolved(&mut self) -> NextStep {
        let no_answer = self.unresolved.first().is_some_and(|first| first.error.may_have_worked());
        let (now, later) = self.unresolved.drain(..).partition(|item| item.error.may_have_worked() == no_answer);
        self.unresolved = later;
        if no_answer {
            return self.read_after_no_answer(now);
        }
        self.diagnosis = Some(Diagnosis { items: now, findings: Vec::new(), read_at: None });
        self.next_step()
    }

    /// Where the list lags, its content decides nothing; but whether it can be read at all shows whether only these
    /// items fail, or Auth0 as a whole.
    fn read_after_no_answer(&mut self, unresolved: Vec<Unresolved>) -> NextStep {
        self.lost = true;
        let request = if self.strongly_consistent() {
            self.read_list(unresolved.iter().map(|item| self.removal.items[item.index].clone()).collect(), false)
        } else {
            ReadRequest { first_page_only: true, ..self.read_list(Vec::new(), false) }
        };
        self.start_read(ReadPurpose::NoAnswer, unresolved, Vec::new(), request)
    }

    const fn priority(&self) -> Priority {
        match (&self.task, self.phase) {
            (Task::Observe, _) => Priority::Observation,
            (Task::Learn(_), _) => Priority::Removal,
            (Task::Remove { .. } | Task::Prove, Phase::ReadBefore | Phase::Removing) => Priority::Removal,
            (Task::Remove { .. } | Task::Prove, Phase::Proving) => Priority::Proof,
        }
    }

    fn read_list(&self, wanted: Vec<Item>, retry_first_page: bool) -> ReadRequest {
        let (read, priority) = (Read::List(self.endpoint().clone()), self.priority());
        ReadRequest { read, wanted, first_page_only: false, priority, retry_first_page }
    }

    fn start_read(
        &mut self,
        purpose: ReadPurpose,
        unresolved: Vec<Unresolved>,
        findings: Vec<Finding>,
        request: ReadRequest,
    ) -> NextStep {
        let (first_page_only, answers_due) = (request.first_page_only, request.wanted.len());
        let (present, by_list, error, began) = (Vec::new(), false, None, None);
        let read =
            PendingRead { purpose, unresolved, findings, first_page_only, answers_due, present, by_list, error, began };
        self.pending_read = Some(read);
        NextStep::Read(request)
    }

    fn end_of_removing(&mut self) -> Option<End> {
        if let Some(error) = self.error.take() {
            return Some(End::Failed(error));
        }
        match (self.unproved, &self.task) {
            // Every item that was not accepted was found absent by a read of this job.
            (false, _) => Some(self.end_unless_missing(End::Gone)),
            // Nor was anything accepted before; so no removal is left to verify.
            (true, Task::Remove { after: false, .. }) if self.accepted_at.is_none() => {
                Some(self.end_unless_missing(End::Gone))
            }
            (true, Task::Remove { after: false, .. }) => {
                Some(self.end_unless_missing(End::Unverified(Unverified::Never)))
            }
            (true, Task::Remove { after: true, .. } | Task::Prove | Task::Observe | Task::Learn(_)) => None,
        }
    }

    /// `end`, unless there are items that Auth0 does not know.
    pub(super) fn end_unless_missing(&self, end: End) -> End {
        self.missing.map_or(end, End::NotFound)
    }
}
