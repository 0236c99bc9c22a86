//! Waits for the API server at the start, because the operator may start before it.

use std::time::Duration;

use kube::Client;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::telemetry::readiness::Readiness;

use crate::kube_error::explain;

/// kube sets no timeout of its own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// The API server refuses the credentials. What to do: correct the kubeconfig, then start the operator again.
#[derive(Debug, Error)]
#[error("the cluster at {0} refuses these credentials; is KUBECONFIG right?")]
pub struct Unauthorized(String);

/// Returns once the API server at `url` answers, or at `shutdown`. Refused credentials are an error, because waiting
/// does not correct a kubeconfig.
pub(crate) async fn wait_for_api_server(
    client: &Client,
    url: &str,
    readiness: &Readiness,
    shutdown: &CancellationToken,
) -> Result<(), Unauthorized> {
    let part = format!("the API server at {url}");
    readiness.expect(&part, &part);
    loop {
        let why = match tokio::time::timeout(REQUEST_TIMEOUT, client.apiserver_version()).await {
            Ok(Err(kube::Error::Api(status))) if status.code == 401 => return Err(Unauthorized(url.to_owned())),
            Ok(Ok(_)) => break,
            // It is reachable, even if it refuses this request. What else it refuses shows in the watches.
            Ok(Err(kube::Error::Api(status))) if (400..429).contains(&status.code) => break,
            Ok(Err(error)) => explain(&error),
            Err(_) => format!("no answer in {REQUEST_TIMEOUT:?}"),
        };
        readiness.problem(&part, &format!("{why}; is KUBECONFIG right?"));
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(RETRY_INTERVAL) => {}
        }
    }
    readiness.ready(&part);
    info!(url, "the API server answers");
    Ok(())
}
