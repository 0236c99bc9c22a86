//! Promise 7 with cluster-scoped tenants: a removal reaches only a tenant that admits its namespace, and that tenant's
//! Secret only in the namespace of the operator. Their operators watch all namespaces, so these tests have a control
//! plane of their own and take turns on it.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use fake_auth0::{FakeAuth0, Fault, Kind, Relation};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use rescind::api::{
    Auth0TenantStatus, ClusterAuth0Tenant, ConditionType, OrgMembershipRemoval, UserPermissionRevocation,
    UserRoleRevocation,
};
use rescind::auth0::AllowedDomains;
use rescind::runtime::Settings;
use serde_json::{Value, json};
use stack::ControlPlane;
use tokio::sync::{Mutex, MutexGuard};

use crate::fixtures::tenant_spec;
use crate::harness::*;
use crate::metrics::{address, scrape};

/// The operator's namespace with the Secret, a fake tenant, and no tenant object.
struct Stage {
    operator: Environment,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    async fn new(name: &str) -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        static PLANE: OnceLock<&'static ControlPlane> = OnceLock::new();
        let turn = TURN.lock().await;
        let plane = match PLANE.get() {
            Some(plane) => plane,
            None => {
                let plane = own_plane().await;
                let crds = || rescind::api::crds().iter().map(|crd| format!("---\n{}", crd.yaml().unwrap())).collect();
                let crds: String = crds();
                tokio::task::spawn_blocking(move || plane.apply(&crds).expect("the CRDs install")).await.unwrap();
                PLANE.get_or_init(|| plane)
            }
        };
        let operator = Environment::bare_on(plane, prompt_fake().await, name).await;
        operator.put_secret(&operator.token).await;
        Self { operator, _turn: turn }
    }

    /// A namespace that the tenant admits.
    async fn namespace(&self) -> Environment {
        self.namespace_with("people").await
    }

    /// A namespace of this team.
    async fn namespace_with(&self, team: &str) -> Environment {
        let namespace = self.operator.neighbour("team").await;
        self.label(&namespace, Some(team)).await;
        namespace
    }

    /// A selector of the namespaces of this team. Other tests have other teams.
    fn selects(&self, team: &str) -> Value {
        json!({"matchLabels": {"team": format!("{team}.{}", self.operator.namespace)}})
    }

    /// Sets the label of the namespace, or takes it away.
    async fn label(&self, of: &Environment, team: Option<&str>) {
        let team = team.map(|team| self.selects(team)["matchLabels"]["team"].clone());
        let api: Api<Namespace> = Api::all(of.client.clone());
        let patch = Patch::Merge(json!({"metadata": {"labels": {"team": team}}}));
        api.patch(&of.namespace, &PatchParams::default(), &patch).await.unwrap();
    }

    fn api(&self) -> Api<ClusterAuth0Tenant> {
        Api::all(self.operator.client.clone())
    }

    /// The cluster-scoped tenant named default, with these changes to a spec that admits the people's namespaces.
    async fn put_tenant(&self, changes: Value) {
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
    async fn tenant_reason(&self, reason: &str) -> Auth0TenantStatus {
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
    async fn start(&self) -> Operator {
        self.start_with(FaultInjector::default(), |_| {}).await
    }

    async fn start_with(&self, injector: FaultInjector, change: impl FnOnce(&mut Settings)) -> Operator {
        self.operator
            .operator_through(injector, |settings| {
                settings.watch_namespaces = vec![];
                change(settings);
            })
            .await
    }

    async fn end(self) {
        self.api().delete("default", &Default::default()).await.unwrap();
    }
}

/// What a removal needs to refer to the cluster-scoped tenant.
fn by_cluster(mut spec: Value) -> Value {
    spec["tenantRef"] = json!({"kind": "ClusterAuth0Tenant", "name": "default"});
    spec
}

fn message(status: &rescind::api::RemovalStatus) -> String {
    status.condition(ConditionType::Ready).unwrap().message.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_tenant_serves_the_namespaces_that_it_admits() {
    let stage = Stage::new("admits").await;
    let (inside, outside) = (stage.namespace().await, stage.namespace_with("other").await);
    let metrics = address();
    stage.put_tenant(json!({})).await;
    let _operator = stage.start_with(FaultInjector::default(), |s| s.metrics_address = Some(metrics.into())).await;
    let before = stage.operator.fake.state();
    inside.put::<UserRoleRevocation>("jane", by_cluster(roles(USER))).await;
    outside.put::<UserRoleRevocation>("jack", by_cluster(roles(OTHER_USER))).await;
    inside.reason::<UserRoleRevocation>("jane", "Removed").await;
    let status = outside.reason::<UserRoleRevocation>("jack", "NamespaceNotAllowed").await;
    assert!(status.condition(ConditionType::Stalled).is_some());
    let text = message(&status);
    assert!(text.contains("ClusterAuth0Tenant default") && text.contains(&outside.namespace), "{text}");
    assert!(!text.contains("people"), "the selector is not shown: {text}");
    stage.operator.fake.assert_removed_exactly(&before, [Relation::user_role(USER, ROLE)]);

    let status = stage.tenant_reason("Connected").await;
    assert_eq!(status.domain.as_deref(), Some(stage.operator.fake.domain()));
    let labels = [("tenant_namespace", ""), ("reason", "Connected"), ("state", "done")];
    assert_eq!(scrape(metrics).await.value("rescind_tenants", &labels), 1.0);
    let events: Api<Event> = Api::namespaced(stage.operator.client.clone(), "default");
    let events = within(async {
        loop {
            let list = events.list(&ListParams::default()).await.unwrap();
            let regards = |event: &&Event| {
                event.regarding.as_ref().and_then(|of| of.kind.as_deref()) == Some("ClusterAuth0Tenant")
            };
            let found: Vec<_> = list.items.iter().filter(regards).filter_map(|event| event.reason.clone()).collect();
            if found.contains(&"Connected".to_owned()) {
                return found;
            }
        }
    })
    .await;
    assert!(events.contains(&"Connected".to_owned()));

    // The label takes effect at once.
    stage.label(&outside, Some("people")).await;
    outside.reason::<UserRoleRevocation>("jack", "Removed").await;
    stage.end().await;
}

/// What waited when the namespace lost its label is not sent any more, and resumes when it is admitted again.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_loses_its_label_is_out_at_once() {
    let stage = Stage::new("out").await;
    let (inside, other) = (stage.namespace().await, stage.namespace().await);
    stage.put_tenant(json!({})).await;
    let fake = &stage.operator.fake;
    fake.fault(Fault::status(429).header("Retry-After", "3").on(Kind::DeleteUserRoles).once());
    let _operator = stage.start().await;
    inside.put::<UserRoleRevocation>("jane", by_cluster(roles(USER))).await;
    inside.reason::<UserRoleRevocation>("jane", "RateLimited").await;
    stage.label(&inside, None).await;
    inside.reason::<UserRoleRevocation>("jane", "NamespaceNotAllowed").await;
    other.put::<UserRoleRevocation>("jack", by_cluster(roles(OTHER_USER))).await;
    other.reason::<UserRoleRevocation>("jack", "Removed").await;
    assert_eq!(deletes_for(fake, USER), 1, "the one that was answered 429");
    stage.label(&inside, Some("people")).await;
    inside.reason::<UserRoleRevocation>("jane", "Removed").await;
    stage.end().await;
}

/// The same while the watch on namespaces delivers nothing: the API server is asked before the call.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_label_counts_even_if_the_watch_does_not_deliver_it() {
    let stage = Stage::new("silent").await;
    let (inside, other) = (stage.namespace().await, stage.namespace().await);
    stage.put_tenant(json!({})).await;
    let (fake, injector) = (&stage.operator.fake, FaultInjector::default());
    fake.fault(Fault::status(429).header("Retry-After", "3").on(Kind::DeleteUserRoles).once());
    let _operator = stage.start_with(injector.clone(), |_| {}).await;
    inside.put::<UserRoleRevocation>("jane", by_cluster(roles(USER))).await;
    inside.reason::<UserRoleRevocation>("jane", "RateLimited").await;
    injector.hide(&inside.namespace);
    stage.label(&inside, None).await;
    other.put::<UserRoleRevocation>("jack", by_cluster(roles(OTHER_USER))).await;
    other.reason::<UserRoleRevocation>("jack", "Removed").await;
    // Its call was handed back by the preflight check, again and again.
    let shown = inside.reason::<UserRoleRevocation>("jane", "Queued").await;
    assert!(message(&shown).contains("API server"), "{}", message(&shown));
    assert_eq!(deletes_for(fake, USER), 1, "the one that was answered 429");
    stage.end().await;
}

fn deletes_for(fake: &FakeAuth0, user: &str) -> usize {
    fake.deletes().iter().filter(|call| call.user.as_deref() == Some(user)).count()
}

/// Neither a Secret in the namespace of the removal nor one without its owner's consent is ever read.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_labelled_secret_beside_the_operator_counts() {
    let stage = Stage::new("secret").await;
    let inside = stage.namespace().await;
    let operator = &stage.operator;
    operator.delete::<k8s_openapi::api::core::v1::Secret>("auth0-management").await;
    inside.put_secret(&operator.token).await;
    stage.put_tenant(json!({})).await;
    // Another namespace is the only one whose Secrets Auth0Tenants may use.
    let _operator = stage
        .start_with(FaultInjector::default(), |settings| settings.secret_namespaces = vec![inside.namespace.clone()])
        .await;
    inside.put::<UserRoleRevocation>("jane", by_cluster(roles(USER))).await;
    let text = message(&inside.reason::<UserRoleRevocation>("jane", "TenantNotReady").await);
    assert!(text.contains(&format!("in namespace {}", operator.namespace)), "{text}");
    stage.tenant_reason("SecretNotFound").await;
    operator.put_raw_secret(json!({}), json!({"token": operator.token})).await;
    inside.put::<UserRoleRevocation>("jack", by_cluster(roles(OTHER_USER))).await;
    inside.reason::<UserRoleRevocation>("jack", "TenantNotReady").await;
    assert_eq!(operator.fake.total(), 0);

    operator.put_secret(&operator.token).await;
    inside.reason::<UserRoleRevocation>("jane", "Removed").await;
    inside.reason::<UserRoleRevocation>("jack", "Removed").await;
    stage.end().await;
}

/// The kind of the reference decides; the two tenants have different Auth0 tenants behind them.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_of_the_same_name_and_another_kind_is_another_tenant() {
    let stage = Stage::new("names").await;
    let inside = Environment::bare_on(stage.operator.plane, prompt_fake().await, "team").await;
    stage.label(&inside, Some("people")).await;
    inside.put_secret(&inside.token).await;
    inside.put_tenant(json!({})).await;
    let domains = [stage.operator.fake.domain().to_owned(), inside.fake.domain().to_owned()];
    let _operator = stage
        .start_with(FaultInjector::default(), |settings| {
            settings.allowed_domains = AllowedDomains::parse(domains.iter().map(String::as_str)).unwrap();
        })
        .await;
    // The namespace has a tenant of that name, and the cluster has none.
    inside.put::<UserRoleRevocation>("jane", by_cluster(roles(USER))).await;
    let text = message(&inside.reason::<UserRoleRevocation>("jane", "TenantNotReady").await);
    assert!(text.contains("There is no ClusterAuth0Tenant default."), "{text}");
    assert_eq!(inside.fake.total(), 0);
    stage.put_tenant(json!({})).await;
    let status = inside.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert_eq!(status.domain.as_deref(), Some(stage.operator.fake.domain()));
    assert_eq!(inside.fake.total(), 0);
    let calls = stage.operator.fake.total();
    inside.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    let status = inside.reason::<UserRoleRevocation>("jack", "Removed").await;
    assert_eq!(status.domain.as_deref(), Some(inside.fake.domain()));
    assert_eq!(stage.operator.fake.total(), calls);

    // The operator's own namespace is one like others: it has to be admitted, too.
    stage.operator.put::<UserRoleRevocation>("own", by_cluster(roles(OTHER_USER))).await;
    stage.operator.reason::<UserRoleRevocation>("own", "NamespaceNotAllowed").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_limits_kinds_and_organizations() {
    let stage = Stage::new("limits").await;
    let inside = stage.namespace().await;
    let fake = &stage.operator.fake;
    let others = "org_0123456789abcdef";
    fake.edit(|tenant| drop(tenant.organization(others).member(USER)));
    let before = fake.state();
    stage.put_tenant(json!({"allowedOrganizationIds": [ORG]})).await;
    let _operator = stage.start().await;
    let leaves = |organization: &str| by_cluster(json!({"organizationId": organization, "members": [USER]}));
    let permissions = json!([{"resourceServerIdentifier": API, "permissionName": "read:x"}]);
    inside.put::<OrgMembershipRemoval>("ours", leaves(ORG)).await;
    inside.put::<OrgMembershipRemoval>("others", leaves(others)).await;
    inside.put::<UserRoleRevocation>("role", by_cluster(roles(USER))).await;
    let spec = by_cluster(json!({"userId": USER, "permissions": permissions}));
    inside.put::<UserPermissionRevocation>("permission", spec).await;
    inside.reason::<OrgMembershipRemoval>("ours", "Removed").await;
    let text = message(&inside.reason::<OrgMembershipRemoval>("others", "NamespaceNotAllowed").await);
    assert!(text.contains(others) && !text.contains(ORG), "{text}");
    inside.reason::<UserRoleRevocation>("role", "NamespaceNotAllowed").await;
    let text = message(&inside.reason::<UserPermissionRevocation>("permission", "NamespaceNotAllowed").await);
    assert!(text.contains("spec.allowedKinds"), "{text}");

    // Named explicitly, a kind that is not bound to an organization is allowed; all others are not any more.
    stage.put_tenant(json!({"allowedOrganizationIds": [ORG], "allowedKinds": ["UserRoleRevocation"]})).await;
    inside.reason::<UserRoleRevocation>("role", "Removed").await;
    inside.put::<OrgMembershipRemoval>("again", leaves(ORG)).await;
    inside.reason::<OrgMembershipRemoval>("again", "NamespaceNotAllowed").await;
    inside.reason::<UserPermissionRevocation>("permission", "NamespaceNotAllowed").await;
    // Leaving an organization takes the roles there along.
    let changes = fake.changes_since(&before);
    assert!(changes.iter().all(|change| !format!("{change:?}").contains(others)), "{changes:?}");
    assert_eq!(deletes_for(fake, USER), 1, "of the role");
    stage.end().await;
}

/// The tenant is edited while a call for the namespace is in flight and another one waits for its turn.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_selector_stops_what_is_not_sent_yet() {
    let stage = Stage::new("edit").await;
    let inside = stage.namespace().await;
    stage.put_tenant(json!({"rateLimit": {"maxRequestsPerSecond": 1}})).await;
    let fake = &stage.operator.fake;
    let held = fake.fault(Fault::hold().on(Kind::DeleteUserRoles).once());
    let injector = FaultInjector::default();
    let _operator = stage.start_with(injector, |s| s.timeouts.read = Duration::from_secs(20)).await;
    inside.put::<UserRoleRevocation>("jane", by_cluster(roles(USER))).await;
    held.arrived().await;
    inside.put::<UserRoleRevocation>("jack", by_cluster(roles(OTHER_USER))).await;
    stage.put_tenant(json!({"allowedNamespaces": stage.selects("nobody")})).await;
    inside.reason::<UserRoleRevocation>("jane", "NamespaceNotAllowed").await;
    inside.reason::<UserRoleRevocation>("jack", "NamespaceNotAllowed").await;
    held.release();
    let other = stage.namespace_with("nobody").await;
    let spec = by_cluster(json!({"userId": USER, "roles": [OTHER_ROLE]}));
    other.put::<UserRoleRevocation>("control", spec).await;
    other.reason::<UserRoleRevocation>("control", "Removed").await;
    assert_eq!(deletes_for(fake, OTHER_USER), 0);
    let before = fake.state();
    stage.put_tenant(json!({})).await;
    inside.reason::<UserRoleRevocation>("jack", "Removed").await;
    inside.wait::<UserRoleRevocation>("jane", |jane| jane.status.as_ref().is_some_and(|s| s.is_ready())).await;
    fake.assert_removed_exactly(&before, [Relation::user_role(OTHER_USER, ROLE)]);
    stage.end().await;
}

/// An operator without rights in the whole cluster says so, and everything else goes on.
#[tokio::test(flavor = "multi_thread")]
async fn without_rights_in_the_whole_cluster_the_kind_is_not_served() {
    let stage = Stage::new("rights").await;
    let inside = stage.namespace().await;
    inside.put_secret(&inside.token).await;
    inside.put_tenant(json!({})).await;
    stage.put_tenant(json!({})).await;
    inside.put::<UserRoleRevocation>("waits", by_cluster(roles(USER))).await;
    let rows: [(&str, fn(&mut Settings, &str), &str); 4] = [
        ("", |settings, own| settings.watch_namespaces = vec![own.to_owned()], "--watch-namespaces"),
        ("", |settings, _| settings.cluster_tenants = false, "--cluster-tenants=false"),
        ("/clusterauth0tenants", |_, _| {}, "cannot read ClusterAuth0Tenants (not allowed to list"),
        ("/api/v1/namespaces", |_, _| {}, "cannot read the namespaces (not allowed to list"),
    ];
    let mut last = None;
    for (n, (forbidden, change, says)) in rows.into_iter().enumerate() {
        drop(last.take());
        let (injector, probes) = (FaultInjector::default(), address());
        injector.forbid(forbidden);
        let operator = stage
            .start_with(injector.clone(), |settings| {
                settings.probe_address = Some(probes.into());
                change(settings, &inside.namespace);
            })
            .await;
        let user = format!("auth0|other-{n}");
        stage.operator.fake.edit(|tenant| drop(tenant.user(user.clone()).role(ROLE)));
        inside.put::<UserRoleRevocation>(&format!("other-{n}"), roles(&user)).await;
        inside.reason::<UserRoleRevocation>(&format!("other-{n}"), "Removed").await;
        let says_so = |waits: &UserRoleRevocation| {
            waits
                .status
                .as_ref()
                .is_some_and(|status| status.reason_text() == Some("TenantNotReady") && message(status).contains(says))
        };
        inside.wait::<UserRoleRevocation>("waits", says_so).await;
        let ready = reqwest::get(format!("http://{probes}/readyz")).await.unwrap();
        let (code, text) = (ready.status(), ready.text().await.unwrap());
        assert_eq!(code, 200, "{text}");
        assert_eq!(text.contains("going on without the list of"), !forbidden.is_empty(), "{text}");
        assert_eq!(deletes_for(&stage.operator.fake, USER), 0);
        last = Some((operator, injector));
    }
    // Once the rights are granted the kind is served, without a restart.
    last.as_ref().unwrap().1.forbid("");
    inside.reason::<UserRoleRevocation>("waits", "Removed").await;
    stage.end().await;
}

/// Objects wait in the queue of their namespace: one with many removals does not hold up another of the same tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_becomes_ready_serves_its_namespaces_in_turn() {
    let stage = Stage::new("turns").await;
    let (many, one) = (stage.namespace().await, stage.namespace().await);
    let operator = &stage.operator;
    operator.delete::<k8s_openapi::api::core::v1::Secret>("auth0-management").await;
    stage.put_tenant(json!({"rateLimit": {"maxRequestsPerSecond": 5}, "verification": "Never"})).await;
    let _operator = stage.start().await;
    let users: BTreeMap<String, String> =
        (0..20).map(|n| (format!("many-{n:02}"), format!("auth0|many-{n:02}"))).collect();
    operator.fake.edit(|tenant| users.values().for_each(|user| drop(tenant.user(user.clone()).role(ROLE))));
    for (name, user) in &users {
        many.put::<UserRoleRevocation>(name, by_cluster(roles(user))).await;
    }
    one.put::<UserRoleRevocation>("one", by_cluster(roles(USER))).await;
    stage.tenant_reason("SecretNotFound").await;
    operator.put_secret(&operator.token).await;
    one.reason::<UserRoleRevocation>("one", "RemovedUnverified").await;
    let place = operator.fake.deletes().iter().position(|call| call.user.as_deref() == Some(USER)).unwrap();
    assert!(place < 5, "it was served as number {place}");
    for name in users.keys() {
        many.reason::<UserRoleRevocation>(name, "RemovedUnverified").await;
    }
    assert_eq!(operator.fake.deletes().iter().count(), 21);
    stage.end().await;
}
