//! One control plane for the run, and a [`Environment`] for each test: a namespace, a fake tenant, an operator.
//!
//! Nothing here sleeps: the helpers watch for what they wait for.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use fake_auth0::FakeAuth0;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Resource};
use rescind::api::{ConditionType, RemovalStatus};
use rescind::auth0::{AllowedDomains, Timeouts};
use rescind::revocation::Revocation;
use rescind::runtime::{self, Settings, WatchTiming};
use rescind::telemetry;
use rescind::telemetry::traces::Traces;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stack::ControlPlane;
use tokio_util::sync::CancellationToken;

pub use crate::fault_injector::FaultInjector;
pub use crate::fixtures::{API, ORG, ROLE, USER};
use crate::fixtures::{SECRET, admin, consent, tenant_spec};

/// The longest wait for anything; a test that reaches it has failed.
pub const PATIENCE: Duration = Duration::from_secs(40);

pub const OTHER_USER: &str = "google-oauth2|1/2+3";
pub const OTHER_ROLE: &str = "rol_0123456789abcdef";

/// The spec of a `UserRoleRevocation` that takes [`ROLE`] from `user`.
pub fn roles(user: &str) -> Value {
    json!({"userId": user, "roles": [ROLE]})
}

/// The run's control plane, with the CRDs installed.
pub fn plane() -> &'static ControlPlane {
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    PLANE.get_or_init(|| {
        prepare_process();
        let plane = ControlPlane::start().expect("a control plane");
        plane.apply(&crds()).expect("the CRDs install");
        wait_for_schemas(&plane);
        plane
    })
}

fn prepare_process() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // RESCIND_TEST_LOG=debug shows what the operators of all tests say.
    if let Some(level) = std::env::var("RESCIND_TEST_LOG").ok().and_then(|level| level.parse().ok()) {
        let subscriber = telemetry::subscriber(level, telemetry::LogFormat::Text, std::io::stderr);
        let _ = tracing::subscriber::set_global_default(subscriber);
    }
}

/// All CRDs as YAML.
pub fn crds() -> String {
    rescind::api::crds().iter().map(|crd| format!("---\n{}", crd.yaml().unwrap())).collect()
}

/// Starts a control plane for the caller alone, which lives until the end of the run.
pub async fn own_plane() -> &'static ControlPlane {
    prepare_process();
    let plane = tokio::task::spawn_blocking(|| ControlPlane::start().unwrap()).await.unwrap();
    Box::leak(Box::new(plane))
}

/// Waits for the schemas that `kubectl explain` and strict validation read. The API server publishes them a moment
/// after it accepted the CRDs, and nothing can be watched for that, so this polls.
fn wait_for_schemas(plane: &ControlPlane) {
    let started = std::time::Instant::now();
    let published = || {
        let schemas = plane.run(&["get", "--raw", "/openapi/v3/apis/rescind.dev/v1alpha1"]).unwrap_or_default();
        rescind::api::crds()
            .iter()
            .all(|crd| schemas.contains(&format!("v1alpha1.{}\"", crd.definition.spec.names.kind)))
    };
    while !published() {
        assert!(started.elapsed() < PATIENCE, "the API server does not publish the schemas");
    }
}

/// A request of the operator to the API server.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: http::Method,
    pub path: String,
}

/// A client that records its requests.
pub async fn client(plane: &ControlPlane) -> (Client, Arc<Mutex<Vec<Request>>>) {
    client_through(plane, FaultInjector::default()).await
}

/// The same, with a fault injector in between.
async fn client_through(plane: &ControlPlane, injector: FaultInjector) -> (Client, Arc<Mutex<Vec<Request>>>) {
    let mut config = admin(plane).await;
    config.default_retry = false;
    let requests = Arc::<Mutex<Vec<Request>>>::default();
    let noted = requests.clone();
    let note = move |request: http::Request<kube::client::Body>| {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        noted.lock().unwrap().push(Request { method, path });
        request
    };
    let client = kube::client::ClientBuilder::try_from(config)
        .unwrap()
        .with_layer(&tower::util::MapRequestLayer::new(note))
        .with_layer(&injector)
        .build();
    for crd in rescind::api::crds() {
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        let name = crd.definition.metadata.name.unwrap();
        within(await_condition(api, &name, conditions::is_crd_established())).await.unwrap();
    }
    (client, requests)
}

/// Panics instead of waiting for ever.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened within the test's patience")
}

/// A fake tenant whose lists never lag. With the lag that Auth0 documents, the proof of each ended membership would
/// take five to ten seconds. Tests about lag set their own.
pub async fn prompt_fake() -> FakeAuth0 {
    let fake = FakeAuth0::start().await;
    fake.no_lag();
    fake
}

async fn new_namespace(client: &Client, name: &str) -> String {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": format!("{name}-")}});
    let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    let created = api.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
    created.metadata.name.unwrap()
}

/// A namespace, a fake tenant with a token of all scopes, its Secret, and an `Auth0Tenant` named default.
pub struct Environment {
    pub plane: &'static ControlPlane,
    pub namespace: String,
    pub client: Client,
    pub fake: FakeAuth0,
    pub token: String,
}

impl Environment {
    pub async fn new(name: &str) -> Self {
        Self::with(plane(), prompt_fake().await, name).await
    }

    /// The same on this control plane, with this fake tenant.
    pub async fn with(plane: &'static ControlPlane, fake: FakeAuth0, name: &str) -> Self {
        let env = Self::bare_on(plane, fake, name).await;
        env.put_secret(&env.token).await;
        env.put_tenant(json!({})).await;
        env
    }

    /// Without Secret and tenant object.
    pub async fn bare(name: &str) -> Self {
        Self::bare_on(plane(), prompt_fake().await, name).await
    }

    /// The same on this control plane, with this fake tenant.
    pub async fn bare_on(plane: &'static ControlPlane, fake: FakeAuth0, name: &str) -> Self {
        let (client, _) = client(plane).await;
        fake.edit(|tenant| {
            tenant.user(USER).role(ROLE).role(OTHER_ROLE).permission(API, "read:x").permission(API, "write:x");
            tenant.user(OTHER_USER).role(ROLE);
            tenant
                .organization(ORG)
                .member(USER)
                .member(OTHER_USER)
                .member_role(USER, ROLE)
                .member_role(USER, OTHER_ROLE);
        });
        let token = fake.token(&fake.all_scopes());
        Self { plane, namespace: new_namespace(&client, name).await, client, fake, token }
    }

    /// Another namespace of the same cluster, with the same fake tenant.
    pub async fn neighbour(&self, name: &str) -> Self {
        let (client, fake) = (self.client.clone(), self.fake.clone());
        Self {
            plane: self.plane,
            namespace: new_namespace(&client, name).await,
            client,
            fake,
            token: self.token.clone(),
        }
    }

    /// Starts an operator for this namespace alone, allowed to talk to the fake tenant.
    pub async fn operator(&self) -> Operator {
        self.operator_with(|_| {}).await
    }

    pub async fn operator_with(&self, change: impl FnOnce(&mut Settings)) -> Operator {
        self.operator_through(FaultInjector::default(), change).await
    }

    pub async fn operator_through(&self, injector: FaultInjector, change: impl FnOnce(&mut Settings)) -> Operator {
        let (client, requests) = client_through(self.plane, injector).await;
        requests.lock().unwrap().clear();
        let settings = self.settings_with(change);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(runtime::run(settings, client, shutdown.clone()));
        Operator { shutdown, task: Some(task), requests }
    }

    pub fn settings_with(&self, change: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings = Settings {
            cluster_url: self.plane.server_url(),
            namespace: self.namespace.clone(),
            lease_name: runtime::LEASE.to_owned(),
            // Most tests have one operator; tests/e2e/leader.rs has more.
            election: None,
            allowed_domains: AllowedDomains::parse([self.fake.domain()]).unwrap(),
            watch_namespaces: vec![self.namespace.clone()],
            secret_namespaces: vec![],
            cluster_tenants: true,
            requester_policy: None,
            probe_address: None,
            metrics_address: None,
            max_concurrent_reconciles: 8,
            watches: WatchTiming::default(),
            traces: Traces::default(),
            timeouts: Timeouts {
                connect: Duration::from_millis(900),
                read: Duration::from_secs(1),
                total: Duration::from_secs(2),
            },
        };
        change(&mut settings);
        settings
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies `spec` by server-side apply, as a user would.
    pub async fn put<K>(&self, name: &str, spec: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
    {
        let object = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "spec": spec,
        });
        let params = PatchParams::apply("test").force();
        self.api::<K>().patch(name, &params, &Patch::Apply(object)).await.expect("a good manifest")
    }

    /// Changes some fields of a spec.
    pub async fn change<K>(&self, name: &str, spec: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api::<K>().patch(name, &PatchParams::default(), &patch).await.expect("a good change")
    }

    pub async fn delete<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        self.api::<K>().delete(name, &DeleteParams::default()).await.expect("deleted");
    }

    /// The labelled Secret that the tenant object names.
    pub async fn put_secret(&self, token: &str) {
        self.put_raw_secret(json!({ "labels": consent() }), json!({ "token": token })).await;
    }

    /// `texts` become `data`, because applying another `stringData` would not remove keys.
    pub async fn put_raw_secret(&self, mut metadata: Value, texts: Value) {
        metadata["name"] = json!(SECRET);
        let encode = |text: &Value| base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap());
        let data: Value =
            texts.as_object().unwrap().iter().map(|(key, text)| (key.clone(), json!(encode(text)))).collect();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data});
        let api = self.api::<k8s_openapi::api::core::v1::Secret>();
        let params = PatchParams::apply("test").force();
        api.patch(SECRET, &params, &Patch::Apply(secret)).await.expect("a Secret");
    }

    /// The tenant object named default, with `changes` to its spec.
    pub async fn put_tenant(&self, changes: Value) {
        let mut spec = tenant_spec(&self.fake);
        for (field, value) in changes.as_object().unwrap() {
            spec[field] = value.clone();
        }
        self.put::<rescind::api::Auth0Tenant>("default", spec).await;
    }

    /// Waits until the object's status satisfies `condition`.
    pub async fn wait<K>(&self, name: &str, condition: impl Fn(&K) -> bool + Send) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize
            + Send
            + 'static,
    {
        let seen = Mutex::new(None);
        let met = |object: Option<&K>| {
            *seen.lock().unwrap() = object.cloned();
            object.is_some_and(&condition)
        };
        let waited = tokio::time::timeout(PATIENCE, await_condition(self.api::<K>(), name, met)).await;
        match waited {
            Ok(found) => found.unwrap().unwrap(),
            Err(_) => {
                let status = serde_json::to_value(&*seen.lock().unwrap()).unwrap()["status"].clone();
                panic!("{name} did not get there: {status:#}\nAuth0 was called: {:#?}", self.calls());
            }
        }
    }

    /// Every call that the fake tenant received, one line each.
    pub fn calls(&self) -> Vec<String> {
        self.fake.calls().iter().map(|call| format!("{call} {:?}", call.status())).collect()
    }

    /// Waits until the object has this reason for its current generation.
    pub async fn reason<K: Revocation + Serialize>(&self, name: &str, reason: &str) -> RemovalStatus {
        let object = self
            .wait::<K>(name, |object| {
                let status = object.status().cloned().unwrap_or_default();
                status.observed_generation == object.meta().generation
                    && status.condition(ConditionType::Ready).is_some_and(|ready| ready.reason == reason)
            })
            .await;
        object.status().cloned().unwrap()
    }

    /// Waits until the tenant object has this reason and returns the message.
    pub async fn tenant_reason(&self, reason: &str) -> String {
        let ready = |tenant: &rescind::api::Auth0Tenant| {
            let status = tenant.status.clone().unwrap_or_default();
            let current = status.observed_generation == tenant.metadata.generation;
            status.condition(ConditionType::Ready).filter(|ready| current && ready.reason == reason).cloned()
        };
        let tenant = self.wait("default", |tenant| ready(tenant).is_some()).await;
        ready(&tenant).unwrap().message
    }
}

/// A running operator, which ends when this is dropped.
pub struct Operator {
    shutdown: CancellationToken,
    task: Option<tokio::task::JoinHandle<Result<(), runtime::Error>>>,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl Operator {
    /// Ends it as SIGTERM does.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        within(self.task.take().unwrap()).await.unwrap().unwrap();
    }

    /// Writes to the API server so far: status writes and events.
    pub fn writes(&self) -> Vec<Request> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.method != http::Method::GET).cloned().collect()
    }

    pub fn status_writes(&self) -> usize {
        self.writes().iter().filter(|request| request.path.ends_with("/status")).count()
    }

    /// Status writes of removals. Tenant objects have their own, for example when their credential is accepted.
    pub fn removal_writes(&self) -> usize {
        let is_removal = |path: &str| path.ends_with("/status") && !path.contains("/auth0tenants/");
        self.writes().iter().filter(|request| is_removal(&request.path)).count()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
