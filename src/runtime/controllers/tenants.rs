//! The controller of the tenant objects: which changes queue one, waking the removals that depend on it, and its
//! status.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::object::HasStatus;
use kube::runtime::reflector::Store;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::api::{
    Admission, Auth0Tenant, Auth0TenantStatus, BrakeId, ClusterAuth0Tenant, ConditionType, Reason, TenantObject,
    reconcile_request,
};
use crate::dispatch::Dispatcher;
use crate::revocation::{Current, MutationCache, ReasonChange, own_part};
use crate::runtime::cache::{Change, Key};
use crate::sync::{lock, read, write};
use crate::telemetry::audit_log::AuditLog;
use crate::telemetry::events;
use crate::tenant::{CredentialFacts, KindRow, Listing, TenantFacts, TenantKey, Tenants, Usable, tenant_status};

use super::braking::{Braking, Wrote};
use super::controller::{Queue, Queued, run};
use super::dependents::Dependents;
use super::guard::ReconcileGuard;
use super::usability::Usability;
use super::write_pace::{Version, WritePace};

/// A tenant is reconciled again this often, because a token expires and a refusal grows old. This costs no call to
/// Auth0.
const RESYNC_INTERVAL: Duration = Duration::from_secs(300);
/// While the Secrets are not listed yet, a tenant is reconciled again this soon, if nothing queues it before.
const SECRETS_RETRY: Duration = Duration::from_secs(1);
/// While the first token is asked for, a tenant is reconciled again this soon, if nothing queues it before.
const TOKEN_RETRY: Duration = Duration::from_secs(5);

/// How many tenants of a scope are reconciled at once.
const CONCURRENCY: u16 = 4;

/// A kind of tenant objects.
pub(crate) trait TenantResource:
    TenantObject
    + Resource<DynamicType = ()>
    + HasStatus<Status = Auth0TenantStatus>
    + Clone
    + Debug
    + DeserializeOwned
    + 'static
{
}

impl TenantResource for Auth0Tenant {}
impl TenantResource for ClusterAuth0Tenant {}

/// The queues of the tenant objects: of `Auth0Tenant` by scope, and of `ClusterAuth0Tenant` if it is served.
#[derive(Debug, Default)]
pub(crate) struct TenantQueues {
    scopes: RwLock<Vec<(Option<String>, Queue<Auth0Tenant>)>>,
    cluster: OnceLock<Queue<ClusterAuth0Tenant>>,
}

impl TenantQueues {
    /// Adds the queue of a namespace, or of all if none.
    pub(crate) fn of(&self, namespace: Option<&str>) -> Queued<Auth0Tenant> {
        let (queue, queued) = Queue::new();
        let mut scopes = write(&self.scopes);
        scopes.push((namespace.map(str::to_owned), queue));
        queued
    }

    /// Adds the queue of the cluster-scoped tenants.
    pub(crate) fn of_cluster(&self) -> Queued<ClusterAuth0Tenant> {
        let (queue, queued) = Queue::new();
        // A leader starts them once.
        let _ = self.cluster.set(queue);
        queued
    }

    /// Queues a tenant.
    pub(crate) fn add(&self, key: &TenantKey) {
        let Some(namespace) = key.namespace.as_deref() else {
            if let Some(queue) = self.cluster.get() {
                queue.add(&Key::new("", &key.name));
            }
            return;
        };
        let scopes = read(&self.scopes);
        let covers = |(own, _): &&(Option<String>, _)| own.as_deref().is_none_or(|own| own == namespace);
        if let Some((_, queue)) = scopes.iter().find(covers) {
            queue.add(&Key::new(namespace, &key.name));
        }
    }
}

/// The controller of the tenant objects of both kinds and all scopes.
pub(crate) struct TenantController {
    pub(crate) client: Client,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) dependents: Dependents,
    pub(crate) queues: Arc<TenantQueues>,
    /// The removal kinds, with the scopes that each needs.
    pub(crate) kinds: Vec<KindRow>,
    pub(crate) announce: Sender<ReasonChange>,
    pub(crate) audit: AuditLog,
    /// Notified when a connection may have come or gone.
    pub(crate) connections: Notify,
    pub(crate) shown: Mutex<HashMap<TenantKey, Shown>>,
    /// The statuses that were written and that the caches do not show yet.
    pub(crate) mutations: MutationCache<Auth0TenantStatus>,
    /// When this process began to lead.
    pub(crate) begun: Instant,
}

/// What was last made known about a tenant.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// The state for which its dependents were woken last, and whom it admitted then.
    woken_for: Option<(Usability, Option<Admission>)>,
    /// The request by annotation for which a fresh token was asked for.
    pub(super) refreshed_for: Option<String>,
    /// Whether it was stopped when that was last compared.
    pub(super) stopped: Option<bool>,
    /// When its status was written.
    pub(super) pace: WritePace,
}

impl TenantController {
    /// Queues the tenants that changed. Runs as long as the watch.
    pub(crate) async fn follow<K: TenantResource>(
        &self,
        changes: impl Stream<Item = Change<K>>,
        guard: ReconcileGuard,
    ) {
        changes
            .for_each(|change| {
                match change {
                    Change::Applied { before, now, .. } => {
                        let meta = now.meta();
                        self.mutations.seen(uid_of(meta), meta.resource_version.as_deref());
                        // The watch delivers our own status writes as well.
                        let is_news = before.is_none_or(|before| {
                            before.meta().generation != now.meta().generation
                                || reconcile_request(before.meta()) != reconcile_request(now.meta())
                                || BrakeId::released_by(before.meta()) != BrakeId::released_by(now.meta())
                        });
                        if is_news {
                            self.queues.add(&TenantKey::of_object(now.meta()));
                        }
                    }
                    Change::Deleted { before, .. } => {
                        guard.forget(uid_of(before.meta()));
                        self.mutations.forget(uid_of(before.meta()));
                        self.deleted(&TenantKey::of_object(before.meta()));
                    }
                    Change::Listed => {}
                }
                std::future::ready(())
            })
            .await;
    }

    /// Queues the tenants in `namespace` (in all if `None`) whose Secret changed or whose list of Secrets fails. Runs
    /// as long as the watch.
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
                // A tenant whose Secret does not exist learns of it only now.
                Change::Listed => self.tenants.with_secrets_in(namespace.as_deref()),
            };
            self.enqueue(keys);
            std::future::ready(())
        });
        let of_failures = async {
            while listing.changed().await.is_ok() {
                self.enqueue(self.tenants.with_secrets_in(namespace.as_deref()));
            }
            std::future::pending::<()>().await;
        };
        futures::future::join(of_secrets, of_failures).await;
    }

    fn using(&self, secret: &Key) -> Vec<TenantKey> {
        self.tenants.using_secret(&secret.namespace, &secret.name)
    }

    pub(crate) fn enqueue(&self, keys: Vec<TenantKey>) {
        keys.iter().for_each(|key| self.queues.add(key));
    }

    /// Queues this tenant and all that share its credential, and wakes their dependents: what is known of the
    /// credential has changed.
    pub(crate) fn credential_changed(&self, key: &TenantKey) {
        let mut keys = self.tenants.sharing(key);
        if !keys.contains(key) {
            keys.push(key.clone());
        }
        for key in &keys {
            self.dependents.wake(key);
        }
        self.enqueue(keys);
    }

    /// Reconciles the tenants of one kind and scope that are queued, until `ended`.
    pub(crate) async fn run<K: TenantResource>(
        self: Arc<Self>,
        store: Store<K>,
        queued: Queued<K>,
        guard: ReconcileGuard,
        ended: CancellationToken,
    ) {
        let cache = store.clone();
        let reconcile = move |tenant: Arc<K>| {
            let (controller, guard, store) = (self.clone(), guard.clone(), cache.clone());
            async move {
                let key = TenantKey::of_object(tenant.meta());
                let pause = match controller.latest(&store, &*tenant) {
                    Some(now) => guard.run(&*now, controller.reconcile(&key, &*now)).await.unwrap_or_else(Some),
                    None => None,
                };
                // It may have been deleted meanwhile; nothing that was kept since then would be forgotten.
                let now = controller.tenants.get(&key);
                if now.as_ref().is_none_or(|now| now.metadata().uid != tenant.meta().uid) {
                    guard.forget(uid_of(tenant.meta()));
                    controller.mutations.forget(uid_of(tenant.meta()));
                }
                if now.is_none() {
                    lock(&controller.shown).remove(&key);
                }
                pause
            }
        };
        run(store, queued, CONCURRENCY, ended, reconcile).await;
    }

    /// The tenant as it is now, with the status that was last written, also if the cache does not show that yet.
    /// Otherwise it would be written once more, as if it were news, and delay what is.
    fn latest<K: TenantResource>(&self, store: &Store<K>, tenant: &K) -> Option<Arc<K>> {
        let Current { object: mut current, ahead } = self.mutations.current(store, tenant)?;
        if let Some(written) = ahead {
            let latest = Arc::make_mut(&mut current);
            latest.meta_mut().resource_version = Some(written.version.clone());
            *latest.status_mut() = Some(written.status.clone());
        }
        Some(current)
    }

    fn deleted(&self, key: &TenantKey) {
        lock(&self.shown).remove(key);
        self.tenants.brakes().tenant_deleted(key);
        self.dependents.wake(key);
        self.connections.notify_one();
    }

    /// Wakes the dependents of the tenant, then updates its status. In this order no wake-up depends on a write
    /// (promise 9).
    async fn reconcile<K: TenantResource>(&self, key: &TenantKey, tenant: &K) -> Result<Option<Duration>, kube::Error> {
        let Some(generation) = tenant.meta().generation else { return Ok(None) };
        let usable = self.tenants.usable(key, tenant);
        self.wake_dependents(key, tenant, &usable);
        if self.proves_credential(key, tenant, &usable) {
            // The answer queues the tenant. Ready is not said before it is known.
            return Ok(Some(TOKEN_RETRY));
        }
        let (problem, connection) = match usable {
            Usable::NotKnown => return Ok(Some(SECRETS_RETRY)),
            Usable::No(problem) => (Some(problem), None),
            Usable::Yes(connection, _) => (None, Some(connection)),
        };
        let (now, steady) = (Timestamp::now(), Instant::now());
        self.audit_stop(key, tenant, now);
        let brake = match connection.as_ref().filter(|_| tenant.tenant_spec().stopped_until(now).is_none()) {
            Some(_) => self.decide_brake(key, tenant, now),
            None => {
                self.tenants.brakes().undecided(key);
                Braking::undecided(self.tenants.brakes(), key, tenant.status())
            }
        };
        let wait = connection.as_ref().and_then(|connection| self.dispatcher.open_until(&connection.domain));
        let wait = wait.and_then(|until| until.checked_duration_since(steady)).filter(|wait| !wait.is_zero());
        let asked = reconcile_request(tenant.meta());
        let is_accepted = |key| self.dispatcher.accepted(key) || self.tenants.has_succeeded(key);
        let accepted = connection.as_ref().is_some_and(|connection| is_accepted(connection.key));
        let token = connection.as_ref().and_then(|connection| connection.credential.token());
        let renewal_failure = self.tenants.renewal_failure(key);
        let facts = TenantFacts {
            error: problem.as_ref(),
            kinds: &self.kinds,
            credential: connection.as_ref().map(|_| CredentialFacts {
                kind: tenant.tenant_spec().credentials.kind(),
                token: token.as_ref(),
                renewal_failure: renewal_failure.as_ref(),
            }),
            accepted,
            unreachable: connection.as_ref().and_then(|connection| self.tenants.unreachable(connection.key)),
            open_until: wait.map(|wait| now + SignedDuration::try_from(wait).unwrap_or_default()),
            brake: brake.record.as_ref(),
            engaged: &brake.engaged,
            organizations: &brake.organizations,
            request: asked.as_deref(),
        };
        let status = tenant_status(tenant, generation, facts, now);
        let connection = connection.map(|connection| connection.key).ok_or(problem);
        let version = Version { generation, asked, accepted, connection };
        let hold = tenant.tenant_spec().hold.as_ref().and_then(|hold| hold.in_force(now));
        let hold = hold.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
        let resync = [wait, hold, brake.again].into_iter().flatten().fold(RESYNC_INTERVAL, Duration::min);
        let is_same = tenant.status().is_some_and(|old| own_part(old) == own_part(&status));
        if is_same && !brake.is_urgent() {
            return Ok(Some(resync));
        }
        let pause = lock(&self.shown).get(key).and_then(|shown| shown.pace.pause(&version, steady));
        if let Some(pause) = pause.filter(|_| !brake.is_urgent()) {
            return Ok(Some(pause.min(resync)));
        }
        let wrote = self.write(key, tenant, generation, &status, &brake).await?;
        match wrote {
            Wrote::Status => self.announce(tenant, &status),
            Wrote::Nothing => {}
            Wrote::ButAnotherLeads => return Ok(Some(Duration::ZERO)),
        }
        lock(&self.shown).entry(key.clone()).or_default().pace.wrote(version, &wrote, brake.is_urgent(), steady);
        Ok(Some(resync))
    }

    /// Wakes the dependents of the tenant if its usability has changed, or whom it admits.
    fn wake_dependents(&self, key: &TenantKey, tenant: &dyn TenantObject, usable: &Usable) {
        let Some(usability) = Usability::of(tenant, usable) else { return };
        let now = (usability, tenant.admission().cloned());
        let before = lock(&self.shown).entry(key.clone()).or_default().woken_for.replace(now.clone());
        if before.is_none_or(|before| now.0.differs_from(&before.0) || now.1 != before.1) {
            self.dependents.wake(key);
            self.connections.notify_one();
        }
    }

    /// Logs a change of reason, and makes an event of it.
    fn announce<K: TenantResource>(&self, tenant: &K, status: &Auth0TenantStatus) {
        let before = tenant.status().and_then(Auth0TenantStatus::reason_text);
        let Some(ready) = status.condition(ConditionType::Ready) else { return };
        let Some(reason) = Reason::parse(&ready.reason).filter(|_| before != Some(&ready.reason)) else { return };
        let meta = tenant.meta();
        let (kind, namespace, name) = (K::kind(&()), meta.namespace.as_deref(), meta.name.as_deref());
        let (uid, generation) = (meta.uid.as_deref(), meta.generation);
        info!(%kind, namespace, name, uid, generation, reason = reason.as_str(), "{}", ready.message);
        let (object, message) = (tenant.object_ref(&()), ready.message.clone());
        let change = ReasonChange { object, reason, message, verdict_after: None, proof: None };
        events::announce(&self.announce, change);
    }
}

fn uid_of(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}
