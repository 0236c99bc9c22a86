//! Runs the machine of one domain against the model of Auth0 on a virtual clock, and plays the parts around it: the
//! reconcile of the objects, which comes back after failures and for proofs; the preflight check, which may be slow and
//! may refuse; the network. It asserts what must hold at every call, and the machine's own invariants after every step.

// By path, because tests/simulate takes this file in by its path.
#[path = "sim/objects.rs"]
mod objects;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rescind::auth0::{Answer, CallError, Domain, Endpoint, Item, Page, Token};
use rescind::dispatch::machine::{MAX_IN_FLIGHT, Machine, Outgoing, PendingCall, Step};
use rescind::dispatch::{ConnectionKey, End, History, Job, Limits, Owner, Refusal, Report, Task};

use crate::auth0::{Auth0, Fault, Wire, seconds};

pub use objects::Object;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Submit(usize),
    Withdraw(usize),
    Checked(u64),
    Leave(u64),
    Arrive(u64),
    Answer(u64),
    Compete,
    Tick,
    Panic,
}

struct Flight {
    wire: Wire,
    credential: u64,
    fault: Option<Fault>,
    answer: Option<Answer<Page>>,
}

/// Decides the latency and the fault of each call.
pub type NetworkModel = Box<dyn FnMut(Duration, &Wire) -> (Duration, Option<Fault>)>;
/// A change of Auth0 at a given time.
pub type Change = Box<dyn FnOnce(&mut Auth0)>;

/// One run.
pub struct Sim {
    pub machine: Machine,
    pub auth0: Auth0,
    pub objects: Vec<Object>,
    by_uid: HashMap<Arc<str>, usize>,
    pub now: Duration,
    start: Instant,
    wall: Timestamp,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    asks: HashMap<u64, PendingCall>,
    flights: HashMap<u64, Flight>,
    in_flight_items: HashSet<(u64, Endpoint, Item)>,
    network: NetworkModel,
    /// Decides how long the preflight check of a call takes.
    pub checks: Box<dyn FnMut() -> Duration>,
    changes: Vec<(Duration, Change)>,
    /// Another client: how often it calls, how many calls at once, and which. `competed` counts those that got through
    /// and those that got a 429.
    pub competitor: Option<(Duration, u32, (&'static str, &'static str))>,
    pub competed: (u64, u64),
    /// Until when nothing may be sent to the domain; `own_closed_until`, with a credential that is not accepted yet.
    closed_until: Duration,
    own_closed_until: HashMap<u64, Duration>,
    accepted: HashSet<u64>,
    last_sent: HashMap<u64, Duration>,
    pub limits: Limits,
    /// The limits of single credentials, where they differ.
    pub own_limits: HashMap<u64, Limits>,
    open: usize,
    /// When each DELETE left, and for which objects.
    pub sent: Vec<(Duration, Vec<usize>)>,
    pub log: bool,
    steps: u64,
}

/// The connection with the credential of this number.
pub fn connection(credential: u64) -> ConnectionKey {
    let token = Token::read(format!("e30.e30.{credential}").as_bytes(), "any", Timestamp::UNIX_EPOCH).unwrap();
    ConnectionKey::new(&domain(), None, token.fingerprint())
}

pub fn domain() -> Domain {
    "acme.eu.auth0.com".parse().unwrap()
}

impl Sim {
    pub fn new(auth0: Auth0, limits: Limits, network: NetworkModel) -> Self {
        let (start, wall) = (Instant::now(), Timestamp::from_second(1_800_000_000).unwrap());
        Self {
            machine: Machine::new(domain(), "sim", wall, start),
            auth0,
            objects: Vec::new(),
            by_uid: HashMap::new(),
            now: Duration::ZERO,
            start,
            wall,
            events: BinaryHeap::new(),
            asks: HashMap::new(),
            flights: HashMap::new(),
            in_flight_items: HashSet::new(),
            network,
            checks: Box::new(|| Duration::ZERO),
            changes: Vec::new(),
            competitor: None,
            competed: (0, 0),
            closed_until: Duration::ZERO,
            own_closed_until: HashMap::new(),
            accepted: HashSet::new(),
            last_sent: HashMap::new(),
            limits,
            own_limits: HashMap::new(),
            open: 0,
            sent: Vec::new(),
            log: true,
            steps: 0,
        }
    }

    pub fn add(&mut self, object: Object, at: Duration) -> usize {
        let n = self.objects.len();
        self.by_uid.insert(object.owner.uid.clone(), n);
        self.objects.push(object);
        self.open += 1;
        self.events.push(Reverse((at, Event::Submit(n))));
        n
    }

    pub fn withdraw(&mut self, object: usize, at: Duration) {
        self.events.push(Reverse((at, Event::Withdraw(object))));
    }

    pub fn change(&mut self, at: Duration, change: Change) {
        self.changes.push((at, change));
        self.events.push(Reverse((at, Event::Tick)));
    }

    /// A panic in the middle of a decision: the machine is rebuilt with its jobs.
    pub fn panic(&mut self, at: Duration) {
        self.events.push(Reverse((at, Event::Panic)));
    }

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    pub const fn start(&self) -> Instant {
        self.start
    }

    fn wall(&self) -> Timestamp {
        self.wall + self.now
    }

    /// The first report of the only job.
    pub fn first_report(&mut self, most: Duration) -> Report {
        while self.objects[0].last.is_none() {
            self.step(most);
        }
        self.objects[0].last.clone().unwrap()
    }

    /// The report of a job that only proves what this object removed earlier.
    pub fn prove(&mut self, n: usize) -> Report {
        let at = Some(self.wall);
        let history = History { first_accepted_at: at, accepted_at: at, ..History::default() };
        self.resume(n, Task::Prove, history)
    }

    /// The report of a job of this object that is submitted now, with this history.
    pub fn resume(&mut self, n: usize, task: Task, history: History) -> Report {
        let (now, object) = (self.instant(), &self.objects[n]);
        let (owner, removal) = (object.owner.clone(), object.removal.clone());
        self.machine.submit(connection(object.credential), Job { owner, removal, task, history }, now);
        self.first_report(Duration::from_secs(600))
    }

    /// Runs until every object has its verdict; panics after `most` virtual time.
    pub fn run(&mut self, most: Duration) {
        if let Some((every, ..)) = self.competitor {
            self.events.push(Reverse((every, Event::Compete)));
        }
        while self.open > 0 {
            self.step(most);
        }
        assert!(self.machine.is_empty() || self.objects.iter().any(|object| object.withdrawn));
    }

    /// Advances to the next event.
    pub fn step(&mut self, most: Duration) {
        self.steps += 1;
        let allowed = 100_000 + 300 * self.objects.len() as u64;
        assert!(self.steps < allowed, "it goes round in circles at {:?}", self.now);
        let wait = self.calls();
        self.collect();
        self.check();
        if self.open == 0 {
            return;
        }
        let event = self.events.peek().map(|Reverse((at, _))| *at);
        let next = event.into_iter().chain(wait).min();
        let next = next.unwrap_or_else(|| panic!("nothing will ever happen again, {} objects wait", self.open));
        assert!(next <= most, "{} objects have no verdict after {most:?}", self.open);
        self.now = self.now.max(next);
        while let Some(Reverse((at, _))) = self.events.peek()
            && *at <= self.now
        {
            let Some(Reverse((_, event))) = self.events.pop() else { break };
            self.happen(event);
            self.check();
        }
    }

    /// Checks the machine's invariants; rarely when much waits, because the check is linear in that.
    fn check(&self) {
        let every = 1 + self.machine.len() as u64 / 50;
        if self.steps.is_multiple_of(every) {
            assert_eq!(self.machine.check(), Ok(()), "at {:?}", self.now);
        }
    }

    /// Starts the calls that may start now; returns when to ask again.
    fn calls(&mut self) -> Option<Duration> {
        for _ in 0..100_000 {
            match self.machine.next(self.instant()) {
                Step::Check(ask) => {
                    assert!(self.machine.in_flight() <= MAX_IN_FLIGHT);
                    let checked = self.now + (self.checks)();
                    let id = ask.id;
                    self.asks.insert(id, ask);
                    if checked == self.now {
                        self.happen(Event::Checked(id));
                    } else {
                        self.events.push(Reverse((checked, Event::Checked(id))));
                    }
                }
                Step::Wait(until) => {
                    assert!(until > self.instant(), "a wait for what is now");
                    return Some(until.duration_since(self.start));
                }
                Step::Idle => return None,
            }
        }
        panic!("it sends for ever at {:?}", self.now)
    }

    /// The result of the preflight check for each owner of a call.
    fn results(&self, ask: &PendingCall) -> Vec<Result<ConnectionKey, Refusal>> {
        let result = |owner: &Owner| {
            let object = &self.objects[self.by_uid[&owner.uid]];
            if object.withdrawn { Err(Refusal::Changed) } else { Ok(connection(object.credential_at(self.now))) }
        };
        ask.owners.iter().map(result).collect()
    }

    fn leave(&mut self, id: u64) {
        let Some(ask) = self.asks.remove(&id) else { return };
        let results = self.results(&ask);
        let Some((outgoing, owners)) = self.machine.send(id, &results, self.instant()) else { return };
        let objects: Vec<usize> = owners.iter().map(|owner| self.by_uid[&owner.uid]).collect();
        let credential = self.objects[objects[0]].credential;
        for object in objects.iter().map(|n| &self.objects[*n]) {
            assert!(!object.withdrawn, "sent for somebody who does not want it");
            assert_eq!(object.credential_at(self.now), credential, "not with the owner's own credential");
        }
        assert_eq!(ask.connection, connection(credential), "not with the connection of its queue");
        let until = self.closed_until.max(self.own_closed_until.get(&credential).copied().unwrap_or_default());
        assert!(self.now >= until, "sent {:?} before {until:?}", self.now);
        if let Some(last) =
            self.last_sent.insert(credential, self.now).filter(|_| self.limits.max_per_second < 10_000.0)
        {
            let gap = 1.0 / self.limits.max_per_second;
            assert!(seconds(self.now - last) >= gap - 1e-6, "faster than the ceiling");
        }
        if !self.accepted.contains(&credential) {
            let mut first = self.flights.values().filter(|flight| !self.accepted.contains(&flight.credential));
            assert!(first.next().is_none(), "two first calls at a time");
        }
        let wire = match outgoing {
            Outgoing::Remove { endpoint, items, .. } => {
                for item in &items {
                    let sent = (credential, endpoint.clone(), item.clone());
                    assert!(self.in_flight_items.insert(sent), "{item} is on its way twice");
                    let wants = |n: &usize| {
                        let removal = &self.objects[*n].removal;
                        removal.endpoint == endpoint && removal.items.contains(item)
                    };
                    assert!(objects.iter().any(wants), "{item} is named by no object of the call");
                }
                if self.log {
                    self.sent.push((self.now, objects));
                }
                Wire::Delete(endpoint, items)
            }
            Outgoing::Page { read, query } => Wire::Get(read, query.to_vec()),
        };
        let (latency, fault) = (self.network)(self.now, &wire);
        self.events.push(Reverse((self.now + latency / 2, Event::Arrive(id))));
        self.events.push(Reverse((self.now + latency, Event::Answer(id))));
        self.flights.insert(id, Flight { wire, credential, fault, answer: None });
    }

    fn happen(&mut self, event: Event) {
        let now = self.instant();
        match event {
            Event::Submit(n) => self.submit(n),
            Event::Withdraw(n) => {
                if self.objects[n].ended.is_none() && !self.objects[n].withdrawn {
                    self.objects[n].withdrawn = true;
                    self.open -= 1;
                    let uid = self.objects[n].owner.uid.clone();
                    // Half of the jobs are taken back at once, the others are left to the preflight check.
                    if n.is_multiple_of(2)
                        && let Some(report) = self.machine.take_back(&uid, now)
                    {
                        assert_eq!(report.end, End::HandedBack(Refusal::Withdrawn));
                    }
                }
            }
            Event::Checked(id) => {
                let Some(ask) = self.asks.get(&id) else { return };
                let results = self.results(ask);
                match self.machine.preflighted(id, &results, now).map(|slot| slot.duration_since(self.start)) {
                    Some(slot) if slot > self.now => self.events.push(Reverse((slot, Event::Leave(id)))),
                    Some(_) => self.leave(id),
                    None => drop(self.asks.remove(&id)),
                }
            }
            Event::Leave(id) => self.leave(id),
            Event::Arrive(id) => {
                let Some(flight) = self.flights.get_mut(&id) else { return };
                let answer = self.auth0.call(&flight.wire, flight.credential, flight.fault, seconds(self.now));
                flight.answer = Some(answer);
            }
            Event::Answer(id) => {
                let Some(Flight { wire, credential, answer: Some(answer), .. }) = self.flights.remove(&id) else {
                    return;
                };
                if let Wire::Delete(endpoint, items) = wire {
                    for item in items {
                        self.in_flight_items.remove(&(credential, endpoint.clone(), item));
                    }
                }
                match &answer.outcome {
                    Err(CallError::RateLimited(wait)) if self.accepted.contains(&credential) => {
                        self.closed_until = self.closed_until.max(self.now + *wait);
                    }
                    Err(CallError::RateLimited(wait)) => {
                        let own = self.own_closed_until.entry(credential).or_default();
                        *own = (*own).max(self.now + *wait);
                    }
                    Err(CallError::Unauthorized(_) | CallError::Unavailable(_) | CallError::NotSent(_)) => {}
                    Err(CallError::NotProcessed | CallError::TokenReplaced) => {}
                    Ok(_) | Err(_) => {
                        self.accepted.insert(credential);
                        self.own_closed_until.remove(&credential);
                    }
                }
                self.machine.answered(id, answer, self.wall(), now);
            }
            Event::Compete => {
                let Some((every, calls, name)) = self.competitor else { return };
                for _ in 0..calls {
                    let drawn = self.auth0.competitor(name, seconds(self.now));
                    self.competed.0 += u64::from(drawn);
                    self.competed.1 += u64::from(!drawn);
                }
                self.events.push(Reverse((self.now + every, Event::Compete)));
            }
            Event::Panic => {
                self.machine.rebuild(now);
                // These answers are not received any more.
                self.asks.clear();
                self.flights.clear();
                self.in_flight_items.clear();
            }
            Event::Tick => {
                let due: Vec<_> = self.changes.extract_if(.., |(at, _)| *at <= self.now).collect();
                for (_, change) in due {
                    change(&mut self.auth0);
                }
            }
        }
    }
}
