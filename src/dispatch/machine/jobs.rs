//! How far each job has come: what became of each of its items, what it asks next, and when it is over. Pure.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Instant;

use foldhash::HashMap;
use jiff::Timestamp;
use slab::Slab;

use crate::auth0::{CallError, Domain, Endpoint, Item, Missing, Read, Rejection};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{Ns, Rank};
use crate::dispatch::job::{End, History, Job, Owner, Removal, Report, Task, Unverified};

use super::look::{Found, Look, Verdict, diagnose};

/// A job; never another one that came to its place later. Ordered by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct JobId {
    pub(super) stamp: u64,
    pub(super) key: usize,
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    ReadBefore,
    Removing,
    Proving,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing yet.
    Open,
    /// Nothing yet; a read before did not show it, but may not spare its DELETE.
    Unseen,
    Accepted,
    Absent,
    NotFound,
    Refused,
    Failed,
}

/// In which batches an item of a failed one may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suspect {
    /// So many items at most, itself included; zero after it has failed alone.
    pub(super) most: usize,
    /// When the first of the failed calls was begun.
    pub(super) since: Instant,
}

/// What became of one item in a call.
#[derive(Clone, Debug)]
pub(super) enum Settled {
    /// Auth0 accepted its DELETE, then.
    Accepted(Timestamp),
    NotFound(Missing),
    Failed(CallError),
    /// Nothing is known before a read, or a look.
    Unsure(Unsure),
}

/// An item that is read about before anything more is done for it.
#[derive(Clone, Debug)]
pub(super) struct Unsure {
    pub(super) index: usize,
    pub(super) error: CallError,
    pub(super) suspect: Suspect,
}

/// Why a list could not be read.
#[derive(Clone, Debug)]
pub(super) enum ReadError {
    /// A call failed.
    Call(CallError),
    /// It never came to an end that can be believed.
    Unreadable(CallError),
}

/// A question: which of these does the list hold?
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) read: Read,
    pub(super) wanted: Vec<Item>,
    /// Only whether it can be read at all: its first page.
    pub(super) glance: bool,
    pub(super) rank: Rank,
    /// A first page that fails is asked for again.
    pub(super) patient: bool,
}

/// What a job needs next.
#[derive(Debug)]
pub(super) enum Need {
    /// Answers to what it already asked for.
    Patience,
    Read(Question),
    /// These of its items removed.
    Remove(Vec<(usize, Option<Suspect>)>),
    /// Nothing.
    Ended(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Read first.
    Before,
    /// A DELETE had no answer.
    Unknown,
    /// A call was answered with 404.
    Missing,
    /// Read afterwards.
    Proof,
}

/// A question that is out.
#[derive(Debug)]
struct Asking {
    why: Why,
    /// What the answer decides about.
    unsure: Vec<Unsure>,
    /// What earlier looks of this diagnosis found.
    found: Vec<Found>,
    glance: bool,
    /// Answers that are missing, what those that came showed, and when the first of their reads began.
    open: usize,
    present: Vec<Item>,
    error: Option<ReadError>,
    began: Option<Timestamp>,
}

/// One job.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) owner: Owner,
    pub(super) removal: Removal,
    pub(super) task: Task,
    pub(super) connection: ConnectionKey,
    pub(super) ns: Ns,
    pub(super) submitted: Instant,
    pub(super) phase: Phase,
    pub(super) states: Vec<State>,
    /// Items that are open, and those of them that are in a call.
    pub(super) open: usize,
    pub(super) out: usize,
    /// Those that are read about next, and those that are sent again next.
    unsure: Vec<Unsure>,
    again: Vec<(usize, Option<Suspect>)>,
    /// A diagnosis that needs another look.
    looks: Option<(Vec<Unsure>, Vec<Found>, Option<Timestamp>)>,
    asking: Option<Asking>,
    error: Option<CallError>,
    missing: Option<Missing>,
    /// Something was accepted, or told of before, that no read has proved.
    unproved: bool,
    over: Option<End>,
    first_accepted_at: Option<Timestamp>,
    accepted_at: Option<Timestamp>,
    lost: bool,
    seen: bool,
    read_at: Option<Timestamp>,
    called: bool,
    correlation: Option<Arc<str>>,
    /// The last call of its own was answered with 429.
    pub(super) limited: bool,
    /// Its owner was told that it waits.
    pub(super) shown: bool,
    /// Its number among the jobs of its namespace, and whether a call for it has left.
    pub(super) number: u64,
    pub(super) begun: bool,
}

/// All jobs of a machine.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: Slab<(u64, Progress)>,
    by_uid: HashMap<Arc<str>, JobId>,
    stamp: u64,
}

impl Jobs {
    /// A new job; `None` while its owner has one. `enter` numbers its namespace.
    pub(super) fn insert(
        &mut self,
        job: Job,
        connection: ConnectionKey,
        now: Instant,
        enter: impl FnOnce(&Arc<str>) -> Ns,
    ) -> Option<JobId> {
        let Entry::Vacant(place) = self.by_uid.entry(job.owner.uid.clone()) else { return None };
        self.stamp += 1;
        let ns = enter(&job.owner.namespace);
        let key = self.jobs.insert((self.stamp, Progress::new(job, connection, ns, now)));
        Some(*place.insert(JobId { stamp: self.stamp, key }))
    }

    pub(super) fn get(&self, id: JobId) -> Option<&Progress> {
        self.jobs.get(id.key).filter(|(stamp, _)| *stamp == id.stamp).map(|(_, job)| job)
    }

    pub(super) fn get_mut(&mut self, id: JobId) -> Option<&mut Progress> {
        self.jobs.get_mut(id.key).filter(|(stamp, _)| *stamp == id.stamp).map(|(_, job)| job)
    }

    pub(super) fn find(&self, uid: &str) -> Option<JobId> {
        self.by_uid.get(uid).copied()
    }

    pub(super) fn remove(&mut self, id: JobId) -> Option<Progress> {
        self.get(id)?;
        let (_, job) = self.jobs.remove(id.key);
        self.by_uid.remove(&job.owner.uid);
        Some(job)
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (JobId, &Progress)> {
        self.jobs.iter().map(|(key, (stamp, job))| (JobId { stamp: *stamp, key }, job))
    }
}

/// Which error of several items is the job's: as long as another try may help, a refusal is not the last word.
const fn weight(error: &CallError) -> u8 {
    if matches!(error, CallError::Rejected(_)) { 1 } else { 2 }
}

/// Whether a read was refused for good, so that what it was for goes on without it.
const fn is_refusal(error: &CallError) -> bool {
    use CallError::{Denied, InsufficientScope, NotFound, Rejected};
    matches!(error, Rejected(_) | Denied(_) | InsufficientScope(_) | NotFound(_))
}

impl Progress {
    fn new(job: Job, connection: ConnectionKey, ns: Ns, now: Instant) -> Self {
        let Job { owner, removal, task, history } = job;
        let History { accepted, absent, first_accepted_at, accepted_at, lost, seen } = history;
        let state = |item| match () {
            () if accepted.contains(item) => State::Accepted,
            () if absent.contains(item) => State::Absent,
            () => State::Open,
        };
        let states: Vec<State> = removal.items.iter().map(state).collect();
        let mut open = states.iter().filter(|state| **state == State::Open).count();
        let phase = match task {
            Task::Prove => {
                open = 0;
                Phase::Proving
            }
            Task::Remove { before, .. } if open > 0 && (before || lost && removal.endpoint.row().may_spare) => {
                Phase::ReadBefore
            }
            Task::Remove { .. } => Phase::Removing,
        };
        // An empty list is never taken for anything (promise 4).
        let nothing = removal.items.is_empty().then_some(End::Failed(CallError::Rejected(Rejection::Body)));
        let mut new = Self {
            owner,
            removal,
            task,
            connection,
            ns,
            submitted: now,
            phase,
            open,
            out: 0,
            unsure: Vec::new(),
            again: Vec::new(),
            looks: None,
            asking: None,
            error: None,
            missing: None,
            unproved: states.iter().any(|state| *state != State::Open),
            over: nothing,
            first_accepted_at,
            accepted_at,
            lost,
            seen,
            read_at: None,
            called: false,
            correlation: None,
            limited: false,
            shown: false,
            number: 0,
            begun: false,
            states,
        };
        if phase == Phase::Removing {
            new.again = new.opened();
        }
        new
    }

    const fn endpoint(&self) -> &Endpoint {
        &self.removal.endpoint
    }

    const fn may_spare(&self) -> bool {
        self.endpoint().row().may_spare
    }

    /// Items that are read about, or are to be, and those that are about to be sent again.
    pub(super) fn held(&self) -> impl Iterator<Item = usize> {
        let asking = self.asking.iter().flat_map(|asking| &asking.unsure);
        let looks = self.looks.iter().flat_map(|(unsure, ..)| unsure);
        let unsure = self.unsure.iter().chain(asking).chain(looks).map(|unsure| unsure.index);
        unsure.chain(self.again.iter().map(|(index, _)| *index))
    }

    /// How many answers it waits for, if it asked something.
    pub(super) fn asks(&self) -> Option<usize> {
        self.asking.as_ref().map(|asking| asking.open)
    }

    pub(super) fn opened(&self) -> Vec<(usize, Option<Suspect>)> {
        let open = self.states.iter().enumerate().filter(|(_, state)| matches!(state, State::Open | State::Unseen));
        open.map(|(index, _)| (index, None)).collect()
    }

    /// A call for this job was answered.
    pub(super) const fn called(&mut self) {
        self.called = true;
    }

    /// A DELETE for this job left, and may have had an effect.
    pub(super) fn sent(&mut self, correlation: &Arc<str>) {
        self.correlation = Some(correlation.clone());
    }

    /// What became of one item.
    pub(super) fn settle(&mut self, index: usize, how: Settled) {
        match how {
            Settled::Accepted(at) => {
                self.first_accepted_at.get_or_insert(at);
                self.accepted_at = Some(at);
                (self.seen, self.unproved) = (true, true);
                let unseen = self.states[index] == State::Unseen;
                self.close(index, if unseen { State::Absent } else { State::Accepted });
            }
            Settled::NotFound(Missing::Subject) => self.over = Some(End::NotFound(Missing::Subject)),
            Settled::NotFound(what) => {
                self.missing = Some(what);
                self.close(index, State::NotFound);
            }
            Settled::Failed(error) => {
                self.lost |= error.may_have_worked();
                self.close(index, if weight(&error) == 1 { State::Refused } else { State::Failed });
                if self.error.as_ref().is_none_or(|before| weight(before) < weight(&error)) {
                    self.error = Some(error);
                }
            }
            Settled::Unsure(unsure) => self.unsure.push(unsure),
        }
    }

    fn close(&mut self, index: usize, state: State) {
        self.states[index] = state;
        self.open -= 1;
    }

    /// What it needs next. To be asked whenever something was settled or answered.
    pub(super) fn next(&mut self) -> Need {
        if let Some(end) = self.over.take() {
            return Need::Ended(end);
        }
        if !self.again.is_empty() {
            return Need::Remove(std::mem::take(&mut self.again));
        }
        if self.asking.is_some() {
            return Need::Patience;
        }
        if let Some((unsure, found, began)) = self.looks.take() {
            return match diagnose(self.endpoint(), &found) {
                Look::Verdict(verdict) => {
                    self.diagnosed(verdict, unsure, began);
                    self.next()
                }
                Look::Read(read, wanted) => {
                    let (rank, glance) = (self.rank(), wanted.is_none());
                    let wanted = wanted.into_iter().collect();
                    self.ask(Why::Missing, unsure, found, Question { read, wanted, glance, rank, patient: true })
                }
            };
        }
        if let Some(first) = self.unsure.first() {
            let unknown = first.error.may_have_worked();
            let (now, later) = self.unsure.drain(..).partition(|unsure| unsure.error.may_have_worked() == unknown);
            self.unsure = later;
            if unknown {
                return self.ask_again(now);
            }
            self.looks = Some((now, Vec::new(), None));
            return self.next();
        }
        if self.phase == Phase::Removing {
            if self.open > 0 {
                return Need::Patience;
            }
            if let Some(end) = self.after_removing() {
                return Need::Ended(end);
            }
            self.phase = Phase::Proving;
        }
        let (why, wanted) = match self.phase {
            Phase::ReadBefore => {
                (Why::Before, self.opened().iter().map(|(n, _)| self.removal.items[*n].clone()).collect())
            }
            _ => (Why::Proof, self.removal.items.clone()),
        };
        let question = self.list(wanted, why == Why::Proof);
        self.ask(why, Vec::new(), Vec::new(), question)
    }

    /// After DELETEs without an answer. Where the list decides nothing, whether it can be read still tells whether it is
    /// the items or all of Auth0 that fails.
    fn ask_again(&mut self, unsure: Vec<Unsure>) -> Need {
        self.lost = true;
        let question = if self.may_spare() {
            self.list(unsure.iter().map(|unsure| self.removal.items[unsure.index].clone()).collect(), false)
        } else {
            Question { glance: true, ..self.list(Vec::new(), false) }
        };
        self.ask(Why::Unknown, unsure, Vec::new(), question)
    }

    const fn rank(&self) -> Rank {
        if matches!(self.phase, Phase::Proving) { Rank::Proof } else { Rank::Removal }
    }

    fn list(&self, wanted: Vec<Item>, patient: bool) -> Question {
        Question { read: Read::List(self.endpoint().clone()), wanted, glance: false, rank: self.rank(), patient }
    }

    fn ask(&mut self, why: Why, unsure: Vec<Unsure>, found: Vec<Found>, question: Question) -> Need {
        let (glance, open) = (question.glance, question.wanted.len());
        self.asking = Some(Asking { why, unsure, found, glance, open, present: Vec::new(), error: None, began: None });
        Need::Read(question)
    }

    /// Whether something it asked is being read.
    pub(super) fn is_read(&self) -> bool {
        self.asking.as_ref().is_some_and(|asking| asking.began.is_some())
    }

    /// A read that answers it begins.
    pub(super) fn read_begins(&mut self, at: Timestamp) {
        if let Some(asking) = &mut self.asking {
            asking.began = Some(asking.began.map_or(at, |began| began.min(at)));
        }
    }

    /// What a read says about `asked` of the items it asked about: which of them are there.
    pub(super) fn answer(&mut self, asked: usize, result: Result<Vec<Item>, ReadError>) {
        let Some(asking) = &mut self.asking else { return };
        self.called = true;
        match result {
            Ok(present) => asking.present.extend(present),
            Err(error) => drop(asking.error.get_or_insert(error)),
        }
        asking.open = asking.open.saturating_sub(asked);
        if asking.open > 0 {
            return;
        }
        let Some(Asking { why, unsure, mut found, glance, present, error, began, .. }) = self.asking.take() else {
            return;
        };
        let result = error.map_or(Ok(present), Err);
        if let (Ok(present), true) = (&result, matches!(why, Why::Before | Why::Proof)) {
            // A person's organizations tell nothing about one that is not among them.
            self.seen |= !matches!(self.endpoint(), Endpoint::OrganizationMembers { .. }) || !present.is_empty();
        }
        match why {
            Why::Before => self.read_before(result, began),
            Why::Unknown => self.read_again(unsure, result, began),
            Why::Proof => self.proved(result, began),
            Why::Missing => {
                found.push(match result {
                    Ok(present) if !glance && present.is_empty() => Found::No,
                    Ok(_) => Found::Yes,
                    Err(ReadError::Call(CallError::NotFound(_))) => Found::Missing,
                    Err(_) => Found::Refused,
                });
                self.looks = Some((unsure, found, began));
            }
        }
    }

    fn read_before(&mut self, result: Result<Vec<Item>, ReadError>, began: Option<Timestamp>) {
        match result {
            Ok(present) => {
                let absent = self.opened().into_iter().filter(|(n, _)| !present.contains(&self.removal.items[*n]));
                for (index, _) in absent.collect::<Vec<_>>() {
                    if self.may_spare() {
                        self.gone(index, began);
                    } else if !self.lost {
                        self.states[index] = State::Unseen;
                    }
                }
            }
            Err(ReadError::Call(error)) if !is_refusal(&error) => {
                self.over = Some(End::Failed(error));
                return;
            }
            // The removal is wanted all the same, and its own answer tells what is the matter.
            Err(_) => {}
        }
        self.phase = Phase::Removing;
        self.again = self.opened();
    }

    /// A complete read that may spare a DELETE does not show this item. An earlier one without an answer may have removed
    /// it; nobody accepted that.
    fn gone(&mut self, index: usize, began: Option<Timestamp>) {
        self.read_at = began;
        self.close(index, State::Absent);
    }

    /// A read after DELETEs without an answer: what is gone is settled, the rest is sent again, in smaller batches.
    fn read_again(&mut self, unsure: Vec<Unsure>, result: Result<Vec<Item>, ReadError>, began: Option<Timestamp>) {
        let failing = matches!(&result, Err(ReadError::Call(error)) if !is_refusal(error));
        for Unsure { index, error, suspect } in unsure {
            let shown = result.as_ref().map_or(true, |present| present.contains(&self.removal.items[index]));
            if failing {
                self.settle(index, Settled::Failed(error));
            } else if self.may_spare() && !shown {
                self.gone(index, began);
            } else {
                self.again.push((index, Some(suspect)));
            }
        }
    }

    fn diagnosed(&mut self, verdict: Verdict, unsure: Vec<Unsure>, began: Option<Timestamp>) {
        // Whatever was accepted was there until now.
        self.seen |= verdict == Verdict::Item || self.phase == Phase::Proving;
        if matches!(verdict, Verdict::Subject | Verdict::Absent) {
            self.read_at = began;
        }
        match (verdict, self.phase) {
            (Verdict::Subject, _) => self.over = Some(End::NotFound(Missing::Subject)),
            // No member, so without any of a member's roles.
            (Verdict::Absent, Phase::Proving) => self.over = Some(self.verdict(End::Gone)),
            (_, Phase::Proving) => {
                let error = CallError::NotFound(Missing::Unclear);
                self.over = Some(End::Unverified(Unverified::ReadRefused(error)));
            }
            _ => {}
        }
        for Unsure { index, suspect, .. } in unsure {
            match verdict {
                // Others of its batch may be what the 404 was about.
                _ if suspect.most > 0 => self.again.push((index, Some(suspect))),
                Verdict::Absent => self.close(index, State::Absent),
                Verdict::Item => self.settle(index, Settled::NotFound(Missing::Item)),
                Verdict::Subject | Verdict::Unclear => self.settle(index, Settled::NotFound(Missing::Unclear)),
            }
        }
    }

    fn after_removing(&mut self) -> Option<End> {
        if let Some(error) = self.error.take() {
            return Some(End::Failed(error));
        }
        match (self.unproved, self.task) {
            // Whatever was not accepted has been read already.
            (false, _) => Some(self.verdict(End::Gone)),
            (true, Task::Remove { after: false, .. }) => Some(self.verdict(End::Unverified(Unverified::Never))),
            (true, _) => None,
        }
    }

    fn proved(&mut self, result: Result<Vec<Item>, ReadError>, began: Option<Timestamp>) {
        self.over = Some(match result {
            Ok(present) => {
                self.read_at = began;
                if present.is_empty() { self.verdict(End::Gone) } else { End::Remaining(present) }
            }
            Err(ReadError::Call(CallError::NotFound(_))) => {
                self.looks = Some((Vec::new(), vec![Found::Missing], began));
                return;
            }
            Err(ReadError::Call(CallError::InsufficientScope(scope))) => {
                End::Unverified(Unverified::MissingScope(scope))
            }
            Err(ReadError::Call(error)) if !is_refusal(&error) => End::Failed(error),
            Err(ReadError::Call(error) | ReadError::Unreadable(error)) => {
                End::Unverified(Unverified::ReadRefused(error))
            }
        });
    }

    /// `end`, unless there are items that Auth0 does not know.
    fn verdict(&self, end: End) -> End {
        self.missing.map_or(end, End::NotFound)
    }

    /// The same job once more, with what is known so far.
    pub(super) fn again(&self) -> Job {
        let history = History {
            accepted: self.of(State::Accepted),
            absent: self.of(State::Absent),
            first_accepted_at: self.first_accepted_at,
            accepted_at: self.accepted_at,
            lost: self.lost || self.out > 0,
            seen: self.seen,
        };
        Job { owner: self.owner.clone(), removal: self.removal.clone(), task: self.task, history }
    }

    fn of(&self, wanted: State) -> Vec<Item> {
        let items = self.removal.items.iter().zip(&self.states).filter(|(_, state)| **state == wanted);
        items.map(|(item, _)| item.clone()).collect()
    }

    pub(super) fn report(&self, end: End, domain: &Domain) -> Report {
        Report {
            accepted: self.of(State::Accepted),
            already_absent: self.of(State::Absent),
            not_found: self.of(State::NotFound),
            refused: self.of(State::Refused),
            first_accepted_at: self.first_accepted_at,
            accepted_at: self.accepted_at,
            // What is on its way is answered to nobody.
            lost: self.lost || self.out > 0,
            seen: self.seen,
            read_at: self.read_at,
            connection: self.called.then_some(self.connection),
            domain: self.called.then(|| domain.clone()),
            correlation: self.correlation.clone(),
            end,
        }
    }
}
