//! Tenant objects: their status, and waking the removals that depend on them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender};
use futures::{FutureExt, Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::api::{Auth0Tenant, ConditionType, FIELD_MANAGER, RECONCILE_ANNOTATION, Reason, State, printable};
use crate::revocation::{Announce, Revocation};
use crate::tenant::{TenantKey, Tenants, tenant_status};

use crate::telemetry::events;

use super::guard::{Never, ReconcileGuard};

/// A tenant is looked at again this often: a token expires, a refusal grows old. Costs no call.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// What a tenant's reconcile needs.
pub(crate) struct TenantContext {
    pub(crate) client: Client,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) dependents: Arc<Dependents>,
    pub(crate) announce: Sender<Announce>,
}

/// Wakes the unfinished removals of one kind that use a tenant.
type WakeUsers = Box<dyn Fn(&TenantKey) + Send + Sync>;

/// The removals that may depend on a tenant.
#[derive(Default)]
pub(crate) struct Dependents(Mutex<Vec<WakeUsers>>);

impl Dependents {
    /// Objects in `store` are woken through `wake`.
    pub(crate) fn add<K: Revocation>(&self, store: Store<K>, wake: UnboundedSender<ObjectRef<K>>) {
        let wake_users = move |key: &TenantKey| {
            let uses = |object: &Arc<K>| {
                object.meta().namespace.as_deref() == Some(&key.namespace)
                    && object.options().tenant_ref.name == key.name
            };
            for object in store.state().iter().filter(|object| uses(object) && !is_finished(&***object)) {
                let _ = wake.unbounded_send(ObjectRef::from_obj(&**object));
            }
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(wake_users));
    }

    pub(crate) fn wake(&self, key: &TenantKey) {
        for wake in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            wake(key);
        }
    }
}

fn is_finished<K: Revocation>(object: &K) -> bool {
    let reason = object.status().and_then(|status| status.reason_at(object.meta().generation?));
    reason.is_some_and(|reason| reason.state() == State::Done)
}

/// Tells which tenants changed, be it the object or the Secret it reads. Polls both watches, for ever.
pub(crate) async fn tenant_changes(
    tenant_events: impl Stream<Item = watcher::Result<Event<Auth0Tenant>>> + Send,
    secret_events: impl Stream<Item = watcher::Result<Event<Secret>>> + Send,
    changed: UnboundedSender<TenantKey>,
    tenants: Arc<Tenants>,
) {
    let mut versions = HashMap::new();
    let of_tenants = tenant_events.map(|event| changed_tenants(event, &mut versions));
    let of_secrets = secret_events.map(|event| match event {
        Ok(Event::Apply(secret) | Event::Delete(secret)) => {
            tenants.readers_of(&secret.namespace().unwrap_or_default(), &secret.name_any())
        }
        // A list may have brought or taken any Secret.
        Ok(Event::InitDone) => tenants.keys(),
        Ok(Event::Init | Event::InitApply(_)) | Err(_) => Vec::new(),
    });
    let changes = futures::stream::select(of_tenants.boxed(), of_secrets.boxed());
    changes
        .for_each(|keys| {
            for key in keys {
                let _ = changed.unbounded_send(key);
            }
            std::future::ready(())
        })
        .await;
}

/// What a tenant was when it was reconciled last: uid, generation, and what its annotation asked.
type Version = (Option<String>, Option<i64>, Option<String>);

/// What the tenant's annotation asks.
fn asked(tenant: &Auth0Tenant) -> Option<String> {
    let asked = tenant.annotations().get(RECONCILE_ANNOTATION).map(|asked| printable(asked));
    asked.filter(|asked| !asked.is_empty())
}

/// Our own status writes come back as events, too; only another object, generation or annotation is a change.
fn changed_tenants(
    event: watcher::Result<Event<Auth0Tenant>>,
    versions: &mut HashMap<TenantKey, Version>,
) -> Vec<TenantKey> {
    let key =
        |tenant: &Auth0Tenant| TenantKey { namespace: tenant.namespace().unwrap_or_default(), name: tenant.name_any() };
    match event {
        Ok(Event::Apply(tenant) | Event::InitApply(tenant)) => {
            let (key, version) = (key(&tenant), (tenant.uid(), tenant.metadata.generation, asked(&tenant)));
            let before = versions.insert(key.clone(), version.clone());
            if before == Some(version) { Vec::new() } else { vec![key] }
        }
        Ok(Event::Delete(tenant)) => {
            versions.remove(&key(&tenant));
            vec![key(&tenant)]
        }
        // Only now can those of the first list be found in the cache.
        Ok(Event::InitDone) => versions.keys().cloned().collect(),
        Ok(Event::Init) | Err(_) => Vec::new(),
    }
}

/// Keeps the status of tenants until `shutdown`.
pub(crate) fn run_tenants(
    context: TenantContext,
    store: Store<Auth0Tenant>,
    changes: UnboundedReceiver<TenantKey>,
    guard: ReconcileGuard,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let context = Arc::new(context);
    let wake_users = context.clone();
    let changed = changes.map(move |key| {
        // A tenant that is gone is not reconciled; those who used it have to learn of it all the same.
        if wake_users.tenants.get(&key).is_none() {
            wake_users.dependents.wake(&key);
        }
        ObjectRef::new(&key.name).within(&key.namespace)
    });
    let controller = Controller::for_stream(futures::stream::pending(), store)
        .with_config(Config::default().concurrency(4))
        .reconcile_on(changed)
        .graceful_shutdown_on(shutdown.cancelled_owned());
    let guarded = move |tenant: Arc<Auth0Tenant>, context: Arc<TenantContext>| {
        let guard = guard.clone();
        async move { guard.run(&*tenant, reconcile_tenant(tenant.clone(), context)).await }
    };
    controller
        .run(guarded, |_, error: &Never, _| -> Action { match *error {} }, context)
        .for_each(|_| std::future::ready(()))
        .boxed()
}

/// Brings a tenant's status up to date and wakes who waits for it.
pub(crate) async fn reconcile_tenant(
    tenant: Arc<Auth0Tenant>,
    context: Arc<TenantContext>,
) -> Result<Action, kube::Error> {
    let (Some(namespace), Some(generation)) = (tenant.namespace(), tenant.metadata.generation) else {
        return Ok(Action::await_change());
    };
    let key = TenantKey { namespace, name: tenant.name_any() };
    let problem = context.tenants.connect(&tenant).err();
    let spec = &tenant.spec;
    let now = Timestamp::now();
    let old = tenant.status.as_ref();
    let mut status = tenant_status(old, generation, &spec.domain, spec.suspend, problem.as_ref(), now);
    // To look is all that can be asked for, and that is done here.
    status.last_handled_reconcile_at = asked(&tenant).or(status.last_handled_reconcile_at);
    if tenant.status.as_ref() != Some(&status) {
        let api: Api<Auth0Tenant> = Api::namespaced(context.client.clone(), &key.namespace);
        let patch = Patch::Apply(json!({
            "apiVersion": Auth0Tenant::api_version(&()),
            "kind": Auth0Tenant::kind(&()),
            "metadata": { "name": key.name, "namespace": key.namespace, "uid": tenant.metadata.uid },
            "status": &status,
        }));
        match api.patch_status(&key.name, &PatchParams::apply(FIELD_MANAGER).force(), &patch).await {
            Ok(_) => {}
            Err(kube::Error::Api(response)) if response.is_not_found() || response.is_conflict() => {}
            Err(error) => return Err(error),
        }
        announce(&context, &tenant, &status);
    }
    context.dependents.wake(&key);
    Ok(Action::requeue(LOOK_AGAIN))
}

fn announce(context: &TenantContext, tenant: &Auth0Tenant, status: &crate::api::Auth0TenantStatus) {
    let before = tenant.status.as_ref().and_then(|status| status.condition(ConditionType::Ready));
    let Some(ready) = status.condition(ConditionType::Ready) else { return };
    let Some(reason) = Reason::parse(&ready.reason).filter(|_| before.is_none_or(|b| b.reason != ready.reason)) else {
        return;
    };
    let (namespace, name) = (tenant.namespace().unwrap_or_default(), tenant.name_any());
    let (uid, generation) = (tenant.uid(), tenant.metadata.generation);
    info!(kind = "Auth0Tenant", %namespace, %name, uid, generation, reason = reason.as_str(), "{}", ready.message);
    let (object, message) = (tenant.object_ref(&()), ready.message.clone());
    let news = Announce { object, reason, message, proved_after: None };
    events::announce(&context.announce, news);
}
