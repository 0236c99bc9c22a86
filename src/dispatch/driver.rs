//! The effects of one lane: asks its machine what to do, takes the last look, sends, and tells the machine what came of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::Notify;
use tracing::warn;

use crate::auth0::{Answer, CallError, Domain, Page};

use super::lanes::Lanes;
use super::machine::{Ask, CallId, Looked, Machine, Outgoing, Step};
use super::{Called, Connection, Deletion, Owner};

/// One domain's machine, and who is to be told when something happened to it.
pub(super) struct Lane {
    pub(super) domain: Domain,
    machine: Mutex<Machine>,
    changed: Notify,
}

impl Lane {
    pub(super) fn new(domain: Domain) -> Self {
        // So that two operators, or one before and after a restart, do not name two calls alike.
        let prefix = format!("rescind-{:012x}", fastrand::u64(..1 << 48));
        Self { domain, machine: Mutex::new(Machine::new(&prefix)), changed: Notify::new() }
    }

    /// Tells the machine something, and has it asked what to do then.
    pub(super) fn tell<T>(&self, event: impl FnOnce(&mut Machine) -> T) -> T {
        let answer = self.ask(event);
        self.changed.notify_waiters();
        answer
    }

    /// Asks the machine something that changes nothing.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&mut Machine) -> T) -> T {
        // A panic under this lock is a bug of the machine; the lane goes on with what is left of it.
        question(&mut self.machine.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns once no call is on its way.
    pub(super) async fn calm(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.ask(|machine| machine.in_flight()) == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// Runs a lane until it is told to close; what is on its way then ends by itself.
pub(super) async fn drive(lanes: Arc<Lanes>, lane: Arc<Lane>) {
    lanes.closed().run_until_cancelled(work(&lanes, &lane)).await;
}

async fn work(lanes: &Arc<Lanes>, lane: &Arc<Lane>) {
    loop {
        let changed = lane.changed.notified();
        tokio::pin!(changed);
        // Listens from here on, so that a change between the question and the wait is not missed.
        changed.as_mut().enable();
        let step = lane.ask(|machine| machine.next(Instant::now()));
        match step {
            Step::Call(ask) => {
                tokio::spawn(call(lanes.clone(), lane.clone(), ask));
                // A long queue must not keep this task from letting others run.
                tokio::task::consume_budget().await;
            }
            Step::Wait(until) => {
                tokio::select! {
                    () = tokio::time::sleep_until(until.into()) => {}
                    () = changed => {}
                }
            }
            Step::Idle => changed.await,
        }
    }
}

/// One call, from the last look to its answer.
async fn call(lanes: Arc<Lanes>, lane: Arc<Lane>, ask: Ask) {
    // Whatever becomes of this task, the machine hears of it.
    let mut call = OnItsWay { lanes: &lanes, lane: &lane, id: ask.id, sent: None, ended: false };
    let (look, connection) = last_look(&lanes, ask).await;
    let now = Instant::now();
    let outgoing = lane.tell(|machine| {
        if let Some(Connection { tenant, limits, .. }) = &connection {
            machine.set_limits(tenant, *limits, now);
        }
        machine.looked(call.id, &look, now).map(|outgoing| (outgoing, machine.owners_of(call.id)))
    });
    let (Some((outgoing, owners)), Some(connection)) = (outgoing, connection) else {
        call.ended = true;
        lanes.collect(&lane);
        return;
    };
    let sent = call.sent.insert(Sent { outgoing, owners, at: Instant::now() });
    let answer = send(&connection, &sent.outgoing).await;
    if let Err(CallError::RateLimited(wait)) = &answer.outcome {
        let domain = &lane.domain;
        warn!(%domain, seconds = wait.as_secs(), "Auth0's rate limit is reached; nothing is sent until it is over");
    }
    call.answered(answer);
}

/// Asks the owners of each share until one of them still wants it. The first connection is the call's. In the end, whether
/// anything may be sent at all.
async fn last_look(lanes: &Lanes, ask: Ask) -> (Looked, Option<Connection>) {
    let mut look = Looked::default();
    let mut connection = None;
    let everybody: Vec<_> = ask.shares.iter().flatten().map(|owner| owner.uid.clone()).collect();
    for share in ask.shares {
        let mut consent = None;
        for owner in share {
            if look.refused.contains(&owner.uid) {
                continue;
            }
            match lanes.look.look(&owner).await {
                Some(found) => {
                    consent = Some(found.token.fingerprint());
                    connection.get_or_insert(found);
                    break;
                }
                None => look.refused.push(owner.uid),
            }
        }
        look.consents.push(consent);
    }
    if !lanes.look.may_send() {
        look = Looked { refused: everybody, consents: vec![None; look.consents.len()] };
        connection = None;
    }
    (look, connection)
}

async fn send(Connection { client, token, .. }: &Connection, outgoing: &Outgoing) -> Answer<Page> {
    match outgoing {
        Outgoing::Remove { endpoint, items, correlation } => {
            let answer = client.remove(token, endpoint, items, correlation).await;
            Answer { limits: answer.limits, outcome: answer.outcome.map(|()| Page::Null) }
        }
        Outgoing::Page { read, query } => client.page(token, read, query).await,
    }
}

/// A call that left, until its end is told.
struct Sent {
    outgoing: Outgoing,
    owners: Vec<Owner>,
    at: Instant,
}

impl Sent {
    fn tell(&self, lanes: &Lanes, domain: &Domain, answer: &Answer<Page>) {
        let took = self.at.elapsed();
        let (method, endpoint, correlation) = match &self.outgoing {
            Outgoing::Remove { endpoint, correlation, .. } => ("DELETE", endpoint.template(), Some(&**correlation)),
            Outgoing::Page { read, .. } => ("GET", read.template(), None),
        };
        lanes.meter.called(&Called { domain, method, endpoint, owners: &self.owners, correlation, took, answer });
        if let Outgoing::Remove { endpoint, items, correlation } = &self.outgoing {
            let (owners, outcome) = (self.owners.as_slice(), answer.outcome.as_ref().map(drop));
            lanes.meter.removed(&Deletion { domain, endpoint, items, owners, correlation, took, outcome });
        }
    }
}

struct OnItsWay<'a> {
    lanes: &'a Arc<Lanes>,
    lane: &'a Arc<Lane>,
    id: CallId,
    sent: Option<Sent>,
    ended: bool,
}

impl OnItsWay<'_> {
    fn answered(&mut self, answer: Answer<Page>) {
        self.ended = true;
        if let Some(sent) = self.sent.take() {
            sent.tell(self.lanes, &self.lane.domain, &answer);
        }
        let limited = matches!(answer.outcome, Err(CallError::RateLimited(_)));
        let now = Instant::now();
        let shown = self.lane.tell(|machine| {
            machine.answered(self.id, answer, Timestamp::now(), now);
            machine.shown_wait(now).is_some()
        });
        self.lanes.collect(self.lane);
        if limited && shown {
            self.lanes.tell_wait(self.lane);
        }
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let outcome = Err(CallError::Unavailable("the call was interrupted"));
            self.answered(Answer { limits: Default::default(), outcome });
        }
    }
}
