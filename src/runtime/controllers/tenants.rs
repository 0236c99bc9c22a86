//! Tenant objects: what makes one of them worth a look, waking the removals that use it, and its status.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, Resource, ResourceExt};
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::api::{Auth0Tenant, Auth0TenantStatus, ConditionType, Reason, reconcile_request};
use crate::dispatch::{ConnectionKey, Dispatcher};
use crate::revocation::{ReasonChange, StatusTarget, Stored, Written, write_status};
use crate::runtime::cache::{Change, Key};
use crate::telemetry::events;
use crate::tenant::{Listing, TenantError, TenantFacts, TenantKey, Tenants, Usable, tenant_status};

use super::guard::ReconcileGuard;
use super::users::Users;
use super::workers::work;
use super::workqueue::WorkQueue;

/// A tenant is looked at again this often: a token expires, a refusal grows old. Costs no call.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// A tenant whose Secret is on its way is looked at again this soon, if nothing happens.
const SECRET_COMES: Duration = Duration::from_secs(1);
/// What calls find out is written this often at most.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// All tenant objects of all scopes.
pub(crate) struct TenantController {
    pub(crate) client: Client,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) users: Users,
    pub(crate) queue: Arc<WorkQueue>,
    pub(crate) guard: ReconcileGuard,
    pub(crate) announce: Sender<ReasonChange>,
    /// Told when a connection may have come or gone.
    pub(crate) connections: Notify,
    pub(crate) shown: Mutex<HashMap<TenantKey, Shown>>,
}

/// What was told of a tenant last.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// To those who use it.
    told: Option<Told>,
    /// In its status: what people made of it.
    version: Option<Version>,
    /// When what calls found out since was last written.
    written: Option<Instant>,
}

/// What is of interest to those who use a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Suspended,
    NotReady(TenantError),
    Ready(ConnectionKey),
}

/// What people made of a tenant, and whether it was found to be good, which happens once. Whatever else changes, changes
/// back and forth with the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    generation: i64,
    asked: Option<String>,
    accepted: bool,
    connection: Result<ConnectionKey, Option<TenantError>>,
}

impl TenantController {
    /// Queues the tenants that changed; for ever.
    pub(crate) async fn follow(&self, changes: impl Stream<Item = Change<Auth0Tenant>>) {
        changes
            .for_each(|change| {
                match change {
                    Change::Applied { before, now, .. } => {
                        // Our own status writes come back, too.
                        let is_news = before.is_none_or(|before| {
                            before.metadata.generation != now.metadata.generation
                                || reconcile_request(&before.metadata) != reconcile_request(&now.metadata)
                        });
                        if is_news {
                            self.queue.add(Key::of(&now.metadata));
                        }
                    }
                    Change::Deleted { key, before } => {
                        self.guard.forget(before.metadata.uid.as_deref().unwrap_or_default());
                        self.queue.add(key);
                    }
                    Change::Listed => {}
                }
                std::future::ready(())
            })
            .await;
    }

    /// Queues the tenants whose Secret changed, in `namespace` (in all if none); for ever.
    pub(crate) async fn follow_secrets(
        &self,
        namespace: Option<String>,
        changes: impl Stream<Item = Change<Secret>>,
        mut listing: Receiver<Listing>,
    ) {
        let of_secrets = changes.for_each(|change| {
            let keys = match change {
                Change::Applied { now, .. } => self.using(&Key::of(&now.metadata)),
                Change::Deleted { key, .. } => self.using(&key),
                // Those that were not there either.
                Change::Listed => self.tenants.keys(namespace.as_deref()),
            };
            self.look(keys);
            std::future::ready(())
        });
        let of_failures = async {
            while listing.changed().await.is_ok() {
                self.look(self.tenants.keys(namespace.as_deref()));
            }
            std::future::pending::<()>().await;
        };
        futures::future::join(of_secrets, of_failures).await;
    }

    fn using(&self, secret: &Key) -> Vec<TenantKey> {
        self.tenants.using_secret(&secret.namespace, &secret.name)
    }

    /// These tenants are worth a look.
    pub(crate) fn look(&self, keys: Vec<TenantKey>) {
        for key in keys {
            self.queue.add(Key::new(&key.namespace, &key.name));
        }
    }

    /// What is known of the credential of this tenant has changed, and so of all that have the same.
    pub(crate) fn credential_changed(&self, key: &TenantKey) {
        let mut keys = self.tenants.sharing(key);
        if !keys.contains(key) {
            keys.push(key.clone());
        }
        for key in &keys {
            self.users.wake(key);
        }
        self.look(keys);
    }

    /// Reconciles what is queued until `ended`.
    pub(crate) fn run(self: Arc<Self>, ended: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        let queue = self.queue.clone();
        work(queue, 4, ended, move |key| {
            let controller = self.clone();
            async move {
                let key = TenantKey { namespace: key.namespace.to_string(), name: key.name.to_string() };
                let Some(tenant) = controller.tenants.get(&key) else {
                    controller.gone(&key);
                    return None;
                };
                controller.guard.run(&*tenant, controller.reconcile(&key, &tenant)).await
            }
        })
    }

    fn gone(&self, key: &TenantKey) {
        self.lock().remove(key);
        self.users.wake(key);
        self.connections.notify_one();
    }

    /// Wakes who waits for the tenant, then brings its status up to date: no wake-up depends on a write.
    async fn reconcile(&self, key: &TenantKey, tenant: &Auth0Tenant) -> Result<Option<Duration>, kube::Error> {
        let Some(generation) = tenant.metadata.generation else { return Ok(None) };
        let usable = self.tenants.usable(key, tenant);
        self.tell(key, tenant, &usable);
        let (problem, connection) = match usable {
            Usable::NotKnown => return Ok(Some(SECRET_COMES)),
            Usable::No(problem) => (Some(problem), None),
            Usable::Yes(connection, _) => (None, Some(connection)),
        };
        let (now, steady) = (Timestamp::now(), Instant::now());
        let wait = connection.as_ref().and_then(|connection| self.dispatcher.open_until(&connection.domain));
        let wait = wait.and_then(|until| until.checked_duration_since(steady)).filter(|wait| !wait.is_zero());
        let asked = reconcile_request(&tenant.metadata);
        let is_accepted = |key| self.dispatcher.accepted(key) || self.tenants.has_succeeded(key);
        let accepted = connection.as_ref().is_some_and(|connection| is_accepted(connection.key));
        let facts = TenantFacts {
            error: problem.as_ref(),
            accepted,
            unreachable: connection.as_ref().and_then(|connection| self.tenants.unreachable(connection.key)),
            open_until: wait.map(|wait| now + SignedDuration::try_from(wait).unwrap_or_default()),
            request: asked.as_deref(),
        };
        let status = tenant_status(tenant, generation, facts, now);
        let connection = connection.map(|connection| connection.key).ok_or(problem);
        let version = Version { generation, asked, accepted, connection };
        let again = wait.map_or(LOOK_AGAIN, |wait| wait.min(LOOK_AGAIN));
        if is_same(tenant.status.as_ref(), &status) {
            return Ok(Some(again));
        }
        if let Some(pause) = self.pause_before_write(key, &version, steady) {
            return Ok(Some(pause));
        }
        if self.write(key, tenant, generation, &status).await? {
            self.announce(tenant, &status);
        }
        self.wrote(key, version, steady);
        Ok(Some(again))
    }

    /// Wakes those who use the tenant if it is not to them what it was.
    fn tell(&self, key: &TenantKey, tenant: &Auth0Tenant, usable: &Usable) {
        let told = match usable {
            Usable::NotKnown => return,
            _ if tenant.spec.suspend => Told::Suspended,
            Usable::No(problem) => Told::NotReady(problem.clone()),
            Usable::Yes(connection, _) => Told::Ready(connection.key),
        };
        let before = self.lock().entry(key.clone()).or_default().told.replace(told.clone());
        if before.as_ref() != Some(&told) {
            self.users.wake(key);
            self.connections.notify_one();
        }
    }

    /// How long a write that only tells what calls found out has to wait for the one before.
    fn pause_before_write(&self, key: &TenantKey, version: &Version, now: Instant) -> Option<Duration> {
        let shown = self.lock();
        let shown = shown.get(key).filter(|shown| shown.version.as_ref() == Some(version))?;
        let since = now.saturating_duration_since(shown.written?);
        WRITE_EVERY.checked_sub(since).filter(|pause| !pause.is_zero())
    }

    fn wrote(&self, key: &TenantKey, version: Version, now: Instant) {
        let mut shown = self.lock();
        let shown = shown.entry(key.clone()).or_default();
        // After an edit, what calls find out is said at once.
        shown.written = (shown.version.as_ref() == Some(&version)).then_some(now);
        shown.version = Some(version);
    }

    /// Returns whether there was somebody to tell.
    async fn write(
        &self,
        key: &TenantKey,
        tenant: &Auth0Tenant,
        generation: i64,
        status: &Auth0TenantStatus,
    ) -> Result<bool, kube::Error> {
        let uid = tenant.metadata.uid.as_deref().unwrap_or_default();
        let target = StatusTarget { namespace: Some(&key.namespace), name: &key.name, uid, generation };
        let version = tenant.resource_version().unwrap_or_default();
        let stored = Stored { version, status: tenant.status.clone().unwrap_or_default() };
        let written = write_status::<Auth0Tenant>(&self.client, target, Some(&stored), status).await?;
        Ok(matches!(written, Written::Written(_)))
    }

    fn announce(&self, tenant: &Auth0Tenant, status: &Auth0TenantStatus) {
        let before = tenant.status.as_ref().and_then(Auth0TenantStatus::reason_text);
        let Some(ready) = status.condition(ConditionType::Ready) else { return };
        let Some(reason) = Reason::parse(&ready.reason).filter(|_| before != Some(&ready.reason)) else { return };
        let (namespace, name) = (tenant.namespace().unwrap_or_default(), tenant.name_any());
        let (uid, generation) = (tenant.uid(), tenant.metadata.generation);
        info!(kind = "Auth0Tenant", %namespace, %name, uid, generation, reason = reason.as_str(), "{}", ready.message);
        let (object, message) = (tenant.object_ref(&()), ready.message.clone());
        let news = ReasonChange { object, reason, message, verdict_after: None, proof: None };
        events::announce(&self.announce, news);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantKey, Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether writing `new` over `old` would change nothing of ours.
fn is_same(old: Option<&Auth0TenantStatus>, new: &Auth0TenantStatus) -> bool {
    let Some(mut old) = old.cloned() else { return false };
    old.conditions.retain(|c| ConditionType::ALL.iter().any(|kind| kind.as_str() == c.type_));
    old.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    let mut new = new.clone();
    new.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    old == new
}
