//! `/healthz` and `/readyz`. Not ready says what it waits for; not alive says what only a restart can mend. And the one
//! server for these and for metrics.

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Readiness;

/// Binds at once; the returned future serves `routes` until `shutdown`.
pub(super) async fn serve(
    address: SocketAddr,
    routes: Router,
    what: &'static str,
    shutdown: CancellationToken,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving {what}");
    Ok(async move {
        let server = axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned());
        if let Err(error) = server.await {
            tracing::warn!("the server of {what} ended: {error}");
        }
    })
}

/// Where the probes are answered.
pub(super) fn routes(readiness: Readiness) -> Router {
    let alive = readiness.clone();
    Router::new()
        .route("/healthz", get(move || std::future::ready(healthz(&alive))))
        .route("/readyz", get(move || std::future::ready(readyz(&readiness))))
}

fn healthz(readiness: &Readiness) -> (StatusCode, String) {
    match readiness.stuck().as_slice() {
        [] => (StatusCode::OK, "ok\n".to_owned()),
        stuck => (StatusCode::INTERNAL_SERVER_ERROR, lines(stuck)),
    }
}

fn readyz(readiness: &Readiness) -> (StatusCode, String) {
    match readiness.waiting_for().as_slice() {
        [] => (StatusCode::OK, lines(&["ok".to_owned()].into_iter().chain(readiness.role()).collect::<Vec<_>>())),
        waiting => (StatusCode::SERVICE_UNAVAILABLE, lines(waiting)),
    }
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}
