//! Waiting for the API server at the start: it may come later than we do.

use std::time::Duration;

use kube::Client;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::trouble::explain;
use super::{Error, Readiness};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_secs(2);

/// Returns once the API server at `url` answers, or at `shutdown`. Refused credentials are an error: waiting does not
/// mend a kubeconfig.
pub(super) async fn reach(
    client: &Client,
    url: &str,
    readiness: &Readiness,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let part = format!("the API server at {url}");
    readiness.expect(&part);
    loop {
        let why = match tokio::time::timeout(ANSWER_WITHIN, client.apiserver_version()).await {
            Ok(Err(kube::Error::Api(status))) if status.code == 401 => return Err(Error::Unauthorized(url.to_owned())),
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
