//! What a lane decides: which call leaves next, when, with which items, and what its answer means for whom.
//!
//! A state machine over explicit time: events go in (`submit`, `forget`, `looked`, `answered`), [`Machine::next`] says what
//! to do, [`Machine::ended`] what is done. No clock, no socket, no task; those are in `driver`.
//!
//! - `site`: the items to be removed at one endpoint, merged over objects, split when refused.
//! - `list`: who waits to hear what a list holds; equal questions are one walk.
//! - `jobs`: how far each job has come.

mod answers;
mod jobs;
mod list;
mod reading;
mod removing;
mod site;
mod standing;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};
use jiff::Timestamp;
use slab::Slab;

use crate::auth0::{Endpoint, Item, Read};

use super::gate::{Gate, Pass};
use super::lines::{Lines, Place};
use super::pace::{CallName, Limits, Pace, Sent};
use super::{End, Job, Owner, Report};

use jobs::{JobId, Jobs, Need};
use list::{Length, List};
use site::{Batch, Site};

/// Calls of one tenant on their way at once; a hung tenant holds up no more than these, and no other tenant.
pub const MAX_IN_FLIGHT: usize = 16;
/// Waits up to this stay in the lane; longer ones are shown by the owner (DESIGN section 4, Pacing).
pub const SHOWN_WAIT: Duration = Duration::from_secs(2);
/// Owners asked for their consent to one share of a call, at most; the others have their turn if these say no.
const ASKED: usize = 4;

/// The decisions of one lane.
#[derive(Debug)]
pub struct Machine {
    jobs: Jobs,
    sites: Slab<Site>,
    site_at: HashMap<(Endpoint, u64), usize>,
    lists: Slab<List>,
    list_at: HashMap<(Read, u64, bool), usize>,
    lengths: HashMap<Endpoint, Length>,
    lines: Lines<Unit>,
    timers: BinaryHeap<Reverse<(Instant, Unit)>>,
    calls: HashMap<CallId, Call>,
    gate: Gate,
    pace: Pace,
    /// When each kind of DELETE was last accepted.
    worked: HashMap<CallName, Instant>,
    ended: Vec<(Owner, Option<Report>)>,
    /// Auth0's clock at the last answer, as we know it.
    wall: Timestamp,
    ids: u64,
    prefix: String,
}

/// What could send a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Unit {
    Site(usize),
    List(usize),
}

/// A call begun and not ended.
pub type CallId = u64;

/// What to do now.
#[derive(Debug)]
pub enum Step {
    /// Take the last look for this call and tell [`Machine::looked`].
    Call(Ask),
    /// Nothing before this time, unless an event comes.
    Wait(Instant),
    /// Nothing until an event comes.
    Idle,
}

/// A call that is about to leave, and who must want it.
#[derive(Debug)]
pub struct Ask {
    /// Which call.
    pub id: CallId,
    /// The shares of the call. Each is wanted if one of its owners still wants it.
    pub shares: Vec<Vec<Owner>>,
}

/// What the last look said.
#[derive(Debug, Default)]
pub struct Looked {
    /// Uids of the owners for whom nothing may be sent any more.
    pub refused: Vec<Arc<str>>,
    /// For each share the fingerprint of the credential to use, if one of its owners wants it.
    pub consents: Vec<Option<u64>>,
}

/// A call to send.
#[derive(Debug)]
pub enum Outgoing {
    /// A DELETE.
    Remove {
        /// Where.
        endpoint: Endpoint,
        /// What: 1 to [`Endpoint::max_items`].
        items: Vec<Item>,
        /// Its name in Auth0's logs.
        correlation: Arc<str>,
    },
    /// A page of a list.
    Page {
        /// Which list.
        read: Read,
        /// Which page.
        query: Vec<(&'static str, String)>,
    },
}

#[derive(Debug)]
struct Call {
    name: CallName,
    /// The one that finds out whether the tenant answers again.
    probe: bool,
    sent: Sent,
    credential: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Remove { site: usize, batch: Batch, correlation: Arc<str> },
    Page { list: usize },
}

impl Machine {
    /// A lane with nothing to do. Calls are named `{prefix}-{number}` in Auth0's logs.
    pub fn new(prefix: &str) -> Self {
        Self {
            jobs: Jobs::default(),
            sites: Slab::new(),
            site_at: HashMap::new(),
            lists: Slab::new(),
            list_at: HashMap::new(),
            lengths: HashMap::new(),
            lines: Lines::default(),
            timers: BinaryHeap::new(),
            calls: HashMap::new(),
            gate: Gate::default(),
            pace: Pace::default(),
            worked: HashMap::new(),
            ended: Vec::new(),
            wall: Timestamp::UNIX_EPOCH,
            ids: 0,
            prefix: prefix.to_owned(),
        }
    }

    /// Takes a job over; `credential` is the fingerprint of the token it would use now. Jobs with different credentials
    /// never share a call: nobody reaches further than their own Secret. Does nothing while this owner has a job.
    pub fn submit(&mut self, job: Job, credential: u64, now: Instant) {
        if self.is_idle() {
            // Namespaces come and go over the years.
            self.lines = Lines::default();
        }
        let namespace = self.lines.enter(&job.owner.namespace);
        if let Some((id, need)) = self.jobs.insert(job, credential, namespace) {
            self.meet(id, need, now);
        }
    }

    /// Takes a job back. `false` if a DELETE for it is on its way: then it ends by itself.
    pub fn forget(&mut self, uid: &str, now: Instant) -> bool {
        let Some(id) = self.jobs.find(uid) else { return true };
        if self.is_out(id) {
            return false;
        }
        self.drop_job(id, now);
        true
    }

    /// These are the settings of this tenant object now.
    pub fn set_limits(&mut self, tenant: &Arc<str>, limits: Limits, now: Instant) {
        self.pace.set_limits(tenant, limits, now);
    }

    /// Sends nothing for this long, as if a 429 had said so.
    pub fn hold(&mut self, wait: Duration, wall: Timestamp, now: Instant) {
        self.wall = wall;
        self.close(wait, now);
    }

    /// How long nothing is sent, if that is worth showing.
    pub fn shown_wait(&self, now: Instant) -> Option<Duration> {
        self.gate.closed_for(now).filter(|wait| *wait > SHOWN_WAIT)
    }

    /// The jobs that ended since this was last asked; without a report those that the last look refused.
    pub fn ended(&mut self) -> Vec<(Owner, Option<Report>)> {
        std::mem::take(&mut self.ended)
    }

    /// Jobs that have not ended.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether no job is left.
    pub fn is_empty(&self) -> bool {
        self.jobs.len() == 0
    }

    fn is_idle(&self) -> bool {
        self.is_empty() && self.sites.is_empty() && self.lists.is_empty() && self.calls.is_empty()
    }

    /// Calls begun and not ended.
    pub fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// What to do now. To be asked again after every event and whenever the time it named has come.
    pub fn next(&mut self, now: Instant) -> Step {
        while let Some(Reverse((due, unit))) = self.timers.peek().copied()
            && due <= now
        {
            self.timers.pop();
            self.refresh(unit, now);
        }
        loop {
            if self.calls.len() >= MAX_IN_FLIGHT {
                return Step::Idle;
            }
            match self.gate.peek(now) {
                Pass::Go { .. } => {}
                Pass::At(until) => return Step::Wait(until),
                Pass::AfterProbe => return Step::Idle,
            }
            let pace = &self.pace;
            let Some((place, unit)) = self.lines.next(|call| pace.wait_until(call, now).is_none()) else {
                return self.idle(now);
            };
            if let Some((what, shares)) = self.begin(unit, place, now) {
                let probe = matches!(self.gate.pass(now), Pass::Go { probe: true });
                let sent = self.pace.sent(place.call, now);
                self.ids += 1;
                self.calls.insert(self.ids, Call { name: place.call, probe, sent, credential: 0, what });
                return Step::Call(Ask { id: self.ids, shares });
            }
        }
    }

    fn idle(&self, now: Instant) -> Step {
        let paced = self.lines.waiting_calls().filter_map(|call| self.pace.wait_until(call, now));
        let timer = self.timers.peek().map(|Reverse((due, _))| *due);
        paced.chain(timer).min().map_or(Step::Idle, Step::Wait)
    }

    fn begin(&mut self, unit: Unit, place: Place, now: Instant) -> Option<(What, Vec<Vec<Owner>>)> {
        let begun = match unit {
            Unit::Site(site) => self.begin_removal(site, place, now),
            Unit::List(list) => self.begin_page(list, place, now),
        };
        self.refresh(unit, now);
        begun
    }

    /// Gives a job what it needs next.
    fn meet(&mut self, id: JobId, need: Need, now: Instant) {
        match need {
            Need::Patience => {}
            Need::Read(items) => self.ask_for_job(id, items, now),
            Need::Remove(items) => self.remove_for_job(id, items, now),
            Need::Ended(end) => self.end(id, end),
        }
    }

    fn end(&mut self, id: JobId, end: End) {
        if let Some(job) = self.jobs.remove(id) {
            let (owner, report) = job.report(end);
            self.ended.push((owner, Some(report)));
        }
    }

    /// Nothing more is done for this job; what others want at the same places goes on.
    fn drop_job(&mut self, id: JobId, now: Instant) -> Option<Owner> {
        let job = self.jobs.remove(id)?;
        let key = (job.removal.endpoint.clone(), job.credential);
        if let Some(site) = self.site_at.get(&key).copied() {
            for item in &job.removal.items {
                self.sites[site].unwant(item, id);
            }
            self.refresh(Unit::Site(site), now);
        }
        Some(job.owner)
    }

    fn close(&mut self, mut wait: Duration, now: Instant) {
        if wait > SHOWN_WAIT {
            // Until a whole second, which is what can be shown.
            let part = (self.wall + wait).subsec_millisecond().unsigned_abs();
            wait += Duration::from_millis(u64::from((1000 - part) % 1000));
        }
        self.gate.close(now + wait);
    }

    /// Brings a unit's place in line up to date with what it could send.
    fn refresh(&mut self, unit: Unit, now: Instant) {
        match unit {
            Unit::Site(key) => self.refresh_site(key, now),
            Unit::List(key) => self.refresh_list(key, now),
        }
    }

    fn stand(lines: &mut Lines<Unit>, unit: Unit, placed: &mut Vec<Place>, wanted: Vec<Place>) {
        if *placed == wanted {
            return;
        }
        for place in placed.iter() {
            lines.step_out(*place, unit);
        }
        for place in &wanted {
            lines.stand(*place, unit);
        }
        *placed = wanted;
    }

    /// Has the unit looked at again then.
    fn set_timer(
        timers: &mut BinaryHeap<Reverse<(Instant, Unit)>>,
        unit: Unit,
        set: &mut Option<Instant>,
        due: Option<Instant>,
    ) {
        if *set != due {
            *set = due;
            timers.extend(due.map(|due| Reverse((due, unit))));
        }
    }
}
