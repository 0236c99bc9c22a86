//! How it is run: watch streams, controllers, backoff, leader election, events, probes, shutdown.
//!
//! Belongs here: everything about running, and kube-runtime with its traps (each is answered where it would bite). Does
//! not belong here: decisions about objects.

pub(crate) mod cache;
mod controllers;
mod election;
mod kube_error;
mod settings;
mod shutdown;
mod startup;
mod tasks;

use std::net::SocketAddr;
use std::sync::Arc;

use kube::Client;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::dispatch::Lanes;
use crate::revocation::{Announce, Looker};
use crate::telemetry::audit::Clerk;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::{Readiness, Role};
use crate::telemetry::{events, http};

use controllers::{Scope, route};
use election::{Elector, Validity};
use tasks::Tasks;

pub use cache::WatchTiming;
pub use election::{LEASE, Lost, Timing};
pub use settings::Settings;

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
    // Dropped, and so ended, with this function.
    let mut helpers = JoinSet::new();
    helpers.spawn(readiness.clone().tell());
    if let Some(address) = settings.probe_address {
        let routes = http::routes(readiness.clone());
        let server = http::serve(address, routes, "/healthz and /readyz", shutdown.clone());
        helpers.spawn(server.await.map_err(|error| Error::Probes(address, error))?);
    }
    let metrics = Metrics::new(readiness.clone());
    if let Some(address) = settings.metrics_address {
        let server = http::serve(address, metrics.routes(), "/metrics", shutdown.clone());
        helpers.spawn(server.await.map_err(|error| Error::Metrics(address, error))?);
    }
    startup::api_server(&client, &settings.cluster_url, &readiness, &shutdown).await?;
    if shutdown.is_cancelled() {
        return Ok(());
    }
    info!(version = env!("CARGO_PKG_VERSION"), "started");
    let Some(timing) = settings.election else {
        readiness.set_role(Role::Alone);
        let work = Work::start(&settings, &client, &readiness, &metrics, Validity::always());
        return lead(work, &shutdown, std::future::pending()).await;
    };
    let mut elector = Elector::new(client.clone(), &settings.namespace, timing, readiness.clone());
    if !elector.acquire(&shutdown).await {
        return Ok(());
    }
    let work = Work::start(&settings, &client, &readiness, &metrics, elector.validity());
    // The lease is kept until the calls on their way have ended.
    let led = lead(work, &shutdown, elector.keep()).await;
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
        () = shutdown::drain(work.tasks, &work.lanes, &work.ending) => {}
    }
    if broken && !shutdown.is_cancelled() { Err(Error::Broken) } else { Ok(()) }
}

/// The work of a leader.
struct Work {
    tasks: Tasks,
    lanes: Arc<Lanes>,
    /// Ends the controllers.
    ending: CancellationToken,
}

impl Work {
    /// Nothing is sent while `validity` does not hold.
    fn start(
        settings: &Settings,
        client: &Client,
        readiness: &Readiness,
        metrics: &Metrics,
        validity: Validity,
    ) -> Self {
        let mut tasks = Tasks::default();
        let ending = CancellationToken::new();
        let looker = Looker::new(client.clone(), Box::new(move || validity.holds()));
        let traces = settings.traces.clone();
        let clerk = Clerk { metrics: metrics.clone(), looker: looker.clone(), traces };
        let (lanes, woken) = Lanes::with_meter(looker.clone(), Arc::new(clerk));
        metrics.object_counts.lanes(lanes.clone());
        let (announce, events): (mpsc::Sender<Announce>, _) = events::channel();
        tasks.services.spawn(events::publish(client.clone(), events));

        let namespaces: Vec<Option<String>> = match settings.watch_namespaces.as_slice() {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        };
        let scopes: Vec<_> = namespaces
            .into_iter()
            .map(|namespace| Scope {
                namespace,
                client: client.clone(),
                lanes: lanes.clone(),
                looker: looker.clone(),
                announce: announce.clone(),
                metrics: metrics.clone(),
                readiness: readiness.clone(),
                settings: settings.clone(),
                shutdown: ending.clone(),
            })
            .collect();
        let wakers = scopes.iter().map(|scope| scope.start(&mut tasks)).collect();
        tasks.services.spawn(route(woken, wakers));
        Self { tasks, lanes, ending }
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
        let (lanes, _) = Lanes::new(Arc::new(NobodyAsks));
        Work { tasks, lanes, ending: CancellationToken::new() }
    }

    struct NobodyAsks;

    impl crate::dispatch::LastLook for NobodyAsks {
        fn look<'a>(
            &'a self,
            _: &'a crate::dispatch::Owner,
        ) -> futures::future::BoxFuture<'a, Option<crate::dispatch::Connection>> {
            Box::pin(std::future::ready(None))
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
