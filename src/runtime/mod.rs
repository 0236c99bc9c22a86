//! How the operator runs: watches and caches, controllers, leader election, startup and shutdown.
//!
//! Belongs here: everything about running. Does not belong here: decisions about objects (`revocation`, `tenant`).
//!
//! Start reading at [`run`], which waits for the API server and for the lease, and then at `Work::start` in
//! `leader.rs`, which puts together everything that only a leader does.
//!
//! - `startup.rs`: waits for the API server.
//! - `election/`: the Lease; one replica leads, the others stand by.
//! - `leader.rs`: what a leader runs. `tasks.rs` holds its tasks, `shutdown.rs` ends them in order.
//! - `cache/`: one watch and one cache for each kind and scope.
//! - `controllers/`: which change queues which object, and kube's `Controller`, which reconciles what is queued.
//! - `settings.rs`: what the command line decides.
//!
//! The watches are kube-runtime's `watcher`, the caches its `reflector` stores, and its `Controller` reconciles. Some
//! things around them are ours, each because of something that kube-runtime 5 does:
//!
//! - `Controller` panics with the first reconcile that panics, and never ends while a store has not become ready, as
//!   with a missing CRD: `controllers/guard.rs`, `controllers/controller.rs`, `shutdown.rs`.
//! - `Controller` hands out waiting objects in the order of a hash table, and polls every reconcile in flight whenever
//!   one of them completes: so a reconcile never waits for Auth0. It hands a job to the dispatcher, which keeps the
//!   order and the turns of the namespaces.
//! - One backoff pauses all watches of a `Controller` at the first error of any, and it is reset too early:
//!   `cache/watch.rs`; only keys are handed to the `Controller`.
//! - Subscribers of a shared stream can miss a wake-up when an object is deleted before it was delivered: every cache
//!   has a watch of its own.
//! - `watcher` asks again and again for a resource version that has expired: `cache/resync.rs`.
//! - The client has no read timeout, so every call outside a watch has a deadline: `controllers/guard.rs`,
//!   `startup.rs`, `election/lease.rs`. `src/kubeconfig.rs` sets a read timeout for the watches, and turns off the retries
//!   that would hide an unreachable API server.

pub(crate) mod cache;
mod controllers;
mod election;
mod leader;
mod settings;
mod shutdown;
mod startup;
mod tasks;

use kube::Client;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::telemetry::audit_log::AuditLog;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::{Readiness, Role};
use crate::telemetry::{BindAddress, http};

use election::{Elector, LeadershipToken};
use leader::Work;

pub use cache::WatchTiming;
pub use election::{ElectionTiming, LEASE, Lost};
pub use settings::Settings;

/// Why the operator could not run, or stopped. What to do: correct what the message names, then start it again.
#[derive(Debug, Error)]
pub enum Error {
    /// The probe address cannot be used.
    #[error("--health-probe-bind-address {0}: {1}")]
    Probes(BindAddress, std::io::Error),
    /// The metrics address cannot be used.
    #[error("--metrics-bind-address {0}: {1}")]
    Metrics(BindAddress, std::io::Error),
    /// The API server refuses the credentials.
    #[error(transparent)]
    Unauthorized(#[from] startup::Unauthorized),
    /// Another replica leads now, or may. Nothing is lost: the next leader resumes what was not finished.
    #[error("lost the leadership, so this replica exits and has to be restarted: {0}")]
    Lost(Lost),
    /// A task that should never end has ended.
    #[error("a part of the operator has ended, which is a bug in rescind; restart it and report it with this log")]
    Broken,
}

/// Runs the operator until `shutdown` is cancelled, and returns at most ten seconds after that: up to eight for the
/// calls in flight and their status writes (`shutdown.rs`), up to two for giving up the lease. The process needs two
/// seconds more (`main.rs`).
///
/// Waits for the API server, the lease and the CRDs as long as it takes.
///
/// A leader that loses the lease returns an error at once. What it knows beyond the objects' status are caches, which
/// the next start fills within seconds, and calls in flight, which are idempotent. Restarting within the process would
/// have to tear all of that down without a gap; exiting is simpler.
pub async fn run(settings: Settings, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    let readiness = Readiness::default();
    // They end when this function returns, so probes and metrics are served until then.
    let mut background = JoinSet::new();
    background.spawn(readiness.clone().log_changes());
    if let Some(address) = settings.probe_address {
        let routes = http::routes(readiness.clone());
        let server = http::serve(address, routes, "/healthz and /readyz");
        background.spawn(server.await.map_err(|error| Error::Probes(address, error))?);
    }
    let metrics = Metrics::new(readiness.clone());
    if let Some(address) = settings.metrics_address {
        let server = http::serve(address, metrics.routes(), "/metrics");
        background.spawn(server.await.map_err(|error| Error::Metrics(address, error))?);
    }
    startup::wait_for_api_server(&client, &settings.cluster_url, &readiness, &shutdown).await?;
    if shutdown.is_cancelled() {
        return Ok(());
    }
    info!(version = env!("CARGO_PKG_VERSION"), "started");
    let audit = AuditLog::default();
    let Some(timing) = settings.election else {
        readiness.set_role(Role::NoElection);
        let work = Work::start(&settings, &client, &readiness, &metrics, LeadershipToken::always(), &audit);
        return lead(work, &shutdown, std::future::pending()).await;
    };
    let mut elector =
        Elector::new(client.clone(), &settings.namespace, &settings.lease_name, timing, readiness.clone());
    if !elector.acquire(&shutdown).await {
        return Ok(());
    }
    let (lease, leader) = (&settings.lease_name, elector.identity().to_owned());
    audit.leader_started(lease, &leader);
    let work = Work::start(&settings, &client, &readiness, &metrics, elector.leadership(), &audit);
    // The lease is renewed until the calls in flight have ended, and given up only after that.
    let led = lead(work, &shutdown, elector.keep_renewing()).await;
    let lost = match &led {
        Err(Error::Lost(lost)) => Some(lost.to_string()),
        Ok(()) | Err(_) => {
            elector.release().await;
            None
        }
    };
    audit.leader_stopped(lease, &leader, lost.as_deref());
    led
}

/// Lets `work` run until `shutdown`, and then drains it. Returns at once when `lost` completes: the lease is lost.
async fn lead(mut work: Work, shutdown: &CancellationToken, lost: impl Future<Output = Lost>) -> Result<(), Error> {
    tokio::pin!(lost);
    let broken = tokio::select! {
        biased;
        lost = &mut lost => return Err(Error::Lost(lost)),
        () = shutdown.cancelled() => false,
        _ = work.tasks.controllers.join_next() => true,
        _ = work.tasks.services.join_next() => true,
    };
    tokio::select! {
        biased;
        lost = &mut lost => return Err(Error::Lost(lost)),
        () = shutdown::drain(work.tasks, &work.dispatcher, &work.state, &work.ending) => {}
    }
    if broken && !shutdown.is_cancelled() { Err(Error::Broken) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::future::BoxFuture;

    use super::tasks::Tasks;
    use super::*;
    use crate::dispatch::{Connection, ConnectionKey, Dispatcher, Owner, Preflight, Purpose, Refusal};

    /// Work that does nothing and never ends by itself.
    fn work() -> Work {
        let mut tasks = Tasks::default();
        tasks.controllers.spawn(std::future::pending());
        tasks.services.spawn(std::future::pending());
        let (dispatcher, _) = Dispatcher::new(Arc::new(RefuseAll), Arc::new(()));
        Work { tasks, dispatcher, state: Arc::default(), ending: CancellationToken::new() }
    }

    struct RefuseAll;

    impl Preflight for RefuseAll {
        fn check<'a>(&'a self, _: &'a Owner, _: Purpose) -> BoxFuture<'a, Result<Connection, Refusal>> {
            Box::pin(std::future::ready(Err(Refusal::NotLeading)))
        }

        fn recheck(&self, _: &Owner, _: Purpose) -> Result<ConnectionKey, Refusal> {
            Err(Refusal::NotLeading)
        }

        fn may_send(&self) -> bool {
            false
        }
    }

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
