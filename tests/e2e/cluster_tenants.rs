//! Promise 7 with cluster-scoped tenants: a removal reaches only a tenant that admits its namespace, and that tenant's
//! Secret only in the namespace of the operator.

use std::collections::BTreeMap;
use std::time::Duration;

use fake_auth0::{FakeAuth0, Fault, Kind, Relation};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use rescind::api::{
    ClusterAuth0Tenant, ConditionType, OrgMembershipRemoval, RECONCILE_ANNOTATION, UserPermissionRevocation,
    UserRoleRevocation, find_condition,
};
use rescind::auth0::AllowedDomains;
use serde_json::{Value, json};

use crate::harness::*;
use crate::metrics::{address, scrape};
use crate::stage::Stage;

/// What a removal needs to refer to the cluster-scoped tenant.
fn by_cluster(mut spec: Value) -> Value {
    spec["tenantRef"] = json!({"kind": "ClusterAuth0Tenant", "name": "default"});
    spec
}

/// The message of the condition `Ready`.
fn ready(conditions: &[Condition]) -> String {
    find_condition(conditions, ConditionType::Ready).unwrap().message.clone()
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
    let text = ready(&status.conditions);
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
    let (fake, injector, metrics) = (&stage.operator.fake, FaultInjector::default(), address());
    fake.fault(Fault::status(429).header("Retry-After", "3").on(Kind::DeleteUserRoles).once());
    let _operator = stage.start_with(injector.clone(), |s| s.metrics_address = Some(metrics.into())).await;
    inside.put::<UserRoleRevocation>("jane", by_cluster(roles(USER))).await;
    inside.reason::<UserRoleRevocation>("jane", "RateLimited").await;
    injector.hide(&inside.namespace);
    stage.label(&inside, None).await;
    other.put::<UserRoleRevocation>("jack", by_cluster(roles(OTHER_USER))).await;
    other.reason::<UserRoleRevocation>("jack", "Removed").await;
    let refused = ("rescind_preflight_refusals_total", [("cause", "unconfirmed")]);
    within(async { while scrape(metrics).await.value(refused.0, &refused.1) < 2.0 {} }).await;
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
    let text = ready(&stage.tenant_reason("SecretNotFound").await.conditions);
    assert!(text.contains(&format!("in namespace {}", operator.namespace)), "{text}");
    operator.put_raw_secret(json!({}), json!({"token": operator.token})).await;
    // Looking again changes nothing.
    let question = Patch::Merge(json!({"metadata": {"annotations": {RECONCILE_ANNOTATION: "look"}}}));
    stage.api().patch("default", &PatchParams::default(), &question).await.unwrap();
    let answered = |tenant: &ClusterAuth0Tenant| tenant.status.as_ref()?.last_handled_reconcile_at.clone();
    let is_answered = |tenant: Option<&ClusterAuth0Tenant>| tenant.is_some_and(|tenant| answered(tenant).is_some());
    within(await_condition(stage.api(), "default", is_answered)).await.unwrap();
    stage.tenant_reason("SecretNotFound").await;
    assert_eq!(operator.fake.total(), 0);

    operator.put_secret(&operator.token).await;
    inside.reason::<UserRoleRevocation>("jane", "Removed").await;
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
    inside.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    let status = inside.reason::<UserRoleRevocation>("jack", "Removed").await;
    assert_eq!(status.domain.as_deref(), Some(inside.fake.domain()));
    assert_eq!((deletes_for(&inside.fake, USER), stage.operator.fake.total()), (0, 0));
    let calls = inside.fake.total();
    stage.put_tenant(json!({})).await;
    let status = inside.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert_eq!(status.domain.as_deref(), Some(stage.operator.fake.domain()));
    assert_eq!(inside.fake.total(), calls);

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
    let text = ready(&inside.reason::<OrgMembershipRemoval>("others", "NamespaceNotAllowed").await.conditions);
    assert!(text.contains(others) && !text.contains(ORG), "{text}");
    inside.reason::<UserRoleRevocation>("role", "NamespaceNotAllowed").await;
    let text = ready(&inside.reason::<UserPermissionRevocation>("permission", "NamespaceNotAllowed").await.conditions);
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

/// An operator for single namespaces says so, and everything else goes on.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_for_single_namespaces_does_not_serve_the_kind() {
    let env = Environment::new("single").await;
    env.put::<UserRoleRevocation>("jane", by_cluster(roles(USER))).await;
    env.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    let operator = env.operator().await;
    env.reason::<UserRoleRevocation>("jack", "Removed").await;
    let text = ready(&env.reason::<UserRoleRevocation>("jane", "TenantNotReady").await.conditions);
    assert!(text.contains("does not serve ClusterAuth0Tenant: it watches single namespaces"), "{text}");
    assert_eq!(deletes_for(&env.fake, USER), 0);
    let requests = operator.requests.lock().unwrap().clone();
    let of_cluster = |path: &str| path.ends_with("/clusterauth0tenants") || path == "/api/v1/namespaces";
    assert!(requests.iter().all(|request| !of_cluster(&request.path)), "{requests:?}");
}

/// The kind is served as soon as the rights are there, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_may_not_read_namespaces_holds_up_nothing_else() {
    let stage = Stage::new("rights").await;
    let inside = stage.namespace().await;
    inside.put_secret(&inside.token).await;
    inside.put_tenant(json!({})).await;
    stage.put_tenant(json!({})).await;
    let (injector, probes) = (FaultInjector::default(), address());
    injector.forbid("/api/v1/namespaces");
    let _operator = stage.start_with(injector.clone(), |s| s.probe_address = Some(probes.into())).await;
    inside.put::<UserRoleRevocation>("jane", by_cluster(roles(USER))).await;
    inside.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    inside.reason::<UserRoleRevocation>("jack", "Removed").await;
    let text = ready(&stage.tenant_reason("TenantNotReady").await.conditions);
    assert!(text.contains("cannot read the namespaces (not allowed to list"), "{text}");
    let answer = reqwest::get(format!("http://{probes}/readyz")).await.unwrap();
    let (code, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(code, 200, "{text}");
    assert!(text.contains("going on without the list of namespaces: not allowed"), "{text}");
    assert_eq!(deletes_for(&stage.operator.fake, USER), 0);
    injector.forbid("");
    inside.reason::<UserRoleRevocation>("jane", "Removed").await;
    stage.tenant_reason("Connected").await;
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
    assert_eq!(operator.fake.deletes().len(), 21);
    stage.end().await;
}
