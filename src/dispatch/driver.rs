//! The effects of one domain's machine: asks it what to do, checks with the owners, sends, and tells it what came of it.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::auth0::{Answer, CallError, Domain, Page};
use crate::clock;

use super::connection::{Connection, ConnectionKey};
use super::job::{Owner, Refusal};
use super::machine::{Ask, CallId, Machine, Outgoing, Step};
use super::observer::{DeleteFinished, Observer, RequestFinished};
use super::preflight::Preflight;

/// The owners of a call are asked together, so many at a time, and all of them within this time.
const ASKED_AT_ONCE: usize = 16;
const ASKED_WITHIN: Duration = Duration::from_secs(6);
/// After a panic the worker goes on, but not in a circle without end.
const PANIC_PAUSE: Duration = Duration::from_secs(1);
/// Larger machines are checked less often than at each event.
#[cfg(debug_assertions)]
const CHECKED: usize = 200;

/// What the work at a queue needs of the dispatcher.
pub(super) trait Effects: Send + Sync + 'static {
    /// Who is asked before each call.
    fn preflight(&self) -> &dyn Preflight;

    /// Who is told of each call.
    fn observer(&self) -> &dyn Observer;

    /// Fetches what ended at the queue and wakes the owners.
    fn collect(&self, queue: &Queue);
}

/// One domain's machine, and who is to be told when something happened to it.
pub(super) struct Queue {
    pub(super) domain: Domain,
    machine: Mutex<Machine>,
    changed: Notify,
    pub(super) closed: CancellationToken,
}

impl Queue {
    pub(super) fn new(domain: Domain, closed: CancellationToken) -> Self {
        // So that two operators, or one before and after a restart, do not name two calls alike.
        let prefix = format!("rescind-{:012x}", fastrand::u64(..1 << 48));
        let machine = Machine::new(domain.clone(), &prefix, clock::wall(), clock::steady());
        Self { domain, machine: Mutex::new(machine), changed: Notify::new(), closed }
    }

    /// Tells the machine something, and has it asked what to do then.
    pub(super) fn tell<T>(&self, event: impl FnOnce(&mut Machine) -> T) -> T {
        let answer = self.ask(event);
        self.changed.notify_waiters();
        answer
    }

    /// Asks the machine something that changes nothing for the worker.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = self.machine.lock().unwrap_or_else(|poisoned| {
            // A panic in the middle of a decision: nothing is believed but the jobs.
            self.machine.clear_poison();
            let mut machine = poisoned.into_inner();
            machine.rebuild(clock::steady());
            self.changed.notify_waiters();
            machine
        });
        let answer = question(&mut machine);
        #[cfg(debug_assertions)]
        if machine.len() < CHECKED || fastrand::usize(..machine.len()) < CHECKED / 10 {
            debug_assert_eq!(machine.check(), Ok(()));
        }
        answer
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

/// Works until the queue is closed; what is on its way then ends by itself. A panic is counted, and the work begun anew
/// with the jobs there are.
pub(super) async fn supervise(dispatcher: Arc<dyn Effects>, queue: Arc<Queue>) {
    while !queue.closed.is_cancelled() {
        let work = AssertUnwindSafe(work(&dispatcher, &queue)).catch_unwind();
        if queue.closed.run_until_cancelled(work).await.is_none() {
            return;
        }
        error!(domain = %queue.domain, "the dispatcher's worker panicked; it goes on with the jobs it has");
        dispatcher.observer().task_restarted();
        queue.closed.run_until_cancelled(tokio::time::sleep(PANIC_PAUSE)).await;
    }
}

async fn work(dispatcher: &Arc<dyn Effects>, queue: &Arc<Queue>) {
    loop {
        let changed = queue.changed.notified();
        tokio::pin!(changed);
        // Listens from here on, so that a change between the question and the wait is not missed.
        changed.as_mut().enable();
        let step = queue.ask(|machine| machine.next(clock::steady()));
        dispatcher.collect(queue);
        match step {
            Step::Check(ask) => {
                tokio::spawn(call(dispatcher.clone(), queue.clone(), ask));
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

/// One call, from the preflight check to its answer.
async fn call(dispatcher: Arc<dyn Effects>, queue: Arc<Queue>, ask: Ask) {
    // Whatever becomes of this task, the machine hears of it.
    let mut guard = InFlight { dispatcher: &dispatcher, queue: &queue, id: ask.id, sent: None, ended: false };
    let checked = queue.closed.run_until_cancelled(preflight(&dispatcher, &queue, &ask)).await;
    let Some(Some(connection)) = checked else { return guard.called_off() };
    let preflight = dispatcher.preflight();
    let leading = preflight.may_send();
    let recheck = |owner| if leading { preflight.recheck(owner) } else { Err(Refusal::NotLeading) };
    let results: Vec<_> = ask.owners.iter().map(recheck).collect();
    let Some((outgoing, owners)) = queue.tell(|machine| machine.send(ask.id, &results, clock::steady())) else {
        guard.ended = true;
        return dispatcher.collect(&queue);
    };
    dispatcher.collect(&queue);
    let sent = guard.sent.insert(Sent { connection: connection.key, outgoing, owners, at: clock::steady() });
    let answer = send(&connection, &sent.outgoing).await;
    if let Err(CallError::RateLimited(wait)) = &answer.outcome {
        let domain = &queue.domain;
        warn!(%domain, seconds = wait.as_secs(), "Auth0's rate limit is reached; nothing is sent until it is over");
    }
    guard.answered(answer);
}

/// Asks all owners together and waits for the call's moment. `None` if it is not to be made.
async fn preflight(dispatcher: &Arc<dyn Effects>, queue: &Arc<Queue>, ask: &Ask) -> Option<Connection> {
    let mut found: Option<Connection> = None;
    let mut results: Vec<Result<ConnectionKey, Refusal>> = vec![Err(Refusal::Unconfirmed); ask.owners.len()];
    let deadline = tokio::time::Instant::now() + ASKED_WITHIN;
    let check = |n: usize| async move { (n, dispatcher.preflight().check(&ask.owners[n]).await) };
    let mut checks = futures::stream::iter((0..results.len()).map(check)).buffer_unordered(ASKED_AT_ONCE);
    while let Ok(Some((n, result))) = tokio::time::timeout_at(deadline, checks.next()).await {
        results[n] = result.map(|connection| {
            let key = connection.key;
            if key == ask.connection {
                found.get_or_insert(connection);
            }
            key
        });
    }
    let now = clock::steady();
    let slot = queue.tell(|machine| {
        if let Some(Connection { key, tenant, limits, .. }) = &found {
            machine.set_limits(*key, tenant, *limits, now);
        }
        machine.preflighted(ask.id, &results, now)
    });
    dispatcher.collect(queue);
    tokio::time::sleep_until(slot?.into()).await;
    found
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
    connection: ConnectionKey,
    outgoing: Outgoing,
    owners: Vec<Owner>,
    at: Instant,
}

impl Sent {
    fn tell(&self, dispatcher: &dyn Effects, domain: &Domain, answer: &Answer<Page>) {
        let took = clock::steady().saturating_duration_since(self.at);
        // What did not reach Auth0 has no name there, and no record as something that was done.
        let reached = !matches!(answer.outcome, Err(CallError::NotSent(_) | CallError::NotProcessed));
        let (method, endpoint, correlation) = match &self.outgoing {
            Outgoing::Remove { endpoint, correlation, .. } => ("DELETE", endpoint.template(), Some(&**correlation)),
            Outgoing::Page { read, .. } => ("GET", read.template(), None),
        };
        let (owners, correlation) = (self.owners.as_slice(), correlation.filter(|_| reached));
        let connection = self.connection;
        let call = RequestFinished { connection, domain, method, endpoint, owners, correlation, took, answer };
        dispatcher.observer().request_finished(&call);
        if let (Outgoing::Remove { endpoint, items, correlation }, true) = (&self.outgoing, reached) {
            let outcome = answer.outcome.as_ref().map(drop);
            let deletion = DeleteFinished { domain, endpoint, items, owners, correlation, took, outcome };
            dispatcher.observer().delete_finished(&deletion);
        }
    }
}

/// A call begun and not ended.
struct InFlight<'a> {
    dispatcher: &'a Arc<dyn Effects>,
    queue: &'a Arc<Queue>,
    id: CallId,
    sent: Option<Sent>,
    ended: bool,
}

impl InFlight<'_> {
    fn answered(&mut self, answer: Answer<Page>) {
        self.ended = true;
        if let Some(sent) = self.sent.take() {
            sent.tell(&**self.dispatcher, &self.queue.domain, &answer);
        }
        self.queue.tell(|machine| machine.answered(self.id, answer, clock::wall(), clock::steady()));
        self.dispatcher.collect(self.queue);
    }

    fn called_off(&mut self) {
        self.ended = true;
        self.queue.tell(|machine| machine.call_off(self.id, clock::steady()));
        self.dispatcher.collect(self.queue);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if std::thread::panicking() {
            self.dispatcher.observer().task_restarted();
        }
        if self.sent.is_some() {
            let outcome = Err(CallError::no_answer("the call was interrupted"));
            self.answered(Answer { limits: Default::default(), outcome });
        } else {
            self.called_off();
        }
    }
}
