//! One list's readings: who waits to hear what it holds, and the walk that is under way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::auth0::{CallError, Endpoint, Item, Read, Walk};
use crate::dispatch::lines::{Ns, Place, Rank};

use super::jobs::JobId;

/// While removals at an endpoint wait or are on their way, its proofs wait for them, so that one reading serves all; not
/// longer than this.
const PROOFS_GATHER: Duration = Duration::from_secs(60);
/// The same for the members of an organization, whose list may be thousands of pages long; unless it serves so many
/// questions a page that walking it again is cheap.
const MEMBERS_GATHER: Duration = Duration::from_secs(600);
const CHEAP_PAGE: usize = 20;
/// So many questions about an organization's members are a crowd. Its list lags 5 to 10 s behind (auth0-api.md 5), so a
/// walk for a crowd waits this long for the last of them, at most twice as long for the first.
const CROWD: usize = 20;
const SETTLES: Duration = Duration::from_secs(10);
/// What is known of a list's length counts for this long.
pub(super) const LENGTH_LIFE: Duration = Duration::from_secs(600);

/// Who hears what a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// A job.
    Job(JobId),
    /// A check of the site with this number.
    Check(usize, u64),
}

/// A question: which of these are in the list?
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) who: Who,
    pub(super) wanted: Vec<Item>,
    /// The item the answer is about, when a person's organizations are read to learn about a member.
    pub(super) about: Option<Item>,
    /// The list itself must be walked, whatever it costs.
    pub(super) must_walk: bool,
    pub(super) rank: Rank,
    pub(super) namespace: Ns,
    pub(super) arrival: u64,
}

/// A list and its askers.
#[derive(Debug)]
pub(super) struct List {
    pub(super) read: Read,
    pub(super) credential: u64,
    /// Only whether it can be read at all: its first page.
    pub(super) glance: bool,
    pub(super) askers: Vec<Asker>,
    pub(super) active: Option<Active>,
    /// A page is on its way.
    pub(super) out: bool,
    /// Answers that `askers` wait for.
    asked: usize,
    /// When the first and the last of them came.
    since: Option<Instant>,
    latest: Option<Instant>,
    rank: Rank,
    fronts: Vec<(Ns, u64)>,
    /// Where it stands in line.
    pub(super) placed: Vec<Place>,
    /// When it will be looked at again.
    pub(super) timer: Option<Instant>,
}

/// A walk under way. Only those that asked before it began are served by it.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) walk: Walk,
    pub(super) askers: Vec<Asker>,
    /// Askers before this one are gone.
    pub(super) first: usize,
    /// Pages after which it is given up.
    pub(super) budget: usize,
    /// The credential that was refused for it, and how.
    pub(super) refused: Option<(u64, CallError)>,
    namespace: Ns,
    arrival: u64,
    rank: Rank,
}

/// What is known of a list's length: it had at least so many pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    pub(super) pages: usize,
    pub(super) heard: Instant,
}

/// How to find out about members of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Walk the organization's list, for at most so many pages.
    Walk(usize),
    /// Ask person by person.
    Persons,
}

impl Plan {
    /// The cheaper way for `persons`, at one call each. A list of unknown length is walked for as many calls as asking
    /// would take: at most twice the better of the two.
    pub(super) const fn cheapest(persons: usize, length: Option<Length>) -> Self {
        match length {
            _ if persons <= 1 => Self::Persons,
            Some(Length { pages, .. }) if pages >= persons => Self::Persons,
            // It may have grown.
            Some(Length { .. }) | None => Self::Walk(persons),
        }
    }
}

impl List {
    pub(super) const fn new(read: Read, credential: u64, glance: bool) -> Self {
        Self {
            read,
            credential,
            glance,
            askers: Vec::new(),
            active: None,
            out: false,
            asked: 0,
            since: None,
            latest: None,
            rank: Rank::Proof,
            fronts: Vec::new(),
            placed: Vec::new(),
            timer: None,
        }
    }

    pub(super) fn ask(&mut self, asker: Asker, now: Instant) {
        if self.askers.is_empty() {
            self.fronts.clear();
            self.rank = asker.rank;
            self.since = Some(now);
        }
        self.latest = Some(now);
        self.rank = self.rank.min(asker.rank);
        if !self.fronts.iter().any(|(ns, _)| *ns == asker.namespace) {
            self.fronts.push((asker.namespace, asker.arrival));
        }
        self.asked += asker.wanted.len();
        self.askers.push(asker);
    }

    /// Whether a page could be asked for now; otherwise when it could at the latest. `removing`: removals are pending at
    /// the endpoint whose list this is; `length`: what is known of it.
    pub(super) fn ready(&self, removing: bool, length: Option<Length>, now: Instant) -> Result<(), Option<Instant>> {
        if self.out || (self.active.is_none() && self.askers.is_empty()) {
            return Err(None);
        }
        if self.active.is_some() || self.rank == Rank::Removal || self.glance {
            return Ok(());
        }
        let since = self.since.unwrap_or(now);
        let members = matches!(self.read, Read::List(Endpoint::OrganizationMembers { .. }));
        let until = if removing {
            let cheap = length.is_some_and(|length| self.asked >= CHEAP_PAGE * length.pages);
            since + if members && !cheap { MEMBERS_GATHER } else { PROOFS_GATHER }
        } else if members && self.asked >= CROWD {
            (self.latest.unwrap_or(now) + SETTLES).min(since + 2 * SETTLES)
        } else {
            now
        };
        if until <= now { Ok(()) } else { Err(Some(until)) }
    }

    /// The namespaces that wait here, each with its oldest arrival.
    pub(super) fn fronts(&self) -> (Rank, Vec<(Ns, u64)>) {
        match &self.active {
            Some(active) => (active.rank, vec![(active.namespace, active.arrival)]),
            None => (self.rank, self.fronts.clone()),
        }
    }

    /// How many answers are waited for.
    pub(super) const fn asked(&self) -> usize {
        self.asked
    }

    pub(super) fn take_askers(&mut self) -> Vec<Asker> {
        self.since = None;
        self.asked = 0;
        self.fronts.clear();
        std::mem::take(&mut self.askers)
    }

    /// Begins a walk for all who asked so far.
    pub(super) fn begin(&mut self, askers: Vec<Asker>, budget: usize, namespace: Ns, arrival: u64) {
        let wanted: BTreeSet<Item> = askers.iter().flat_map(|asker| asker.wanted.iter().cloned()).collect();
        let rank = askers.iter().map(|asker| asker.rank).min().unwrap_or(Rank::Proof);
        let read = self.read.clone();
        let walk = if self.glance { Walk::glance(read) } else { Walk::new(read, wanted) };
        self.active = Some(Active { walk, askers, first: 0, budget, refused: None, namespace, arrival, rank });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.askers.is_empty() && self.active.is_none() && !self.out
    }
}
