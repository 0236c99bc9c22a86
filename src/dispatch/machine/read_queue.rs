//! The reads of one list with one connection: the jobs that wait for the next walk, and the walk that is in progress.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};

use crate::auth0::{Item, Read, Walk};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{NamespaceId, Positions, Priority};

use super::jobs::JobId;

/// While removals at an endpoint are pending, the proofs wait for them for at most this long, so that one walk serves
/// all.
const PROOF_WINDOW: Duration = Duration::from_secs(60);
/// The same for the members of an organization, because their list can have thousands of pages. The shorter time counts
/// if there are at least this many answers for each page.
const MEMBER_PROOF_WINDOW: Duration = Duration::from_secs(600);
const READERS_PER_CHEAP_PAGE: usize = 20;
/// Where a member was just read about alone, the next reads gather for this long.
const READ_WINDOW: Duration = Duration::from_millis(500);
/// Observations of an organization's members gather until none was requested for this long, and at most for
/// [`SETTLE_DELAY`], so that one walk serves all that are due at the same time.
const OBSERVATION_WINDOW: Duration = Duration::from_millis(500);
/// With this many answers due, a walk over an organization's members is worth waiting for. The list lags by 5 to 10
/// seconds, so the walk begins this long after the last read was requested, and at most twice as long after the last
/// removal.
const BULK_THRESHOLD: usize = 20;
const SETTLE_DELAY: Duration = Duration::from_secs(10);
/// When the last removal of a large crowd has ended, a list that has settled shows most of the others already. An early
/// walk answers those if it saves them this much time, and if there are so many answers for each of its pages.
const EARLY_WALK_SAVES: Duration = Duration::from_secs(3);
const ANSWERS_PER_EARLY_PAGE: usize = 50;
/// What is known of a list's length is used for this long.
pub(super) const LENGTH_TTL: Duration = Duration::from_secs(600);

/// A job that waits for a read.
#[derive(Clone, Debug)]
pub(super) struct ReadWaiter {
    pub(super) job: JobId,
    pub(super) ns: NamespaceId,
    pub(super) wanted: Vec<Item>,
    pub(super) added: Instant,
    /// Set if a user's organizations are read instead of an organization's members: the member that the answer is
    /// about.
    pub(super) member: Option<Item>,
    /// Whether the list has to be walked even if reading user by user would be cheaper.
    pub(super) must_walk_list: bool,
    pub(super) priority: Priority,
    pub(super) retry_first_page: bool,
}

/// The reads of one list with one connection.
#[derive(Debug)]
pub(super) struct ReadQueue {
    pub(super) read: Read,
    pub(super) connection: ConnectionKey,
    /// Read only the first page, to find out whether the list can be read at all.
    pub(super) first_page_only: bool,
    /// The jobs that wait for the next walk, how many answers they need in all, and when the first and the last of them
    /// were added.
    pub(super) waiters: Vec<ReadWaiter>,
    pub(super) answers_due: usize,
    first_added: Option<Instant>,
    last_added: Option<Instant>,
    /// Since when no removals have been pending at the endpoint, and whether an early walk was begun since then.
    no_removals_since: Option<Instant>,
    walked_early: bool,
    /// An early walk was given up. There is no other before the next whole walk.
    is_too_long: bool,
    priority: Priority,
    /// The first job of each namespace, as the priority and the arrival of its position.
    fronts: HashMap<NamespaceId, (Priority, u64)>,
    pub(super) walk: Option<ActiveWalk>,
    /// Whether a page was started and has not been answered.
    pub(super) page_in_flight: bool,
    /// No page is started before this time.
    pub(super) pause: Option<Instant>,
    pub(super) positions: Positions,
    pub(super) timer: Option<Instant>,
}

/// A walk in progress. It answers only jobs that waited when it began, unless it proves nothing.
#[derive(Debug)]
pub(super) struct ActiveWalk {
    pub(super) walk: Walk,
    pub(super) waiters: Vec<ReadWaiter>,
    /// The index of the first waiter whose job has not ended.
    pub(super) first_alive: usize,
    /// The number of pages after which the walk is given up.
    pub(super) page_budget: usize,
    /// If it is longer, its jobs wait for the next walk.
    pub(super) is_early: bool,
    /// The number of failures in a row, and of restarts.
    pub(super) failures: u32,
    pub(super) restarts: u32,
    priority: Priority,
    arrival: u64,
}

impl ActiveWalk {
    /// Skips waiters whose jobs have ended.
    pub(super) fn skip_gone(&mut self, alive: impl Fn(&ReadWaiter) -> bool) {
        let first = self.waiters[self.first_alive..].iter().position(alive);
        self.first_alive = first.map_or(self.waiters.len(), |gone| self.first_alive + gone);
    }

    /// The namespace whose turn a page takes: that of the first job that has not ended. If all have ended, that of the
    /// first one; starting the page then finds out that the walk is not needed any more.
    fn ns(&self) -> Option<NamespaceId> {
        self.waiters.get(self.first_alive).or(self.waiters.first()).map(|waiter| waiter.ns)
    }
}

/// What is known of an organization's member list: its least number of pages (zero if unknown), and when members were
/// last read about user by user.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownLength {
    pub(super) pages: usize,
    pub(super) learned_at: Instant,
    pub(super) asked_per_user_at: Option<Instant>,
}

/// How to find out whether certain users are members of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Walk the organization's list, for at most this many pages.
    Walk(usize),
    /// Read the organizations of each user.
    PerUser,
}

impl Plan {
    /// The cheaper way for this many `users`. User by user takes one call for each. A list of unknown length is walked
    /// for at most as many calls, so that both together take at most twice as many calls as the better way.
    pub(super) const fn cheapest(users: usize, length: Option<KnownLength>) -> Self {
        match length {
            _ if users <= 1 => Self::PerUser,
            Some(KnownLength { pages, .. }) if pages >= users => Self::PerUser,
            // The list may have grown, so the budget is not limited to its known pages.
            Some(_) | None => Self::Walk(users),
        }
    }
}

impl ReadQueue {
    pub(super) fn new(read: Read, connection: ConnectionKey, first_page_only: bool) -> Self {
        Self {
            read,
            connection,
            first_page_only,
            waiters: Vec::new(),
            answers_due: 0,
            first_added: None,
            last_added: None,
            no_removals_since: None,
            walked_early: false,
            is_too_long: false,
            priority: Priority::Observation,
            fronts: HashMap::new(),
            walk: None,
            page_in_flight: false,
            pause: None,
            positions: Positions::default(),
            timer: None,
        }
    }

    pub(super) fn add(&mut self, waiter: ReadWaiter, now: Instant) {
        if self.waiters.is_empty() {
            (self.priority, self.first_added) = (waiter.priority, Some(now));
        }
        self.last_added = Some(now);
        if let Some(active) = &mut self.walk {
            // It waits for the end of this walk, which must not be less urgent.
            active.priority = active.priority.min(waiter.priority);
        }
        self.priority = self.priority.min(waiter.priority);
        let front = self.fronts.entry(waiter.ns).or_insert((waiter.priority, waiter.job.stamp));
        front.0 = front.0.min(waiter.priority);
        self.answers_due += waiter.wanted.len();
        self.waiters.push(ReadWaiter { added: now, ..waiter });
    }

    /// Whether a page can be started now. `Err` holds the time from which one can, if that is known. `removing`:
    /// removals are pending at the list's endpoint. Once a walk can begin, this stays so until it has begun.
    pub(super) fn ready(
        &mut self,
        removing: bool,
        length: Option<KnownLength>,
        now: Instant,
    ) -> Result<(), Option<Instant>> {
        if self.page_in_flight || (self.walk.is_none() && self.waiters.is_empty()) {
            return Err(None);
        }
        self.no_removals_since = if removing { None } else { self.no_removals_since.or(Some(now)) };
        self.walked_early &= !removing;
        let first_added = self.first_added.unwrap_or(now);
        let members = self.read.per_user().is_some();
        let at_once =
            self.walk.is_some() || self.positions.ready || self.priority == Priority::Removal || self.first_page_only;
        let gathered = match self.no_removals_since {
            _ if at_once => now,
            _ if self.priority == Priority::Observation => {
                let quiet = if members { OBSERVATION_WINDOW } else { Duration::ZERO };
                (self.last_added.unwrap_or(now) + quiet).min(first_added + SETTLE_DELAY)
            }
            None => {
                let cheap = length
                    .is_some_and(|length| (1..=self.answers_due / READERS_PER_CHEAP_PAGE).contains(&length.pages));
                first_added + if members && !cheap { MEMBER_PROOF_WINDOW } else { PROOF_WINDOW }
            }
            // What an early walk left over waits for the list to settle, too.
            Some(since) if members && (self.answers_due >= BULK_THRESHOLD || self.walked_early) => {
                let for_all =
                    (self.last_added.unwrap_or(now) + SETTLE_DELAY).min(first_added.max(since) + 2 * SETTLE_DELAY);
                self.early_walk_at(since, length).filter(|at| *at + EARLY_WALK_SAVES <= for_all).unwrap_or(for_all)
            }
            // Where one user was just read about alone, more reads may follow.
            Some(_) => length.and_then(|length| length.asked_per_user_at).map_or(now, |asked| asked + READ_WINDOW),
        };
        match gathered.max(self.pause.unwrap_or(now)) {
            until if until <= now => Ok(()),
            until => Err(Some(until)),
        }
    }

    /// When a walk is worth it that answers only the jobs which have waited for the list to settle: half of all.
    fn early_walk_at(&self, since: Instant, length: Option<KnownLength>) -> Option<Instant> {
        let pages = length.map_or(0, |length| length.pages).max(1);
        let is_short = pages <= self.answers_due / 2 / ANSWERS_PER_EARLY_PAGE && !self.is_too_long;
        let half = self.waiters.get(self.waiters.len() / 2).filter(|_| is_short && !self.walked_early)?;
        Some((half.added + SETTLE_DELAY).max(since))
    }

    /// The position that this namespace needs: for the next page of the walk in progress, or for the next walk.
    pub(super) fn front(&self, ns: NamespaceId) -> Option<(Priority, u64)> {
        match &self.walk {
            Some(active) => (active.ns() == Some(ns)).then_some((active.priority, active.arrival)),
            None => self.fronts.get(&ns).copied(),
        }
    }

    /// The namespaces that need a position.
    #[allow(clippy::disallowed_methods, reason = "each namespace is updated by itself")]
    pub(super) fn namespaces(&self) -> Vec<NamespaceId> {
        match &self.walk {
            Some(active) => active.ns().into_iter().collect(),
            None => self.fronts.keys().copied().collect(),
        }
    }

    pub(super) fn take_waiters(&mut self) -> Vec<ReadWaiter> {
        (self.first_added, self.answers_due) = (None, 0);
        self.fronts.clear();
        std::mem::take(&mut self.waiters)
    }

    /// Takes the jobs of an early walk, if the next walk is one, and returns them with the most pages that it may have.
    pub(super) fn take_early(&mut self, length: Option<KnownLength>, now: Instant) -> Option<(Vec<ReadWaiter>, usize)> {
        let is_bulk = self.read.per_user().is_some() && !self.first_page_only && self.answers_due >= BULK_THRESHOLD;
        let since = self.no_removals_since.filter(|_| is_bulk && self.priority == Priority::Proof)?;
        let first_added = self.first_added?;
        let is_early = now < first_added.max(since) + 2 * SETTLE_DELAY && now < first_added + MEMBER_PROOF_WINDOW;
        self.early_walk_at(since, length).filter(|_| is_early)?;
        let settled = self.waiters.partition_point(|waiter| waiter.added + SETTLE_DELAY <= now);
        let answers: usize = self.waiters[..settled].iter().map(|waiter| waiter.wanted.len()).sum();
        let pages = answers / ANSWERS_PER_EARLY_PAGE;
        if pages == 0 || settled == self.waiters.len() {
            return None;
        }
        self.walked_early = true;
        let mut waiters = self.take_waiters();
        self.put_back(waiters.split_off(settled));
        Some((waiters, pages))
    }

    /// Gives up an early walk: its jobs wait for the next one, which is a whole one.
    pub(super) fn give_up_early(&mut self, waiters: Vec<ReadWaiter>) {
        self.is_too_long = true;
        self.put_back(waiters);
    }

    /// Has these jobs wait for the next walk, before those that came later.
    pub(super) fn put_back(&mut self, mut waiters: Vec<ReadWaiter>) {
        waiters.append(&mut self.take_waiters());
        for waiter in waiters {
            let added = waiter.added;
            self.add(waiter, added);
        }
    }

    /// Begins a walk for these jobs.
    pub(super) fn start_walk(
        &mut self,
        waiters: Vec<ReadWaiter>,
        (page_budget, is_early): (usize, bool),
        arrival: u64,
    ) {
        if !is_early {
            (self.walked_early, self.is_too_long) = (false, false);
        }
        let wanted: BTreeSet<Item> = waiters.iter().flat_map(|waiter| waiter.wanted.iter().cloned()).collect();
        let priority = waiters.iter().map(|waiter| waiter.priority).min().unwrap_or(Priority::Observation);
        let read = self.read.clone();
        let is_first_page = wanted.is_empty() && !matches!(read, Read::Answer(_));
        let walk = if is_first_page { Walk::first_page(read) } else { Walk::new(read, wanted) };
        let (failures, restarts) = (0, 0);
        self.walk = Some(ActiveWalk {
            walk,
            waiters,
            first_alive: 0,
            page_budget,
            is_early,
            failures,
            restarts,
            priority,
            arrival,
        });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.waiters.is_empty() && self.walk.is_none() && !self.page_in_flight
    }
}
