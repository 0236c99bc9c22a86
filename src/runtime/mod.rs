//! How it is run: watches and caches, queues and their workers, leader election, startup and shutdown.
//!
//! Belongs here: everything about running. Does not belong here: decisions about objects.

pub(crate) mod cache;
mod controllers;
mod election;
mod kube_error;
mod settings;
mod shutdown;
mod startup;
mod tasks;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use thiserror::Error;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::dispatch::{Dispatcher, Observer};
use crate::revocation::{PreflightChecker, ReasonChange, ReconcileState};
use crate::telemetry::audit::AuditRecorder;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::{Readiness, Role};
use crate::telemetry::{events, http};
use crate::tenant::Tenants;

use controllers::{Calls, CountedPreflight, ReconcileGuard, Scope, TenantController, TenantRequests, Users, route};
use election::{Elector, LeadershipToken};
use tasks::Tasks;

pub use cache::WatchTiming;
pub use election::{LEASE, Lost, Timing};
pub use settings::Settings;

/// How long what is remembered of a tenant may outlive it.
const FORGET_WITHIN: Duration = Duration::from_secs(1);
/// What could not be forgotten then is forgotten this much later.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Why the operator cannot run, or go on. What to do: correct what it names, start again.
#[derive(Debug, Error)]
pub enum Error {
    /// The probe address cannot be used.
    #[error("--health-probe-bind-address {0}: {1}")]
    Probes(SocketAddr, std::io::Error),
    /// The metrics address cannot be used.
    #[error("--metrics-bind-address {0}: {1}")]
    Metrics(SocketAddr, std::io::Error),
    /// The API server refuses the credentials.
    #[error(transparent)]
    Unauthorized(#[from] startup::Unauthorized),
    /// Another replica leads now, or may. Nothing is lost: what was not finished is taken up again.
    #[error("not the leader any more, so this replica ends and has to be started again: {0}")]
    Lost(Lost),
    /// Something that never ends has ended.
    #[error("a part of the operator has ended, which is a bug in rescind; start it again and report it with this log")]
    Broken,
}

/// Runs until `shutdown` is cancelled, then at most ten seconds more. A leader that loses the lease ends at once: what it
/// knows beyond the objects' status are caches, which a new start fills again in seconds, and calls on their way, which
/// are repeated at most. To begin anew within the process would have to undo all of that without a gap. Waits for an API server, for the lease and for the
/// CRDs as long as it takes.
pub async fn run(settings: Settings, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    let readiness = Readiness::default();
    // Dropped, and so ended, with this function: probes and metrics are answered to the last.
    let mut helpers = JoinSet::new();
    helpers.spawn(readiness.clone().tell());
    if let Some(address) = settings.probe_address {
        let routes = http::routes(readiness.clone());
        let server = http::serve(address, routes, "/healthz and /readyz");
        helpers.spawn(server.await.map_err(|error| Error::Probes(address, error))?);
    }
    let metrics = Metrics::new(readiness.clone());
    if let Some(address) = settings.metrics_address {
        let server = http::serve(address, metrics.routes(), "/metrics");
        helpers.spawn(server.await.map_err(|error| Error::Metrics(address, error))?);
    }
    startup::api_server(&client, &settings.cluster_url, &readiness, &shutdown).await?;
    if shutdown.is_cancelled() {
        return Ok(());
    }
    info!(version = env!("CARGO_PKG_VERSION"), "started");
    let Some(timing) = settings.election else {
        readiness.set_role(Role::NoElection);
        let work = Work::start(&settings, &client, &readiness, &metrics, LeadershipToken::always());
        return lead(work, &shutdown, std::future::pending()).await;
    };
    let mut elector = Elector::new(client.clone(), &settings.namespace, timing, readiness.clone());
    if !elector.acquire(&shutdown).await {
        return Ok(());
    }
    let work = Work::start(&settings, &client, &readiness, &metrics, elector.leadership());
    // The lease is kept until the calls on their way have ended.
    let led = lead(work, &shutdown, elector.keep_renewing()).await;
    if !matches!(led, Err(Error::Lost(_))) {
        elector.release().await;
    }
    led
}

/// Works until `shutdown`, or until the lease is lost: then at once.
async fn lead(mut work: Work, shutdown: &CancellationToken, keep: impl Future<Output = Lost>) -> Result<(), Error> {
    tokio::pin!(keep);
    let broken = tokio::select! {
        biased;
        lost = &mut keep => return Err(Error::Lost(lost)),
        () = shutdown.cancelled() => false,
        _ = work.tasks.controllers.join_next() => true,
        _ = work.tasks.services.join_next() => true,
    };
    tokio::select! {
        biased;
        lost = &mut keep => return Err(Error::Lost(lost)),
        () = shutdown::drain(work.tasks, &work.dispatcher, &work.state, &work.ending) => {}
    }
    if broken && !shutdown.is_cancelled() { Err(Error::Broken) } else { Ok(()) }
}

/// The work of a leader.
struct Work {
    tasks: Tasks,
    dispatcher: Arc<Dispatcher>,
    state: Arc<ReconcileState>,
    /// Ends the controllers.
    ending: CancellationToken,
}

impl Work {
    /// Nothing is sent while `leadership` does not hold.
    fn start(
        settings: &Settings,
        client: &Client,
        readiness: &Readiness,
        metrics: &Metrics,
        leadership: LeadershipToken,
    ) -> Self {
        let mut tasks = Tasks::default();
        let ending = CancellationToken::new();
        let checker = PreflightChecker::new(client.clone(), Box::new(move || leadership.holds()));
        let tenants = Tenants::new(settings.allowed_domains.clone(), settings.timeouts);
        let (state, requests) = (Arc::new(ReconcileState::default()), Arc::new(TenantRequests::default()));
        let audit =
            AuditRecorder { metrics: metrics.clone(), checker: checker.clone(), traces: settings.traces.clone() };
        let calls = Calls { audit, tenants: tenants.clone(), requests: requests.clone() };
        let observer: Arc<dyn Observer> = Arc::new(calls);
        let preflight = CountedPreflight { preflight: checker.clone(), metrics: metrics.clone() };
        let (dispatcher, woken) = Dispatcher::new(Arc::new(preflight), observer.clone());
        metrics.object_counts.dispatcher(dispatcher.clone());
        let (announce, events): (mpsc::Sender<ReasonChange>, _) = events::channel();
        tasks.services.spawn(events::publish(client.clone(), events));

        let controller = Arc::new(TenantController {
            client: client.clone(),
            tenants,
            dispatcher: dispatcher.clone(),
            users: Users::default(),
            requests,
            guard: ReconcileGuard::new("Auth0Tenant", metrics, settings.traces.clone()),
            announce: announce.clone(),
            connections: Notify::new(),
            shown: Mutex::default(),
        });
        tasks.services.spawn(forget_what_is_gone(controller.clone(), state.clone(), metrics.clone()));
        let namespaces: Vec<Option<String>> = match settings.watch_namespaces.as_slice() {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        };
        let scopes = namespaces.into_iter().map(|namespace| Scope {
            namespace,
            client: client.clone(),
            dispatcher: dispatcher.clone(),
            checker: checker.clone(),
            observer: observer.clone(),
            state: state.clone(),
            tenants: controller.clone(),
            announce: announce.clone(),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            settings: settings.clone(),
            shutdown: ending.clone(),
        });
        let requests = scopes.map(|scope| scope.start(&mut tasks)).collect();
        tasks.services.spawn(route(woken, requests));
        Self { tasks, dispatcher, state, ending }
    }
}

/// What is remembered of connections and domains goes with the tenant objects that had them, or when it is not needed any
/// more, as a wait that Auth0 named; for ever.
async fn forget_what_is_gone(controller: Arc<TenantController>, state: Arc<ReconcileState>, metrics: Metrics) {
    loop {
        let _ = tokio::time::timeout(FORGET_EVERY, controller.connections.notified()).await;
        // Many may change at once.
        tokio::time::sleep(FORGET_WITHIN).await;
        let alive = controller.tenants.retain();
        controller.dispatcher.retain(&alive.connections);
        state.retain(&alive.connections);
        metrics.retain(&alive.domains);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The work of a leader, as far as its end is concerned.
    fn work() -> Work {
        let mut tasks = Tasks::default();
        tasks.controllers.spawn(std::future::pending());
        tasks.services.spawn(std::future::pending());
        let (dispatcher, _) = Dispatcher::new(Arc::new(NobodyAsks), Arc::new(()));
        Work { tasks, dispatcher, state: Arc::default(), ending: CancellationToken::new() }
    }

    struct NobodyAsks;

    impl crate::dispatch::Preflight for NobodyAsks {
        fn check<'a>(
            &'a self,
            _: &'a crate::dispatch::Owner,
        ) -> futures::future::BoxFuture<'a, Result<crate::dispatch::Connection, crate::dispatch::Refusal>> {
            Box::pin(std::future::ready(Err(crate::dispatch::Refusal::NotLeading)))
        }

        fn recheck(
            &self,
            _: &crate::dispatch::Owner,
        ) -> Result<crate::dispatch::ConnectionKey, crate::dispatch::Refusal> {
            Err(crate::dispatch::Refusal::NotLeading)
        }

        fn may_send(&self) -> bool {
            false
        }
    }

    /// Broken on purpose by calling it a good end: it failed.
    #[tokio::test(start_paused = true)]
    async fn a_part_that_ends_ends_the_operator() {
        let (going, ended) = (CancellationToken::new(), CancellationToken::new());
        ended.cancel();
        let mut broken = work();
        broken.tasks.controllers.spawn(std::future::ready(()));
        assert!(matches!(lead(broken, &going, std::future::pending()).await, Err(Error::Broken)));
        let mut broken = work();
        broken.tasks.services.spawn(async { panic!("canary") });
        assert!(matches!(lead(broken, &going, std::future::pending()).await, Err(Error::Broken)));
        assert!(lead(work(), &ended, std::future::pending()).await.is_ok());
    }
}
