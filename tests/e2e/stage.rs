//! Where cluster-scoped tenants are tested. Their operators watch all namespaces, so these tests have a control plane of
//! their own and take turns on it.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::await_condition;
use rescind::api::{Auth0TenantStatus, ClusterAuth0Tenant};
use rescind::runtime::Settings;
use serde_json::{Value, json};
use stack::ControlPlane;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::fixtures::tenant_spec;
use crate::harness::*;

/// The operator's namespace with the Secret, a fake tenant, and no tenant object.
pub struct Stage {
    pub operator: Environment,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    pub async fn new(name: &str) -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        static PLANE: OnceCell<&ControlPlane> = OnceCell::const_new();
        let turn = TURN.lock().await;
        let plane = PLANE.get_or_init(own_plane_with_crds).await;
        let operator = Environment::bare_on(plane, prompt_fake().await, name).await;
        operator.put_secret(&operator.token).await;
        Self { operator, _turn: turn }
    }

    /// A namespace that the tenant admits.
    pub async fn namespace(&self) -> Environment {
        self.namespace_with("people").await
    }

    /// A namespace of this team.
    pub async fn namespace_with(&self, team: &str) -> Environment {
        let namespace = self.operator.neighbour("team").await;
        self.label(&namespace, Some(team)).await;
        namespace
    }

    /// A selector of the namespaces of this team. Other tests have other teams.
    pub fn selects(&self, team: &str) -> Value {
        json!({"matchLabels": {"team": format!("{team}.{}", self.operator.namespace)}})
    }

    /// Sets the label of the namespace, or takes it away.
    pub async fn label(&self, of: &Environment, team: Option<&str>) {
        let team = team.map(|team| self.selects(team)["matchLabels"]["team"].clone());
        let api: Api<Namespace> = Api::all(of.client.clone());
        let patch = Patch::Merge(json!({"metadata": {"labels": {"team": team}}}));
        api.patch(&of.namespace, &PatchParams::default(), &patch).await.unwrap();
    }

    pub fn api(&self) -> Api<ClusterAuth0Tenant> {
        Api::all(self.operator.client.clone())
    }

    /// The cluster-scoped tenant named default, with these changes to a spec that admits the people's namespaces.
    pub async fn put_tenant(&self, changes: Value) {
        let mut spec = tenant_spec(&self.operator.fake);
        spec["allowedNamespaces"] = self.selects("people");
        for (field, value) in changes.as_object().unwrap() {
            spec[field] = value.clone();
        }
        let object = json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "ClusterAuth0Tenant", "metadata": {"name": "default"},
            "spec": spec,
        });
        let params = PatchParams::apply("test").force();
        self.api().patch("default", &params, &Patch::Apply(object)).await.expect("a good manifest");
    }

    /// Waits until the tenant has this reason, and returns the status.
    pub async fn tenant_reason(&self, reason: &str) -> Auth0TenantStatus {
        let is_there = |tenant: Option<&ClusterAuth0Tenant>| {
            let Some((tenant, status)) = tenant.and_then(|tenant| Some((tenant, tenant.status.as_ref()?))) else {
                return false;
            };
            status.observed_generation == tenant.metadata.generation && status.reason_text() == Some(reason)
        };
        let tenant = within(await_condition(self.api(), "default", is_there)).await.unwrap().unwrap();
        tenant.status.unwrap()
    }

    /// An operator for all namespaces.
    pub async fn start(&self) -> Operator {
        self.start_with(FaultInjector::default(), |_| {}).await
    }

    pub async fn start_with(&self, injector: FaultInjector, change: impl FnOnce(&mut Settings)) -> Operator {
        self.operator
            .operator_through(injector, |settings| {
                settings.watch_namespaces = vec![];
                change(settings);
            })
            .await
    }

    pub async fn end(self) {
        self.api().delete("default", &Default::default()).await.unwrap();
    }
}

/// A control plane for the caller alone, with the CRDs installed.
pub async fn own_plane_with_crds() -> &'static ControlPlane {
    let plane = own_plane().await;
    let install = move || plane.apply(&crds()).expect("the CRDs install");
    tokio::task::spawn_blocking(install).await.unwrap();
    plane
}
