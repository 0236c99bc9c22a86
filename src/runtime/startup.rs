//! Waiting for the API server at the start: it may come later than we do.

use std::time::Duration;

use kube::Client;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::telemetry::readiness::Readiness;

use super::kube_error::explain;

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_secs(2);

/// The API server refuses the credentials. What to do: correct the kubeconfig, start again.
#[derive(Debug, Error)]
#[error("the cluster at {0} refuses these credentials; is KUBECONFIG right?")]
pub struct Unauthorized(String);

/// Returns once the API server at `url` answers, or at `shutdown`. Refused credentials are an error: waiting does not
/// mend a kubeconfig.
pub(crate) async fn api_server(
    client: &Client,
    url: &str,
    readiness: &Readiness,
    shutdown: &CancellationToken,
) -> Result<(), Unauthorized> {
    let part = format!("the API server at {url}");
    readiness.expect(&part, &part);
    loop {
        let why = match tokio::time::timeout(ANSWER_WITHIN, client.apiserver_version()).await {
            Ok(Err(kube::Error::Api(status))) if status.code == 401 => return Err(Unauthorized(url.to_owned())),
            // Whoever refuses this is there, and what else it refuses will be told.
            Ok(Ok(_)) => break,
            Ok(Err(kube::Error::Api(status))) if (400..429).contains(&status.code) => break,
            Ok(Err(error)) => explain(&error),
            Err(_) => format!("no answer in {ANSWER_WITHIN:?}"),
        };
        readiness.problem(&part, &format!("{why}; is KUBECONFIG right?"));
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(ASK_EVERY) => {}
        }
    }
    readiness.ready(&part);
    info!(url, "the API server answers");
    Ok(())
}
