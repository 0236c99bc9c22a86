//! The probes `/healthz` and `/readyz`, and the HTTP server for them and for metrics. A probe that fails says why in
//! its body: `/readyz` what the operator waits for, `/healthz` what only a restart can help.

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use super::readiness::Readiness;

/// Binds `address`; the returned future serves `routes` until it is dropped. `what` names them in the log.
pub(crate) async fn serve(
    address: SocketAddr,
    routes: Router,
    what: &'static str,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving {what}");
    Ok(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::warn!("the server for {what} ended: {error}");
        }
    })
}

/// The routes of the two probes.
pub(crate) fn routes(readiness: Readiness) -> Router {
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
        [] => {
            let text = ["ok".to_owned()].into_iter().chain(readiness.role_text()).chain(readiness.left_out());
            (StatusCode::OK, lines(&text.collect::<Vec<_>>()))
        }
        waiting => (StatusCode::SERVICE_UNAVAILABLE, lines(waiting)),
    }
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn liveness_fails_when_a_restart_would_help_and_only_then() {
        let readiness = Readiness::default();
        readiness.expect("the list of a", "the list");
        readiness.problem("the list of a", "no such kind");
        readiness.heartbeat("the list of a");
        assert_eq!(healthz(&readiness), (StatusCode::OK, "ok\n".to_owned()));
        assert_eq!(readyz(&readiness).0, StatusCode::SERVICE_UNAVAILABLE);
        readiness.ready("the list of a");
        readiness.age_heartbeat("the list of a");
        let (status, text) = healthz(&readiness);
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(text, "the list of a has not moved for 451 s\n");
        assert_eq!(readyz(&readiness).0, StatusCode::OK);
    }
}
