//! Objects that are reconciled again and again, with an API server and an operator that has no tenants.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::client::Body;
use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;
use crate::api::{TenantRef, UserRoleRevocation};
use crate::auth0::{AllowedDomains, ClientError};
use crate::dispatch::{Dispatcher, Preflight, Purpose};
use crate::revocation::finished::target;
use crate::revocation::{
    Context, PreflightChecker, Progress, ReconcileState, Revocation, Shared, TenantCheck, reconcile,
};
use crate::tenant::{Secrets, Tenants};

fn no_tenants() -> Arc<Tenants> {
    let connect = |_: &Domain, _: Option<&[u8]>| -> Result<_, ClientError> { unreachable!("there is no tenant") };
    let tenants = Tenants::connecting(AllowedDomains::parse(["*.auth0.com"]).unwrap(), Arc::new(connect));
    tenants.add(None, store().0, Secrets::default());
    tenants
}

/// Reconciles `object`, which is the only one in the API server, for this long, each time when it asks for it. Returns
/// the object as it is then, and how often its status was written.
async fn reconciled(object: Value, seconds: u64) -> (UserRoleRevocation, usize) {
    let stored = Arc::new(Mutex::new((object, 0)));
    let server = stored.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = server.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            let (object, writes) = &mut *server.lock().unwrap();
            if parts.method == Method::PUT {
                *writes += 1;
                object["status"] = serde_json::from_slice::<Value>(&body).unwrap()["status"].take();
                object["metadata"]["resourceVersion"] = json!((*writes + 1).to_string());
            }
            Ok::<_, Infallible>(Response::new(Body::from(object.to_string().into_bytes())))
        }
    });
    let client = kube::Client::new(service, "default");
    let (cache, mut writer) = store::<UserRoleRevocation>();
    let (dispatcher, _woken) = Dispatcher::new(PreflightChecker::new(client.clone(), Box::new(|| true)), Arc::new(()));
    let shared = Arc::new(Shared {
        dispatcher,
        tenants: no_tenants(),
        state: Arc::new(ReconcileState::default()),
        observer: Arc::new(()),
        announce: Box::new(|_| {}),
        tenant_changed: Box::new(|_| {}),
    });
    let context = Arc::new(Context { client, store: cache, shared: shared.clone() });
    let now = || serde_json::from_value::<UserRoleRevocation>(stored.lock().unwrap().0.clone()).unwrap();
    let (permits, end) = (Arc::new(Semaphore::new(1)), crate::clock::steady() + Duration::from_secs(seconds));
    while crate::clock::steady() < end {
        let object = now();
        writer.apply_watcher_event(&Event::Apply(object.clone()));
        shared.state.seen("o", object.metadata.resource_version.as_deref());
        let permit = permits.clone().try_acquire_owned().ok();
        let progress = reconcile(Arc::new(object), context.clone(), permit).await.unwrap();
        let Progress::Done(Some(pause)) = progress else { panic!("{progress:?}") };
        tokio::time::advance(pause).await;
    }
    (now(), stored.lock().unwrap().1)
}

fn object(tenant: &str, status: RemovalStatus) -> Value {
    json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
        "metadata": {
            "namespace": "n", "name": "o", "uid": "o", "generation": 2, "resourceVersion": "1",
            "creationTimestamp": "2026-11-01T00:00:00Z",
        },
        "spec": {
            "userId": "auth0|a", "roles": [role(1).to_string()], "tenantRef": {"kind": "Auth0Tenant", "name": tenant},
            "policy": "Once", "mode": "Remove", "ifNotFound": "Fail", "suspend": false,
        },
        "status": status,
    })
}

/// An object that was finished and has to start over says what it waits for, as any other does.
#[tokio::test(start_paused = true)]
async fn a_wait_is_shown_although_the_object_was_finished_elsewhere() {
    let fresh = object("gone", RemovalStatus::default());
    let removal = serde_json::from_value::<UserRoleRevocation>(fresh.clone()).unwrap().removal();
    let target = target(&TenantRef::default(), &removal);
    let finished = crate::api::Finished { target, mode: Mode::Remove, by_tenant: false, generation: 1 };
    let removed = RemovalStatus {
        observed_generation: Some(1),
        conditions: conditions(&[], &verdicts(Reason::Removed, "x"), 1, at(NOW)),
        finished: Some(finished),
        ..RemovalStatus::default()
    };
    for object in [fresh, object("gone", removed)] {
        let (after, writes) = reconciled(object, 3600).await;
        let status = after.status.unwrap();
        assert_eq!((status.reason_at(2), writes), (Some(Reason::TenantNotReady), 1), "{status:?}");
    }
}

/// An object that is being deleted, by whichever finalizer, is not acted for.
#[tokio::test]
async fn nothing_is_sent_for_what_is_being_deleted() {
    let refusal = |deleted: Option<&str>| {
        // A fresh cache is not asked about at the API server.
        let service = tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
        let client = kube::Client::new(service, "default");
        let (cache, mut writer) = store::<UserRoleRevocation>();
        let mut object = object("gone", RemovalStatus::default());
        object["metadata"]["deletionTimestamp"] = json!(deleted);
        let object: UserRoleRevocation = serde_json::from_value(object).unwrap();
        let owner = crate::revocation::shared::owner(&object).unwrap();
        writer.apply_watcher_event(&Event::Apply(object));
        let check = TenantCheck::new(no_tenants(), Arc::new(|| true), None);
        let preflight = PreflightChecker::new(client, Box::new(|| true));
        preflight.add(None, cache, Arc::new(|| true), check);
        [Purpose::Read, Purpose::Remove].map(|purpose| preflight.recheck(&owner, purpose).unwrap_err())
    };
    assert_eq!(refusal(None), [Refusal::TenantNotReady; 2]);
    assert_eq!(refusal(Some("2026-11-21T02:44:00Z")), [Refusal::Gone; 2]);
}
