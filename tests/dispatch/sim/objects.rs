//! The objects of a run, and the part that their reconcile plays: it submits, takes reports, and comes back.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rescind::auth0::{CallError, Endpoint, Item, Question};
use rescind::dispatch::{End, History, Job, Limits, Owner, Refusal, Removal, Report, Task};

use super::{Event, Sim, connection};

/// An object with what the operator would know of it.
#[derive(Clone, Debug)]
pub struct Object {
    pub owner: Owner,
    pub removal: Removal,
    /// The number of its tenant's credential; `rotates` says when the tenant gets which other one.
    pub credential: u64,
    pub rotates: Option<(Duration, u64)>,
    /// Whether to read before the removal; `verify`, whether to read after it.
    pub before: bool,
    pub verify: bool,
    /// Whether it only finds out what is there.
    pub observes: bool,
    /// What it asks, if it only learns something.
    pub asks: Option<Question>,
    attempts: u32,
    pub history: History,
    submitted: Duration,
    /// The report of its last job.
    pub last: Option<Report>,
    pub ended: Option<(Duration, Report)>,
    pub withdrawn: bool,
    /// When it was woken although its job had not ended.
    pub woken: Vec<Duration>,
}

impl Object {
    pub fn new(namespace: &Arc<str>, number: usize, endpoint: Endpoint, items: Vec<Item>, verify: bool) -> Self {
        let uid: Arc<str> = format!("{number:08}").into();
        let owner = Owner { kind: "K", namespace: namespace.clone(), name: uid.clone(), uid, generation: 1 };
        Self {
            owner,
            removal: Removal { endpoint, items },
            credential: 1,
            rotates: None,
            before: false,
            verify,
            observes: false,
            asks: None,
            attempts: 0,
            history: History::default(),
            submitted: Duration::ZERO,
            last: None,
            ended: None,
            withdrawn: false,
            woken: Vec::new(),
        }
    }

    /// The number of its credential at this time.
    pub(super) fn credential_at(&self, now: Duration) -> u64 {
        self.rotates.filter(|(at, _)| *at <= now).map_or(self.credential, |(_, to)| to)
    }
}

impl Sim {
    /// The limits of the tenant whose credential has this number.
    fn limits_of(&self, credential: u64) -> Limits {
        self.own_limits.get(&credential).copied().unwrap_or(self.limits)
    }

    pub(super) fn submit(&mut self, n: usize) {
        let now = self.instant();
        let limits = self.limits_of(self.objects[n].credential_at(self.now));
        let object = &mut self.objects[n];
        if object.withdrawn || object.ended.is_some() {
            return;
        }
        object.credential = object.credential_at(self.now);
        object.submitted = self.now;
        let History { accepted, absent, .. } = &object.history;
        let all = object.removal.items.iter().all(|item| accepted.contains(item) || absent.contains(item));
        let (before, after) = (object.before, object.verify);
        let task = match () {
            () if object.asks.is_some() => Task::Learn(object.asks.clone().unwrap()),
            () if object.observes => Task::Observe,
            () if all && after => Task::Prove,
            () => Task::Remove { before, after },
        };
        let (owner, removal, history) = (object.owner.clone(), object.removal.clone(), object.history.clone());
        let connection = connection(object.credential);
        self.machine.set_limits(connection, &owner.namespace, limits, now);
        self.machine.submit(connection, Job { owner, removal, task, history }, now);
    }

    /// Does what the reconcile would do with each report.
    pub(super) fn collect(&mut self) {
        for owner in self.machine.woken() {
            self.objects[self.by_uid[&owner.uid]].woken.push(self.now);
        }
        for (owner, report) in self.machine.ended() {
            let n = self.by_uid[&owner.uid];
            let (now, wall) = (self.now, self.wall());
            let object = &mut self.objects[n];
            if object.withdrawn {
                continue;
            }
            assert!(object.ended.is_none(), "two verdicts");
            assert!(report.read_at.is_none_or(|at| at <= wall), "a read of the future");
            object.attempts += 1;
            object.last = Some(report.clone());
            object.history = History {
                accepted: report.accepted.clone(),
                accepted_unnamed: report.accepted_unnamed,
                absent: match &report.end {
                    End::Remaining(left) => {
                        report.already_absent.iter().filter(|item| !left.contains(item)).cloned().collect()
                    }
                    _ => report.already_absent.clone(),
                },
                first_accepted_at: report.first_accepted_at,
                accepted_at: report.accepted_at,
                lost: report.lost,
                seen: report.seen,
                known_gone: object.history.known_gone,
            };
            let back_in = match &report.end {
                End::Remaining(_) if !object.observes => {
                    // After a DELETE without an answer there is no time of acceptance.
                    let since = report.first_accepted_at.unwrap_or(wall).duration_since(self.wall);
                    let accepted = Duration::try_from(since).unwrap();
                    let looks = [2, 8, 11, 21, 41, 81].map(Duration::from_secs);
                    let next = looks.into_iter().find(|look| accepted + *look > now);
                    next.map_or(Duration::from_secs(60), |look| accepted + look - now)
                }
                End::Failed(
                    CallError::Unavailable(_)
                    | CallError::NotSent(_)
                    | CallError::NotProcessed
                    | CallError::TokenReplaced,
                ) => {
                    let doubled = 1_u64 << object.attempts.min(10);
                    Duration::from_millis(500 * doubled + n as u64 % 97).min(Duration::from_secs(600))
                }
                End::HandedBack(refusal) => {
                    assert_eq!(*refusal, Refusal::OtherConnection, "handed back although it is wanted");
                    assert_ne!(object.credential, object.credential_at(now), "its connection is no other");
                    Duration::ZERO
                }
                // It comes back when its tenant gets another credential.
                End::Failed(CallError::Unauthorized(_)) if object.rotates.is_some_and(|(at, _)| at > now) => {
                    object.rotates.map_or(Duration::ZERO, |(at, _)| at - now)
                }
                _ => {
                    object.ended = Some((now, report));
                    self.open -= 1;
                    continue;
                }
            };
            self.events.push(Reverse((now + back_in, Event::Submit(n))));
        }
    }

    /// Whether the read behind the verdict began after the object last asked and after its removal was accepted.
    pub fn read_in_time(&self, n: usize) -> bool {
        let object = &self.objects[n];
        let Some((_, report)) = &object.ended else { return false };
        let after = |at: Timestamp| report.accepted_at.is_none_or(|accepted| accepted <= at);
        report.read_at.is_some_and(|at| after(at) && at >= self.wall + object.submitted)
    }
}
