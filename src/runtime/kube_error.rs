//! What went wrong with the API server, in a few words.

use std::error::Error;

/// Longest explanation, in characters.
const LONGEST: usize = 160;

/// The cause that says most, without the libraries' story around it.
pub(crate) fn explain(error: &kube::Error) -> String {
    let text = match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) => format!("the API server answered {}", status.code),
        // Their words may quote what could not be read, and that may be a Secret.
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => "the API server's answer cannot be read".to_owned(),
        error => {
            let innermost = std::iter::successors(error.source(), |error| (*error).source()).last();
            format!(
                "the API server cannot be reached ({})",
                innermost.map_or_else(|| error.to_string(), |e| e.to_string())
            )
        }
    };
    text.chars().take(LONGEST).collect()
}
