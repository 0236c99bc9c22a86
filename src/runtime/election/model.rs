//! Elections of three candidates against a model of the Lease, with a clock of its own for each, pauses, lost answers,
//! crashes and releases: at no time do two candidates believe that they lead.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use proptest::prelude::*;

use super::candidate::{Candidate, ElectionTiming, Step};
use super::clock::Moment;

/// The API server: the Lease, its version, and writes that name the version on which they are based.
#[derive(Default)]
struct Server {
    lease: Option<LeaseSpec>,
    version: u64,
    /// Writes whose senders have given up, and that are still in flight.
    late: Vec<(LeaseSpec, u64)>,
}

impl Server {
    fn write(&mut self, lease: LeaseSpec, follows: u64) -> bool {
        let fits = self.version == follows;
        if fits {
            self.lease = Some(lease);
            self.version += 1;
        }
        fits
    }
}

/// How far a call is. Each half of a call may take any time.
enum Phase {
    Idle,
    /// The server has answered a read; the answer is in flight.
    Reading(Option<LeaseSpec>, u64),
    /// A write was sent, and has not reached the server.
    Sent {
        lease: LeaseSpec,
        follows: u64,
        at: Moment,
    },
    /// The write was made or refused; the answer is in flight.
    Answered {
        made: bool,
        at: Moment,
    },
}

struct Replica {
    number: u32,
    starts: u32,
    candidate: Candidate,
    phase: Phase,
    /// Its clock: milliseconds at the start, and the speed in percent of the true one.
    clock: (u64, u64),
}

impl Replica {
    fn new(number: u32, clock: (u64, u64)) -> Self {
        let mut replica = Self { number, starts: 0, candidate: candidate(number, 0), phase: Phase::Idle, clock };
        replica.restart();
        replica
    }

    fn restart(&mut self) {
        self.starts += 1;
        self.candidate = candidate(self.number, self.starts);
        self.phase = Phase::Idle;
    }

    fn now(&self, truth: u64) -> Moment {
        Duration::from_millis(self.clock.0 + truth * self.clock.1 / 100)
    }

    fn leads(&self, truth: u64) -> bool {
        self.candidate.until().is_some_and(|until| self.now(truth) < until)
    }

    /// The next half of a call.
    fn advance(&mut self, server: &mut Server, truth: u64) {
        let now = self.now(truth);
        self.phase = match std::mem::replace(&mut self.phase, Phase::Idle) {
            // When its time has run out it exits, as after `keep_renewing`.
            Phase::Idle if self.candidate.until().is_some_and(|until| now >= until) => return self.restart(),
            Phase::Idle => Phase::Reading(server.lease.clone(), server.version),
            Phase::Reading(lease, follows) => {
                let version = follows.to_string();
                let read = lease.as_ref().map(|lease| (lease, &*version));
                match self.candidate.observe(read, now, Timestamp::UNIX_EPOCH) {
                    Step::Create(lease) | Step::Replace(lease) => Phase::Sent { lease, follows, at: now },
                    Step::Wait(_) => Phase::Idle,
                    Step::Lost(_) => return self.restart(),
                }
            }
            Phase::Sent { lease, follows, at } => Phase::Answered { made: server.write(lease, follows), at },
            Phase::Answered { made, at } => {
                if made {
                    self.candidate.record_renewal(at);
                }
                Phase::Idle
            }
        };
    }

    fn lose_answer(&mut self, server: &mut Server) {
        if let Some((lease, follows)) = server.late.pop() {
            server.write(lease, follows);
        }
        if let Phase::Sent { lease, follows, .. } = std::mem::replace(&mut self.phase, Phase::Idle) {
            server.late.push((lease, follows));
        }
    }

    /// As `Elector::release`, but its write reaches the server at once.
    fn release(&mut self, server: &mut Server) {
        if let (Some(_), Some(lease)) = (self.candidate.until(), server.lease.clone())
            && super::candidate::holder(&lease) == Some(self.candidate.identity())
        {
            let given_up = self.candidate.release_spec(&lease, Timestamp::UNIX_EPOCH);
            server.write(given_up, server.version);
        }
        self.restart();
    }
}

fn candidate(number: u32, starts: u32) -> Candidate {
    Candidate::new(format!("{number}-{starts}"), ElectionTiming::default())
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Advance,
    /// The candidate gives the call up. Its write was made, or is made later, or never.
    LoseAnswer,
    Crash,
    Release,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        30 => Just(Event::Advance),
        2 => Just(Event::LoseAnswer),
        1 => Just(Event::Crash),
        1 => Just(Event::Release),
    ]
}

/// Milliseconds between two events: mostly as in a quiet cluster, sometimes a long pause.
fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0..1500_u64, 3 => 1500..6000_u64, 1 => 6000..40_000_u64]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn at_most_one_leads(
        // The clocks show unrelated times, and their speeds differ by up to a fifth.
        clocks in proptest::array::uniform3((0..10_000_000_u64, 90..=110_u64)),
        // One candidate at a time goes on for a while, and the others are paused.
        events in proptest::collection::vec((0..3_usize, event(), pause(), 1..20), 1..80),
    ) {
        let mut server = Server::default();
        let mut replicas: Vec<_> = (0..3).zip(clocks).map(|(number, clock)| Replica::new(number, clock)).collect();
        let mut truth = 0;
        for (index, event, pause, times) in events {
            for _ in 0..times {
                truth += pause;
                let replica = &mut replicas[index];
                match event {
                    Event::Advance => replica.advance(&mut server, truth),
                    Event::LoseAnswer => replica.lose_answer(&mut server),
                    Event::Crash => replica.restart(),
                    Event::Release => replica.release(&mut server),
                }
                let leading = replicas.iter().filter(|replica| replica.leads(truth)).count();
                prop_assert!(leading <= 1, "{leading} lead at {truth} ms");
            }
        }
        // Whatever happened, a candidate that is alone leads after the lease duration, and keeps leading.
        for half in 0..200 {
            truth += 250;
            replicas[0].advance(&mut server, truth);
            prop_assert!(half < 100 || replicas[0].leads(truth), "no replica leads");
        }
    }
}
