//! The rule for names of Kubernetes objects.

use kube::core::Rule;

/// The CEL rule for the name of `what`, such as "a Secret": a DNS subdomain name, as Kubernetes
/// itself demands for most objects.
pub(super) fn object_name(what: &str) -> Rule {
    let message = format!(
        "must be the name of {what}: lower-case letters, digits, '-' and '.'; there is no way to name another namespace"
    );
    Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')")
        .message(message.as_str())
}
