//! `/healthz` and `/readyz`. Not ready says what it waits for; alive says that the process can answer.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What must have been listed before the operator is ready.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<String, bool>>>);

impl Readiness {
    /// The operator is not ready before this cache is.
    pub fn expect(&self, cache: &str) {
        self.lock().entry(cache.to_owned()).or_insert(false);
    }

    /// This cache has listed everything.
    pub fn ready(&self, cache: &str) {
        self.lock().insert(cache.to_owned(), true);
    }

    /// What is still missing.
    pub fn waiting_for(&self) -> Vec<String> {
        self.lock().iter().filter(|(_, ready)| !**ready).map(|(cache, _)| cache.clone()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binds at once; the returned future serves until `shutdown`.
pub(super) async fn serve(
    address: SocketAddr,
    readiness: Readiness,
    shutdown: CancellationToken,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving /healthz and /readyz");
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(move || std::future::ready(readyz(&readiness))));
    Ok(async move {
        let server = axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned());
        if let Err(error) = server.await {
            tracing::warn!("the probe server ended: {error}");
        }
    })
}

fn readyz(readiness: &Readiness) -> (StatusCode, String) {
    match readiness.waiting_for().as_slice() {
        [] => (StatusCode::OK, "ok\n".to_owned()),
        waiting => {
            let lines = waiting.iter().map(|cache| format!("waiting for the list of {cache}\n"));
            (StatusCode::SERVICE_UNAVAILABLE, lines.collect())
        }
    }
}
