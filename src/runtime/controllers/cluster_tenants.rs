//! Serves `ClusterAuth0Tenant`: its watch and controller, and the watch on the namespaces that may use it.
//!
//! It takes rights in the whole cluster, so the kind is not served while `--watch-namespaces` names single ones, nor
//! while the API server refuses one of the two lists. Removals that refer to the kind say so; nothing else waits for
//! these lists.

use std::sync::Arc;

use futures::{FutureExt, Stream, StreamExt};
use kube::Client;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use crate::api::{ClusterAuth0Tenant, TenantKind};
use crate::revocation::ClusterIsFresh;
use crate::runtime::cache::{Change, watch_cluster};
use crate::runtime::settings::Settings;
use crate::runtime::tasks::Tasks;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;
use crate::tenant::{ClusterCaches, Listing, NamespaceMeta};

use super::guard::ReconcileGuard;
use super::tenants::TenantController;

/// What serving the kind needs.
pub(crate) struct ClusterTenants<'a> {
    pub(crate) client: &'a Client,
    pub(crate) controller: &'a Arc<TenantController>,
    pub(crate) settings: &'a Settings,
    pub(crate) metrics: &'a Metrics,
    pub(crate) readiness: &'a Readiness,
    pub(crate) ended: &'a CancellationToken,
}

impl ClusterTenants<'_> {
    /// Starts the watches and the controller as `tasks`, unless the settings forbid it. Returns whether their caches
    /// are fresh.
    pub(crate) fn start(self, tasks: &mut Tasks) -> Option<ClusterIsFresh> {
        let Self { client, controller, settings, metrics, readiness, ended } = self;
        let tenants = &controller.tenants;
        if !settings.watch_namespaces.is_empty() {
            tenants.not_serving_cluster("it watches single namespaces (--watch-namespaces)");
            return None;
        }
        if !settings.cluster_tenants {
            tenants.not_serving_cluster("it was started with --cluster-tenants=false");
            return None;
        }
        let (tenant_cache, tenant_changes) =
            watch_cluster::<ClusterAuth0Tenant>(client, None, settings.watches, readiness);
        let (namespace_cache, namespace_changes) =
            watch_cluster::<NamespaceMeta>(client, None, settings.watches, readiness);
        tenants.serve_cluster(ClusterCaches {
            namespace: settings.namespace.clone(),
            tenants: tenant_cache.store.clone(),
            tenants_listing: tenant_cache.listing.clone(),
            namespaces: namespace_cache.store.clone(),
            namespaces_listing: namespace_cache.listing.clone(),
        });
        let fresh = ClusterIsFresh { tenants: tenant_cache.is_fresh(), namespaces: namespace_cache.is_fresh() };
        let kind = TenantKind::ClusterAuth0Tenant.as_str();
        let unreadable = tenant_cache.uncached.clone();
        metrics.object_counts.add(move |counts| counts.unreadable(kind, unreadable.unreadable()));
        metrics.object_counts.tenants(tenant_cache.store.clone());
        let guard = ReconcileGuard::new(kind, metrics, settings.traces.clone());
        let queued = controller.queues.of_cluster();
        let run = controller.clone().run(tenant_cache.store, queued, guard.clone(), ended.clone());
        tasks.controllers.spawn(run.boxed());

        let follower = controller.clone();
        tasks.services.spawn(async move { follower.follow(tenant_changes, guard).await });
        let follower = controller.clone();
        tasks.services.spawn(async move { follow_namespaces(&follower, namespace_changes).await });
        for listing in [tenant_cache.listing, namespace_cache.listing] {
            let follower = controller.clone();
            tasks.services.spawn(async move { follow_listing(&follower, listing).await });
        }
        Some(fresh)
    }
}

/// Wakes the removals in each namespace whose labels changed. Runs as long as the watch.
async fn follow_namespaces(controller: &TenantController, changes: impl Stream<Item = Change<NamespaceMeta>>) {
    changes
        .for_each(|change| {
            if let Change::Applied { before, now, .. } = change
                && before.is_none_or(|before| before.metadata.labels != now.metadata.labels)
            {
                controller.dependents.wake_cluster_scoped(now.metadata.name.as_deref());
            }
            std::future::ready(())
        })
        .await;
}

/// Queues the cluster-scoped tenants and wakes the removals that refer to one whenever it becomes known whether the
/// kind can be served. A removal whose tenant does not exist learns of it here.
async fn follow_listing(controller: &TenantController, mut listing: Receiver<Listing>) {
    while listing.changed().await.is_ok() {
        controller.enqueue(controller.tenants.cluster_scoped());
        controller.dependents.wake_cluster_scoped(None);
    }
    std::future::pending::<()>().await;
}
