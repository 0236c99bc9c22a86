//! One list's readings with one connection: who waits to hear what it holds, and the walk that is under way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};

use crate::auth0::{Endpoint, Item, Read, Walk};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{Ns, Places, Rank};

use super::jobs::JobId;

/// While removals at an endpoint wait or are on their way, its proofs wait for them, so that one reading serves all; not
/// longer than this.
const PROOFS_GATHER: Duration = Duration::from_secs(60);
/// The same for the members of an organization, whose list may be thousands of pages long; unless it serves so many
/// questions a page that walking it again is cheap.
const MEMBERS_GATHER: Duration = Duration::from_secs(600);
const CHEAP_PAGE: usize = 20;
/// Where a member was asked about alone, the next ones gather for so long.
const PATIENCE: Duration = Duration::from_millis(500);
/// So many questions about an organization's members are a crowd. Its list lags 5 to 10 s behind, so a walk for a crowd
/// waits this long for the last of them, at most twice as long once no more removals are pending.
const CROWD: usize = 20;
const SETTLES: Duration = Duration::from_secs(10);
/// What is known of a list's length counts for this long.
pub(super) const LENGTH_LIFE: Duration = Duration::from_secs(600);

/// A question of a job.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) job: JobId,
    pub(super) ns: Ns,
    pub(super) wanted: Vec<Item>,
    /// The item the answer is about, when a person's organizations are read to learn about a member.
    pub(super) about: Option<Item>,
    /// The list itself must be walked, whatever it costs.
    pub(super) must_walk: bool,
    pub(super) rank: Rank,
    pub(super) patient: bool,
}

/// A list and its askers.
#[derive(Debug)]
pub(super) struct List {
    pub(super) read: Read,
    pub(super) connection: ConnectionKey,
    /// Only whether it can be read at all: its first page.
    pub(super) glance: bool,
    /// Those that wait for the next walk, how many answers they want, and when the first and the last of them came.
    pub(super) askers: Vec<Asker>,
    pub(super) asked: usize,
    since: Option<Instant>,
    latest: Option<Instant>,
    /// Since when no removals are pending at its endpoint.
    calm: Option<Instant>,
    rank: Rank,
    /// The first of each namespace, and the rank of its question.
    fronts: HashMap<Ns, (Rank, u64)>,
    pub(super) walk: Option<Walking>,
    /// A page is on its way.
    pub(super) out: bool,
    /// No page is asked for before this.
    pub(super) pause: Option<Instant>,
    pub(super) places: Places,
    pub(super) timer: Option<Instant>,
}

/// A walk under way. Only those that asked before it began are served by it.
#[derive(Debug)]
pub(super) struct Walking {
    pub(super) walk: Walk,
    pub(super) wanted: BTreeSet<Item>,
    pub(super) askers: Vec<Asker>,
    /// Askers before this one are gone.
    pub(super) first: usize,
    /// Pages after which it is given up.
    pub(super) budget: usize,
    /// Failures in a row, and how often it was begun anew.
    pub(super) failures: u32,
    pub(super) restarts: u32,
    rank: Rank,
    arrival: u64,
}

impl Walking {
    /// Passes over askers that are gone.
    pub(super) fn skip(&mut self, alive: impl Fn(&Asker) -> bool) {
        let first = self.askers[self.first..].iter().position(alive);
        self.first = first.map_or(self.askers.len(), |gone| self.first + gone);
    }

    /// Pages are asked for in the turn of the first who still wants them; of nobody's namespace but the first one's if
    /// there is none, to find out that there is none.
    fn ns(&self) -> Option<Ns> {
        self.askers.get(self.first).or(self.askers.first()).map(|asker| asker.ns)
    }
}

/// What is known of the list of an organization's members: how many pages it had at least, if any are known, and when
/// members were asked about person by person last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    pub(super) pages: usize,
    pub(super) heard: Instant,
    pub(super) alone: Option<Instant>,
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
            _ => Self::Walk(persons),
        }
    }
}

impl List {
    pub(super) fn new(read: Read, connection: ConnectionKey, glance: bool) -> Self {
        Self {
            read,
            connection,
            glance,
            askers: Vec::new(),
            asked: 0,
            since: None,
            latest: None,
            calm: None,
            rank: Rank::Proof,
            fronts: HashMap::new(),
            walk: None,
            out: false,
            pause: None,
            places: Places::default(),
            timer: None,
        }
    }

    pub(super) fn ask(&mut self, asker: Asker, now: Instant) {
        if self.askers.is_empty() {
            (self.rank, self.since) = (asker.rank, Some(now));
        }
        self.latest = Some(now);
        self.rank = self.rank.min(asker.rank);
        let front = self.fronts.entry(asker.ns).or_insert((asker.rank, asker.job.stamp));
        front.0 = front.0.min(asker.rank);
        self.asked += asker.wanted.len();
        self.askers.push(asker);
    }

    /// Whether a page could be asked for now; otherwise when it could at the latest. `removing`: removals are pending at
    /// the endpoint whose list this is; `length`: what is known of it. Once it is ready, it stays so until it begins.
    pub(super) fn ready(
        &mut self,
        removing: bool,
        length: Option<Length>,
        now: Instant,
    ) -> Result<(), Option<Instant>> {
        if self.out || (self.walk.is_none() && self.askers.is_empty()) {
            return Err(None);
        }
        self.calm = if removing { None } else { self.calm.or(Some(now)) };
        let since = self.since.unwrap_or(now);
        let members = matches!(self.read, Read::List(Endpoint::OrganizationMembers { .. }));
        let at_once = self.walk.is_some() || self.places.ready || self.rank == Rank::Removal || self.glance;
        let gathered = match self.calm {
            _ if at_once => now,
            None => {
                let cheap = length.is_some_and(|length| (1..=self.asked / CHEAP_PAGE).contains(&length.pages));
                since + if members && !cheap { MEMBERS_GATHER } else { PROOFS_GATHER }
            }
            Some(calm) if members && self.asked >= CROWD => {
                (self.latest.unwrap_or(now) + SETTLES).min(since.max(calm) + 2 * SETTLES)
            }
            // Where one was asked about alone a moment ago there may be more to come.
            Some(_) => length.and_then(|length| length.alone).map_or(now, |alone| alone + PATIENCE),
        };
        match gathered.max(self.pause.unwrap_or(now)) {
            until if until <= now => Ok(()),
            until => Err(Some(until)),
        }
    }

    /// The first question of this namespace: of the walk under way, or of those that wait.
    pub(super) fn front(&self, ns: Ns) -> Option<(Rank, u64)> {
        match &self.walk {
            Some(walking) => (walking.ns() == Some(ns)).then_some((walking.rank, walking.arrival)),
            None => self.fronts.get(&ns).copied(),
        }
    }

    /// The namespaces that wait for a page.
    pub(super) fn namespaces(&self) -> Vec<Ns> {
        match &self.walk {
            Some(walking) => walking.ns().into_iter().collect(),
            None => self.fronts.keys().copied().collect(),
        }
    }

    pub(super) fn take_askers(&mut self) -> Vec<Asker> {
        (self.since, self.asked) = (None, 0);
        self.fronts.clear();
        std::mem::take(&mut self.askers)
    }

    /// Begins a walk for these.
    pub(super) fn begin(&mut self, askers: Vec<Asker>, budget: usize, arrival: u64) {
        let wanted: BTreeSet<Item> = askers.iter().flat_map(|asker| asker.wanted.iter().cloned()).collect();
        let rank = askers.iter().map(|asker| asker.rank).min().unwrap_or(Rank::Proof);
        let read = self.read.clone();
        let walk = if wanted.is_empty() { Walk::glance(read) } else { Walk::new(read, wanted.clone()) };
        let (failures, restarts) = (0, 0);
        self.walk = Some(Walking { walk, wanted, askers, first: 0, budget, failures, restarts, rank, arrival });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.askers.is_empty() && self.walk.is_none() && !self.out
    }
}
