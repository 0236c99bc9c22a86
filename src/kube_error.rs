//! Errors of the API server, in a few words for logs and probes.

use std::error::Error;

/// The longest explanation, in characters.
const MAX_LENGTH: usize = 160;

/// The API server's own message, or the root cause without the chain of errors around it.
#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is of another crate")]
pub(crate) fn explain(error: &kube::Error) -> String {
    let text = match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) => format!("the API server answered {}", status.code),
        // A parser's message may quote what it could not read, and that may be a Secret.
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => "the API server's answer cannot be read".to_owned(),
        error => {
            let root = std::iter::successors(error.source(), |error| (*error).source()).last();
            format!(
                "the API server cannot be reached ({})",
                root.map_or_else(|| error.to_string(), |root| root.to_string())
            )
        }
    };
    text.chars().take(MAX_LENGTH).collect()
}
