//! How it is run: watch streams, controllers, backoff, events, probes, shutdown.
//!
//! Belongs here: everything about running, and kube-runtime with its traps (each is answered where it would bite). Does
//! not belong here: decisions about objects.

mod barrier;
mod controllers;
mod events;
mod logs;
mod probes;
mod scope;
mod tenants;
mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use kube::Client;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::auth0::{AllowedDomains, Timeouts};
use crate::lane::Lanes;
use crate::revocation::Looker;

pub use logs::{LogFormat, subscriber};
pub use probes::Readiness;

/// After the signal to end, this long until everything is dropped (reliability.md A10).
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

/// How to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The domains a credential may be sent to.
    pub allowed_domains: AllowedDomains,
    /// The namespaces to watch; all if empty.
    pub watch_namespaces: Vec<String>,
    /// Where `/healthz` and `/readyz` are served; nowhere if none.
    pub probe_address: Option<SocketAddr>,
    /// How many objects of one kind are reconciled at once.
    pub max_concurrent_reconciles: u16,
    /// How long a call to Auth0 may take.
    pub timeouts: Timeouts,
}

/// Why the operator cannot run. What to do: correct what it names, start again.
#[derive(Debug, Error)]
pub enum Error {
    /// The probe address cannot be used.
    #[error("--health-probe-bind-address {0}: {1}")]
    Probes(SocketAddr, std::io::Error),
}

/// Runs until `shutdown` is cancelled, then at most ten seconds more.
pub async fn run(settings: Settings, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    let readiness = Readiness::default();
    let mut tasks = Tasks::default();
    if let Some(address) = settings.probe_address {
        let server = probes::serve(address, readiness.clone(), shutdown.clone());
        tasks.services.spawn(server.await.map_err(|error| Error::Probes(address, error))?);
    }
    let looker = Looker::new(client.clone());
    let (lanes, woken) = Lanes::new(looker.clone());
    let (announce, events) = events::channel();
    tasks.services.spawn(events::publish(client.clone(), events));

    let namespaces: Vec<Option<String>> = match settings.watch_namespaces.as_slice() {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    let scopes: Vec<_> = namespaces
        .into_iter()
        .map(|namespace| scope::Scope {
            namespace,
            client: client.clone(),
            lanes: lanes.clone(),
            looker: looker.clone(),
            announce: announce.clone(),
            readiness: readiness.clone(),
            settings: settings.clone(),
            shutdown: shutdown.clone(),
        })
        .collect();
    let wakers = scopes.iter().map(|scope| scope.start(&mut tasks)).collect();
    tasks.services.spawn(scope::route(woken, wakers));

    info!(version = env!("CARGO_PKG_VERSION"), "started");
    shutdown.cancelled().await;
    stop(tasks, &lanes).await;
    Ok(())
}

/// What runs.
#[derive(Default)]
struct Tasks {
    /// They end by themselves after the signal, and what they are doing is worth waiting for.
    controllers: JoinSet<()>,
    /// They serve the controllers and are dropped after them.
    services: JoinSet<()>,
}

/// Lets calls on their way end, then drops everything. kube's controllers may never end by themselves (rust-toolbox.md
/// section 7, trap 2), hence the deadline.
async fn stop(mut tasks: Tasks, lanes: &Lanes) {
    info!("ending: calls on their way are finished, no new ones are made");
    let finished = async {
        lanes.close().await;
        while tasks.controllers.join_next().await.is_some() {}
    };
    if tokio::time::timeout(SHUTDOWN_DEADLINE, finished).await.is_err() {
        warn!("some work did not end in time and was dropped; it is taken up again at the next start");
    }
    info!("ended");
}
