//! Runs the machine of one domain: asks it for the next call, checks the call with its owners, sends it, and passes the
//! response back.

use std::panic::{AssertUnwindSafe, catch_unwind};
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
use super::machine::{CallId, Machine, Outgoing, PendingCall, Step};
use super::observer::{DeleteFinished, Observer, RequestFinished};
use super::preflight::Preflight;

/// How many owners of a call are checked at once, and how long the checks of all of them may take together.
const PREFLIGHT_CONCURRENCY: usize = 16;
const PREFLIGHT_TIMEOUT: Duration = Duration::from_secs(6);
/// The pause after a panic, so that a bug which panics every time does not turn into a busy loop.
const PANIC_PAUSE: Duration = Duration::from_secs(1);
/// Debug builds check the invariants after each event, but only now and then if there are more jobs than this.
#[cfg(debug_assertions)]
const ALWAYS_CHECKED_BELOW: usize = 200;

/// What a queue needs from the dispatcher. A trait, so that the two files do not import each other.
pub(super) trait QueueContext: Send + Sync + 'static {
    /// The check before each call.
    fn preflight(&self) -> &dyn Preflight;

    /// The observer of each call.
    fn observer(&self) -> &dyn Observer;

    /// Takes the reports of ended jobs from the queue and wakes their owners.
    fn collect(&self, queue: &DomainQueue);
}

/// The machine of one domain, with a notification for the worker that runs it.
pub(super) struct DomainQueue {
    pub(super) domain: Domain,
    machine: Mutex<Machine>,
    changed: Notify,
    pub(super) closed: CancellationToken,
}

impl DomainQueue {
    pub(super) fn new(domain: Domain, closed: CancellationToken) -> Self {
        // A random prefix, so that the correlation ids of two processes differ.
        let prefix = format!("rescind-{:012x}", fastrand::u64(..1 << 48));
        let machine = Machine::new(domain.clone(), &prefix, clock::wall(), clock::steady());
        Self { domain, machine: Mutex::new(machine), changed: Notify::new(), closed }
    }

    /// Changes the machine, and has the worker ask it for the next call again.
    pub(super) fn update<T>(&self, event: impl FnOnce(&mut Machine) -> T) -> T {
        let answer = self.read(event);
        self.changed.notify_waiters();
        answer
    }

    /// Reads from the machine, or changes it in a way that does not concern the worker.
    pub(super) fn read<T>(&self, question: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = self.machine.lock().unwrap_or_else(|poisoned| {
            // The machine panicked in the middle of a decision, so only its jobs can be trusted.
            self.machine.clear_poison();
            let mut machine = poisoned.into_inner();
            machine.rebuild(clock::steady());
            self.changed.notify_waiters();
            machine
        });
        let answer = question(&mut machine);
        #[cfg(debug_assertions)]
        if machine.len() < ALWAYS_CHECKED_BELOW || fastrand::usize(..machine.len()) < ALWAYS_CHECKED_BELOW / 10 {
            debug_assert_eq!(machine.check(), Ok(()));
        }
        answer
    }

    /// Returns as soon as no call is in flight.
    pub(super) async fn drained(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.read(|machine| machine.in_flight()) == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// Runs the worker until the queue is closed; calls that are in flight then end on their own. After a panic the worker
/// is restarted, with the jobs that are left.
pub(super) async fn supervise(dispatcher: Arc<dyn QueueContext>, queue: Arc<DomainQueue>) {
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

async fn work(dispatcher: &Arc<dyn QueueContext>, queue: &Arc<DomainQueue>) {
    loop {
        let changed = queue.changed.notified();
        tokio::pin!(changed);
        // Registered before the machine is asked, so that a change in between is not missed.
        changed.as_mut().enable();
        let step = queue.read(|machine| machine.next(clock::steady()));
        dispatcher.collect(queue);
        match step {
            Step::Check(pending) => {
                tokio::spawn(call(dispatcher.clone(), queue.clone(), pending));
                // Lets other tasks run even while there are many calls to start.
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

/// Makes one call, from the preflight check to its response.
async fn call(dispatcher: Arc<dyn QueueContext>, queue: Arc<DomainQueue>, pending: PendingCall) {
    // The guard reports the end of the call to the machine, even if this task panics or is aborted.
    let mut guard = InFlightGuard { dispatcher: &dispatcher, queue: &queue, id: pending.id, sent: None, ended: false };
    let checked = queue.closed.run_until_cancelled(preflight(&dispatcher, &queue, &pending)).await;
    let Some(Some(connection)) = checked else { return guard.cancelled() };
    let preflight = dispatcher.preflight();
    let leading = preflight.may_send();
    let recheck = |owner| {
        if !leading {
            return Err(Refusal::NotLeading);
        }
        let check = || preflight.recheck(owner, pending.purpose);
        unless_panicked(&dispatcher, catch_unwind(AssertUnwindSafe(check)))
    };
    let results: Vec<_> = pending.owners.iter().map(recheck).collect();
    let Some((outgoing, owners)) = queue.update(|machine| machine.send(pending.id, &results, clock::steady())) else {
        guard.ended = true;
        return dispatcher.collect(&queue);
    };
    dispatcher.collect(&queue);
    let sent = guard.sent.insert(SentCall { connection: connection.key, outgoing, owners, at: clock::steady() });
    let answer = send(&connection, &sent.outgoing).await;
    if let Err(CallError::RateLimited(wait)) = &answer.outcome {
        let domain = &queue.domain;
        warn!(%domain, seconds = wait.as_secs(), "Auth0's rate limit is reached; nothing is sent until it is over");
    }
    guard.answered(answer);
}

/// Checks the call with all of its owners, then waits until its time slot. `None` if the call must not be sent.
async fn preflight(
    dispatcher: &Arc<dyn QueueContext>,
    queue: &Arc<DomainQueue>,
    pending: &PendingCall,
) -> Option<Connection> {
    let mut found: Option<Connection> = None;
    let mut results: Vec<Result<ConnectionKey, Refusal>> = vec![Err(Refusal::Unconfirmed); pending.owners.len()];
    let deadline = tokio::time::Instant::now() + PREFLIGHT_TIMEOUT;
    let check = |n: usize| async move {
        let check = async { dispatcher.preflight().check(&pending.owners[n], pending.purpose).await };
        (n, unless_panicked(dispatcher, AssertUnwindSafe(check).catch_unwind().await))
    };
    let mut checks = futures::stream::iter((0..results.len()).map(check)).buffer_unordered(PREFLIGHT_CONCURRENCY);
    while let Ok(Some((n, result))) = tokio::time::timeout_at(deadline, checks.next()).await {
        results[n] = result.map(|connection| {
            let key = connection.key;
            if key == pending.connection {
                found.get_or_insert(connection);
            }
            key
        });
    }
    let now = clock::steady();
    let slot = queue.update(|machine| {
        if let Some(Connection { key, tenant, limits, .. }) = &found {
            machine.set_limits(*key, tenant, *limits, now);
        }
        machine.preflighted(pending.id, &results, now)
    });
    dispatcher.collect(queue);
    tokio::time::sleep_until(slot?.into()).await;
    found
}

/// The result of a check. A bug that panics in it concerns only the object that was checked, and not those that share
/// the call.
fn unless_panicked<T>(
    dispatcher: &Arc<dyn QueueContext>,
    checked: std::thread::Result<Result<T, Refusal>>,
) -> Result<T, Refusal> {
    checked.unwrap_or_else(|_| {
        dispatcher.observer().task_restarted();
        Err(Refusal::Unconfirmed)
    })
}

async fn send(Connection { client, credential, .. }: &Connection, outgoing: &Outgoing) -> Answer<Page> {
    let Some(token) = credential.token() else {
        let outcome = Err(CallError::NotSent("the access token has expired, and there is no other one yet"));
        return Answer { limits: Default::default(), outcome };
    };
    let mut answer = match outgoing {
        Outgoing::Remove { endpoint, items, correlation } => {
            let answer = client.remove(&token, endpoint, items, correlation).await;
            Answer { limits: answer.limits, outcome: answer.outcome.map(|()| Page::Null) }
        }
        Outgoing::Page { read, query } => client.page(&token, read, query).await,
    };
    if credential.call_ended(&token, answer.outcome.as_ref().err()) {
        answer.outcome = Err(CallError::TokenReplaced);
    }
    answer
}

/// A call that was sent.
struct SentCall {
    connection: ConnectionKey,
    outgoing: Outgoing,
    owners: Vec<Owner>,
    at: Instant,
}

impl SentCall {
    fn report(&self, dispatcher: &dyn QueueContext, domain: &Domain, answer: &Answer<Page>) {
        let took = clock::steady().saturating_duration_since(self.at);
        // Auth0 has no log entry of a request that did not reach it, and nothing was done that an audit should record.
        let reached = answer.outcome.as_ref().err().is_none_or(CallError::may_have_arrived);
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

/// A call that the machine counts as in flight. When the guard is dropped, the machine is told that the call has ended.
struct InFlightGuard<'a> {
    dispatcher: &'a Arc<dyn QueueContext>,
    queue: &'a Arc<DomainQueue>,
    id: CallId,
    sent: Option<SentCall>,
    ended: bool,
}

impl InFlightGuard<'_> {
    fn answered(&mut self, answer: Answer<Page>) {
        self.ended = true;
        let report = || {
            let sent = self.sent.take();
            sent.into_iter().for_each(|sent| sent.report(&**self.dispatcher, &self.queue.domain, &answer));
        };
        // What is told of a call must not decide what becomes of it.
        let reported = catch_unwind(AssertUnwindSafe(report));
        self.queue.update(|machine| machine.answered(self.id, answer, clock::wall(), clock::steady()));
        self.dispatcher.collect(self.queue);
        if reported.is_err() {
            error!(domain = %self.queue.domain, "the observer of a call panicked; the call counts all the same");
            self.dispatcher.observer().task_restarted();
        }
    }

    fn cancelled(&mut self) {
        self.ended = true;
        self.queue.update(|machine| machine.cancel_call(self.id, clock::steady()));
        self.dispatcher.collect(self.queue);
    }
}

impl Drop for InFlightGuard<'_> {
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
            self.cancelled();
        }
    }
}
