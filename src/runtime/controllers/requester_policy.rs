//! Watches the admission policy by which the API server enforces who asked (`requester.enforce` of the chart), if the
//! operator was told its name. Nothing waits for these watches: without them the audit log says that it is only claimed.

use futures::StreamExt;
use kube::Client;

use crate::revocation::{AdmissionBinding, AdmissionPolicy, RequesterPolicy};
use crate::runtime::cache::watch_cluster;
use crate::runtime::settings::Settings;
use crate::runtime::tasks::Tasks;
use crate::telemetry::readiness::Readiness;

/// Starts the watches as `tasks`; `None` if the settings name no policy.
pub(crate) fn watch_requester_policy(
    client: &Client,
    settings: &Settings,
    readiness: &Readiness,
    tasks: &mut Tasks,
) -> Option<RequesterPolicy> {
    let name = settings.requester_policy.clone()?;
    let (only, timing) = (Some(name.as_str()), settings.watches);
    let (policies, policy_changes) = watch_cluster::<AdmissionPolicy>(client, only, timing, readiness);
    let (bindings, binding_changes) = watch_cluster::<AdmissionBinding>(client, only, timing, readiness);
    let (policies_work, bindings_work) = (policies.is_working(), bindings.is_working());
    // The caches fill while the changes are polled.
    tasks.services.spawn(policy_changes.for_each(|_| std::future::ready(())));
    tasks.services.spawn(binding_changes.for_each(|_| std::future::ready(())));
    let is_watched = Box::new(move || policies_work() && bindings_work());
    Some(RequesterPolicy { name, policies: policies.store, bindings: bindings.store, is_watched })
}
