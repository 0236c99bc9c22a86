//! Runs a lane's machine against the model of Auth0 on a virtual clock, and plays the part of the reconcile: it comes back
//! after failures and for proofs. Checks on the way what must hold at every call.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rescind::auth0::{Answer, CallError, Endpoint, Item, Page};
use rescind::dispatch::machine::{Ask, Looked, MAX_IN_FLIGHT, Machine, Outgoing, Step};
use rescind::dispatch::{End, Job, Limits, Owner, Removal, Report, Task};

use crate::auth0::{Auth0, Fault, Wire, seconds};

/// An object, as the operator would hold it.
#[derive(Clone, Debug)]
pub struct Object {
    pub owner: Owner,
    pub removal: Removal,
    pub credential: u64,
    /// The credential it has by the time of the last look, if another.
    pub rotated: Option<u64>,
    pub verify: bool,
    attempts: u32,
    lost: bool,
    accepted: Option<Duration>,
    pub ended: Option<(Duration, Report)>,
    pub dropped: bool,
    pub withdrawn: bool,
}

impl Object {
    pub fn new(namespace: &Arc<str>, number: usize, endpoint: Endpoint, items: Vec<Item>, verify: bool) -> Self {
        let uid: Arc<str> = format!("{number:08}").into();
        let owner = Owner { kind: "K", namespace: namespace.clone(), name: uid.clone(), uid, generation: 1 };
        Self {
            owner,
            removal: Removal { endpoint, items },
            credential: 1,
            rotated: None,
            verify,
            attempts: 0,
            lost: false,
            accepted: None,
            ended: None,
            dropped: false,
            withdrawn: false,
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Submit(usize),
    Withdraw(usize),
    Arrive(u64),
    Answer(u64),
    Compete,
    Tick,
}

struct Flight {
    wire: Wire,
    fault: Option<Fault>,
    latency: Duration,
    answer: Option<Answer<Page>>,
}

/// What to make of faults and latency: asked once for each call.
pub type Weather = Box<dyn FnMut(Duration, &Wire) -> (Duration, Option<Fault>)>;
/// A change of the world at a time.
pub type Change = Box<dyn FnOnce(&mut Auth0)>;

/// The run.
pub struct Sim {
    pub machine: Machine,
    pub auth0: Auth0,
    pub objects: Vec<Object>,
    by_uid: HashMap<Arc<str>, usize>,
    pub now: Duration,
    start: Instant,
    wall: Timestamp,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    flights: HashMap<u64, Flight>,
    in_flight_items: HashSet<(u64, Endpoint, Item)>,
    credentials: HashMap<u64, u64>,
    weather: Weather,
    changes: Vec<(Duration, Change)>,
    /// The competing client: so many calls of this name at once, this often; how many it got and was refused.
    pub competitor: Option<(Duration, u32, (&'static str, &'static str))>,
    pub competed: (u64, u64),
    closed_until: Duration,
    last_sent: Option<Duration>,
    ceiling: f64,
    open: usize,
    /// Order in which objects' DELETEs left.
    pub sent: Vec<(Duration, Vec<usize>)>,
    pub log: bool,
}

impl Sim {
    pub fn new(auth0: Auth0, limits: Limits, weather: Weather) -> Self {
        let mut machine = Machine::new("sim");
        let start = Instant::now();
        machine.set_limits(&"a/b".into(), limits, start);
        Self {
            machine,
            auth0,
            objects: Vec::new(),
            by_uid: HashMap::new(),
            now: Duration::ZERO,
            start,
            wall: Timestamp::from_second(1_800_000_000).unwrap(),
            events: BinaryHeap::new(),
            flights: HashMap::new(),
            in_flight_items: HashSet::new(),
            credentials: HashMap::new(),
            weather,
            changes: Vec::new(),
            competitor: None,
            competed: (0, 0),
            closed_until: Duration::ZERO,
            last_sent: None,
            ceiling: limits.max_per_second,
            open: 0,
            sent: Vec::new(),
            log: true,
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

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    /// Runs until every object has its verdict; panics after `most` virtual time.
    pub fn run(&mut self, most: Duration) {
        if let Some((every, ..)) = self.competitor {
            self.events.push(Reverse((every, Event::Compete)));
        }
        let mut steps = 0_u64;
        let began = Instant::now();
        while self.open > 0 {
            steps += 1;
            assert!(steps < 50_000 + 200 * self.objects.len() as u64, "it goes round in circles at {:?}", self.now);
            assert!(began.elapsed() < Duration::from_secs(20), "SLOW {:?} steps {steps}", self.now);
            let wait = self.calls();
            self.collect();
            if self.open == 0 {
                break;
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
            }
        }
        assert!(self.machine.is_empty() || self.objects.iter().any(|object| object.withdrawn));
    }

    /// Sends what may be sent; when to ask again.
    fn calls(&mut self) -> Option<Duration> {
        for _ in 0..100_000 {
            match self.machine.next(self.instant()) {
                Step::Call(ask) => self.begin(ask),
                Step::Wait(until) => {
                    assert!(until > self.instant(), "a wait for what is now");
                    return Some(until.duration_since(self.start));
                }
                Step::Idle => return None,
            }
        }
        panic!("it sends for ever at {:?}", self.now)
    }

    fn begin(&mut self, ask: Ask) {
        let mut look = Looked::default();
        let mut willing = Vec::new();
        for share in &ask.shares {
            let wants = |owner: &&Owner| !self.objects[self.by_uid[&owner.uid]].withdrawn;
            let unwilling = share.iter().take_while(|owner| !wants(owner));
            look.refused.extend(unwilling.map(|owner| owner.uid.clone()));
            let consent = share.iter().find(wants).map(|owner| self.by_uid[&owner.uid]);
            look.consents.push(consent.map(|n| self.objects[n].rotated.unwrap_or(self.objects[n].credential)));
            willing.push(consent);
        }
        let now = self.instant();
        let Some(outgoing) = self.machine.looked(ask.id, &look, now) else { return };
        assert!(self.now >= self.closed_until, "sent {:?} before {:?}", self.now, self.closed_until);
        if let Some(last) = self.last_sent.filter(|_| self.ceiling < 10_000.0) {
            assert!(seconds(self.now - last) >= 1.0 / self.ceiling - 1e-6, "faster than the ceiling");
        }
        self.last_sent = Some(self.now);
        let wire = match outgoing {
            Outgoing::Remove { endpoint, items, .. } => {
                let leading = look.consents.iter().flatten().next().copied();
                for item in &items {
                    let sent = (leading.unwrap(), endpoint.clone(), item.clone());
                    assert!(self.in_flight_items.insert(sent), "{item} is on its way twice");
                }
                self.credentials.insert(ask.id, leading.unwrap());
                let with_it = look.consents.iter().filter(|consent| consent.is_some() && **consent == leading).count();
                assert_eq!(items.len(), with_it, "only what somebody wants, with one credential");
                if self.log {
                    let sent = willing.into_iter().zip(&look.consents).filter(|(_, consent)| **consent == leading);
                    self.sent.push((self.now, sent.filter_map(|(n, _)| n).collect()));
                }
                Wire::Delete(endpoint, items)
            }
            Outgoing::Page { read, query } => Wire::Get(read, query),
        };
        let (latency, fault) = (self.weather)(self.now, &wire);
        self.events.push(Reverse((self.now + latency / 2, Event::Arrive(ask.id))));
        self.events.push(Reverse((self.now + latency, Event::Answer(ask.id))));
        self.flights.insert(ask.id, Flight { wire, fault, latency, answer: None });
        assert!(self.flights.len() <= MAX_IN_FLIGHT && self.machine.in_flight() <= MAX_IN_FLIGHT);
    }

    fn happen(&mut self, event: Event) {
        let now = self.instant();
        match event {
            Event::Submit(n) => {
                let object = &self.objects[n];
                if object.withdrawn || object.ended.is_some() {
                    return;
                }
                let task = if object.accepted.is_some() {
                    Task::Look
                } else {
                    Task::Remove { before: object.lost && object.verify, after: object.verify }
                };
                let job = Job { owner: object.owner.clone(), removal: object.removal.clone(), task };
                self.machine.submit(job, object.credential, now);
            }
            Event::Withdraw(n) => {
                if self.objects[n].ended.is_none() && !self.objects[n].withdrawn {
                    self.objects[n].withdrawn = true;
                    self.open -= 1;
                    let uid = self.objects[n].owner.uid.clone();
                    // Half of them are taken back at once, the others are left to the last look.
                    if n % 2 == 0 {
                        self.machine.forget(&uid, now);
                    }
                }
            }
            Event::Arrive(id) => {
                let Some(flight) = self.flights.get_mut(&id) else { return };
                flight.answer = Some(self.auth0.call(&flight.wire, flight.fault, seconds(self.now)));
            }
            Event::Answer(id) => {
                let Some(Flight { wire, answer: Some(answer), latency, .. }) = self.flights.remove(&id) else { return };
                if let Wire::Delete(endpoint, items) = wire {
                    let credential = self.credentials.remove(&id).unwrap();
                    for item in items {
                        self.in_flight_items.remove(&(credential, endpoint.clone(), item));
                    }
                }
                if let Err(CallError::RateLimited(wait)) = &answer.outcome {
                    self.closed_until = self.closed_until.max(self.now + *wait);
                }
                let _ = latency;
                let at = self.wall + self.now;
                self.machine.answered(id, answer, at, now);
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
            Event::Tick => {
                let due: Vec<_> = self.changes.extract_if(.., |(at, _)| *at <= self.now).collect();
                for (_, change) in due {
                    change(&mut self.auth0);
                }
            }
        }
    }

    /// What the reconcile would do with each report.
    fn collect(&mut self) {
        for (owner, report) in self.machine.ended() {
            let n = self.by_uid[&owner.uid];
            let object = &mut self.objects[n];
            let Some(report) = report else {
                assert!(object.withdrawn, "dropped although it is wanted");
                object.dropped = true;
                continue;
            };
            if object.withdrawn {
                continue;
            }
            assert!(object.ended.is_none(), "two verdicts");
            object.attempts += 1;
            let back_in = match &report.end {
                End::Remaining(_) => {
                    let accepted = *object.accepted.get_or_insert(self.now);
                    let looks = [2, 7, 17, 37, 77].map(Duration::from_secs);
                    let next = looks.into_iter().find(|look| accepted + *look > self.now);
                    next.map_or(Duration::from_secs(60), |look| accepted + look - self.now)
                }
                End::Failed(CallError::Unavailable(_)) => {
                    object.lost |= report.correlation.is_some();
                    let doubled = 1_u64 << object.attempts.min(10);
                    Duration::from_millis(500 * doubled + n as u64 % 97).min(Duration::from_secs(600))
                }
                _ => {
                    object.ended = Some((self.now, report));
                    self.open -= 1;
                    continue;
                }
            };
            self.events.push(Reverse((self.now + back_in, Event::Submit(n))));
        }
    }
}
