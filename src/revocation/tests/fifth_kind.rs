//! One more kind, through the whole path that all kinds share. `GroupRoleRemoval` consists of its file in `src/api/`,
//! one row in the table of endpoints with the rule of its id, and one entry in the list of kinds; nothing else knows
//! it.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use http::{Method, Request, Response};
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;
use crate::api::{Brake, GroupRoleRemoval, Protected, RateLimit, crds};
use crate::auth0::{AllowedDomains, Answer, ManagementApi, Page, Query, RateHeaders, Read, TokenRequest};
use crate::dispatch::Dispatcher;
use crate::revocation::{
    Context, ForEachKind, PreflightChecker, Progress, ReconcileState, Revocation, Shared, TenantCheck, for_each_kind,
    reconcile,
};
use crate::tenant::{BrakeFacts, Listing, Secrets, Tenants};

const GROUP: &str = "grp_3kVbq8Yw1mZr7TnC";

/// The API server and Auth0. All requests are recorded in one order.
#[derive(Debug, Default)]
struct Backends {
    requests: Mutex<Vec<String>>,
    /// The objects in the API server, by name.
    objects: Mutex<HashMap<String, Value>>,
    /// The roles that the group has.
    held: Mutex<BTreeSet<Item>>,
}

impl Backends {
    fn record(&self, request: String) {
        self.requests.lock().unwrap().push(request);
    }

    async fn serve(&self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().split_once("/namespaces/n/").unwrap().1;
        self.record(format!("{} {path}", parts.method));
        let body = body.collect_bytes().await.unwrap();
        let mut objects = self.objects.lock().unwrap();
        let object = objects.get_mut(path.split('/').nth(1).unwrap()).unwrap();
        if parts.method == Method::PUT {
            object["status"] = serde_json::from_slice::<Value>(&body).unwrap()["status"].take();
            let version: u64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
            object["metadata"]["resourceVersion"] = json!((version + 1).to_string());
        }
        Ok(Response::new(Body::from(object.to_string().into_bytes())))
    }
}

fn answer<T>(value: T) -> Answer<T> {
    Answer { limits: RateHeaders::default(), outcome: Ok(value) }
}

impl ManagementApi for Backends {
    fn remove<'a>(
        &'a self,
        _: &'a Token,
        endpoint: &'a Endpoint,
        items: &'a [Item],
        _: &'a str,
    ) -> BoxFuture<'a, Answer<()>> {
        self.record(format!("DELETE {} {}", endpoint.path(), endpoint.body(items)));
        self.held.lock().unwrap().retain(|item| !items.contains(item));
        ready(answer(())).boxed()
    }

    fn page<'a>(&'a self, _: &'a Token, read: &'a Read, _: &'a Query) -> BoxFuture<'a, Answer<Page>> {
        self.record(format!("GET {}", read.path()));
        let roles: Value = self.held.lock().unwrap().iter().map(|item| json!({ "id": item.to_string() })).collect();
        let total = roles.as_array().unwrap().len();
        ready(answer(json!({ "roles": roles, "start": 0, "limit": 50, "total": total }))).boxed()
    }

    fn token<'a>(&'a self, _: &'a TokenRequest<'a>) -> BoxFuture<'a, Answer<Token>> {
        unreachable!("its tenant has a token")
    }
}

fn object(kind: &str, name: &str, mut spec: Value, options: impl serde::Serialize) -> Value {
    let Value::Object(options) = serde_json::to_value(options).unwrap() else { panic!("options are an object") };
    spec.as_object_mut().unwrap().extend(options);
    json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {
            "namespace": "n", "name": name, "uid": name, "generation": 1, "resourceVersion": "1",
            "creationTimestamp": "2026-11-01T00:00:00Z",
        },
    })
}

fn tenants(backends: &Arc<Backends>) -> (Arc<Tenants>, Value) {
    let (tenant_store, mut tenant_writer) = store();
    let (secret_store, mut secret_writer) = store::<Secret>();
    let options = json!({
        "rateLimit": RateLimit::default(), "verification": Verification::default(), "suspend": false,
        "mode": crate::api::Mode::default(), "brake": Brake::default(), "protected": Protected::default(),
    });
    let spec =
        json!({ "domain": "acme.auth0.com", "credentials": { "tokenSecretRef": { "name": "t", "key": "token" } } });
    let tenant = object("Auth0Tenant", "default", spec, options);
    tenant_writer.apply_watcher_event(&Event::Apply(serde_json::from_value(tenant.clone()).unwrap()));
    let secret = json!({
        "metadata": { "namespace": "n", "name": "t", "labels": { "rescind.dev/credentials": "true" } },
        "data": { "token": "ZTMwLmUzMC50b2tlbg==" },
    });
    secret_writer.apply_watcher_event(&Event::Apply(serde_json::from_value(secret).unwrap()));
    let mut secrets = Secrets::default();
    secrets.add(None, secret_store, tokio::sync::watch::channel(Listing::Complete).1);
    let client: Arc<dyn ManagementApi> = backends.clone();
    let tenants =
        Tenants::connecting(AllowedDomains::parse(["*.auth0.com"]).unwrap(), Arc::new(move |_, _| Ok(client.clone())));
    tenants.add(None, tenant_store, secrets);
    (tenants, tenant)
}

/// Allots what is asked for, as the controller of the tenants does.
async fn allot(tenants: Arc<Tenants>) {
    let mut asked = tenants.brakes().asked().unwrap();
    while let Some(key) = asked.recv().await {
        let window = Duration::from_secs(3600);
        let facts = BrakeFacts { generation: 1, max: 2, window, per_minute: 100, ..BrakeFacts::default() };
        let plan = tenants.brakes().decide(&key, &facts, None).unwrap();
        tenants.brakes().written(&key, Some(&plan), Some(2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fifth_kind_goes_the_way_of_all_kinds() {
    let backends = Arc::new(Backends::default());
    *backends.held.lock().unwrap() = [role(1), role(2), role(3)].into();
    let (tenants, tenant) = tenants(&backends);
    tokio::spawn(allot(tenants.clone()));
    let spec = json!({ "groupId": GROUP, "roles": [role(1).to_string(), role(2).to_string()] });
    let removal = object("GroupRoleRemoval", "r", spec, RemovalOptions::default());
    *backends.objects.lock().unwrap() = [("r".to_owned(), removal), ("default".to_owned(), tenant)].into();

    let server = backends.clone();
    let service = tower::service_fn(move |request| {
        let server = server.clone();
        async move { server.serve(request).await }
    });
    let client = kube::Client::new(service, "default");
    let (cache, mut writer) = store::<GroupRoleRemoval>();
    let preflight = PreflightChecker::new(client.clone(), Box::new(|| true));
    // The caches are not fresh, so that the preflight check asks the API server.
    let check = TenantCheck::new(tenants.clone(), Arc::new(|| false), None);
    preflight.add(None, cache.clone(), Arc::new(|| false), check);
    let (dispatcher, mut woken) = Dispatcher::new(preflight, Arc::new(()));
    let shared = Arc::new(Shared {
        dispatcher,
        tenants,
        state: Arc::new(ReconcileState::default()),
        observer: Arc::new(()),
        announce: Box::new(|_| {}),
        tenant_changed: Box::new(|_| {}),
    });
    let context = Arc::new(Context { client, store: cache, shared });
    let stored = || serde_json::from_value::<GroupRoleRemoval>(backends.objects.lock().unwrap()["r"].clone()).unwrap();
    writer.apply_watcher_event(&Event::Apply(stored()));
    let writes = Arc::new(Semaphore::new(1));
    let step = async || {
        let permit = writes.clone().try_acquire_owned().ok();
        reconcile(Arc::new(stored()), context.clone(), permit).await.unwrap()
    };
    while let Progress::Done(Some(pause)) = step().await {
        let _ = tokio::time::timeout(pause, woken.recv()).await;
    }

    assert_eq!(stored().status.unwrap().reason_at(1), Some(Reason::Removed));
    assert_eq!(*backends.held.lock().unwrap(), [role(3)].into());
    let requests = backends.requests.lock().unwrap();
    let (of_tenant, of_object): (Vec<_>, Vec<_>) =
        requests.iter().partition(|request| request.contains("auth0tenants"));
    assert_eq!(of_tenant, ["GET auth0tenants/default"]);
    let confirmed = "GET grouproleremovals/r".to_owned();
    let delete = format!("DELETE /api/v2/groups/{GROUP}/roles {{\"roles\":[\"{}\",\"{}\"]}}", role(1), role(2));
    let proof = format!("GET /api/v2/groups/{GROUP}/roles");
    let written = "PUT grouproleremovals/r/status".to_owned();
    assert_eq!(of_object, [&confirmed, &delete, &confirmed, &proof, &written]);
}

#[test]
fn a_fifth_kind_is_validated_by_its_row() {
    let named = |group: &str, items| {
        crate::revocation::kinds::validate(&Removal { endpoint: Endpoint::GroupRoles { group: group.into() }, items })
    };
    assert_eq!(named(GROUP, vec![role(1)]), Ok(()));
    assert!(named("editors", vec![role(1)]).unwrap_err().starts_with("spec.groupId"));
    assert!(named(GROUP, Vec::new()).is_err() && named(GROUP, vec![Item::Id("editor".into())]).is_err());
}

/// A kind that is missing in one of the lists would be installed and never acted on, or the other way round.
#[test]
fn every_kind_has_a_definition() {
    struct Kinds(BTreeSet<String>);
    impl ForEachKind for Kinds {
        fn visit<K: Revocation>(&mut self) {
            self.0.insert(K::KIND.to_owned());
        }
    }
    let mut kinds = Kinds(["Auth0Tenant", "ClusterAuth0Tenant"].map(str::to_owned).into());
    for_each_kind(&mut kinds);
    let defined: BTreeSet<String> = crds().into_iter().map(|crd| crd.definition.spec.names.kind).collect();
    assert_eq!(kinds.0, defined);
}
