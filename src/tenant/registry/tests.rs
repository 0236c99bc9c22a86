//! The one function that resolves references to tenants of both kinds.

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::{PartialObjectMeta, PartialObjectMetaExt};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::sync::watch::Sender;

use super::*;
use crate::api::{ClusterAuth0Tenant, TenantKind, TenantRef};
use crate::auth0::Endpoint;
use crate::dispatch::Removal;
use crate::tenant::Listing;

/// The caches of an operator in namespace `operator`. The writers feed them.
struct Rig {
    tenants: Arc<Tenants>,
    local: Writer<Auth0Tenant>,
    cluster: Writer<ClusterAuth0Tenant>,
    namespaces: Writer<PartialObjectMeta<Namespace>>,
    secrets: Writer<Secret>,
    tenants_listing: Sender<Listing>,
    namespaces_listing: Sender<Listing>,
}

fn cache<K: kube::Resource<DynamicType = ()> + Clone + 'static>() -> (Store<K>, Writer<K>) {
    reflector::store()
}

impl Rig {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tenants = Tenants::new(AllowedDomains::parse(["*.auth0.com"]).unwrap(), Timeouts::default());
        let (local_store, local) = cache();
        let (cluster_store, cluster) = cache();
        let (namespace_store, namespaces) = cache();
        let (secret_store, secrets) = cache();
        let mut of_secrets = Secrets::default();
        of_secrets.add(None, secret_store, tokio::sync::watch::channel(Listing::Complete).1);
        tenants.add(None, local_store, of_secrets);
        let (tenants_listing, tenants_listed) = tokio::sync::watch::channel(Listing::Complete);
        let (namespaces_listing, namespaces_listed) = tokio::sync::watch::channel(Listing::Complete);
        tenants.serve_cluster(ClusterCaches {
            namespace: "operator".to_owned(),
            tenants: cluster_store,
            tenants_listing: tenants_listed,
            namespaces: namespace_store,
            namespaces_listing: namespaces_listed,
        });
        Self { tenants, local, cluster, namespaces, secrets, tenants_listing, namespaces_listing }
    }

    fn namespace(&mut self, name: &str, labels: Value) {
        let meta: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta =
            serde_json::from_value(json!({"name": name, "uid": name, "labels": labels})).unwrap();
        self.namespaces.apply_watcher_event(&Event::Apply(meta.into_response_partial()));
    }

    fn secret(&mut self, namespace: &str) {
        let secret = json!({
            "metadata": {
                "namespace": namespace, "name": "s", "uid": namespace, "resourceVersion": "1",
                "labels": {"rescind.dev/credentials": "true"},
            },
            "data": {"token": "ZTMwLmUzMC50b2tlbg=="},
        });
        self.secrets.apply_watcher_event(&Event::Apply(serde_json::from_value(secret).unwrap()));
    }

    fn cluster_tenant(&mut self, version: &str, suspend: bool, more: Value) {
        let mut spec = spec(suspend);
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let tenant = json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "ClusterAuth0Tenant",
            "metadata": {"name": "default", "uid": "c", "resourceVersion": version}, "spec": spec,
        });
        self.cluster.apply_watcher_event(&Event::Apply(serde_json::from_value(tenant).unwrap()));
    }

    fn local_tenant(&mut self, namespace: &str) {
        let tenant = json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "Auth0Tenant", "spec": spec(false),
            "metadata": {"name": "default", "namespace": namespace, "uid": namespace, "resourceVersion": "1"},
        });
        self.local.apply_watcher_event(&Event::Apply(serde_json::from_value(tenant).unwrap()));
    }

    /// What a removal in `namespace` sees that refers to the tenant default of this kind, in a few words.
    fn sees(&self, kind: TenantKind, namespace: &str) -> String {
        let removal = Removal { endpoint: Endpoint::UserRoles { user: "auth0|a".into() }, items: Vec::new() };
        let key = TenantKey::of(namespace, &TenantRef { kind, ..TenantRef::default() });
        let applicant = Applicant { namespace, kind: "UserRoleRevocation", removal: &removal };
        match self.tenants.state(&key, &applicant) {
            TenantState::Missing => "missing".to_owned(),
            TenantState::NotAllowed(why) => format!("not allowed: {why}"),
            TenantState::OnHold { .. } => "OnHold".into(),
            TenantState::Suspended => "suspended".to_owned(),
            TenantState::NotReady(error) => format!("{}: {}", error.reason, error.message),
            TenantState::Ready { connection, .. } => format!("ready by {}", connection.tenant),
        }
    }
}

fn spec(suspend: bool) -> Value {
    json!({
        "domain": "acme.auth0.com", "credentials": {"tokenSecretRef": {"name": "s", "key": "token"}},
        "rateLimit": {"maxRequestsPerSecond": 10, "reservePercent": 20}, "verification": "After", "mode": "Remove",
        "brake": {"maxRemovals": 1000, "window": "1h", "maxShareOfOrganization": 25},
        "protected": {"userIds": [], "roleIds": [], "organizationIds": [], "keepHolders": []}, "suspend": suspend,
    })
}

fn people() -> Value {
    json!({"allowedNamespaces": {"matchLabels": {"team": "people"}}})
}

const CLUSTER: TenantKind = TenantKind::ClusterAuth0Tenant;
const LOCAL: TenantKind = TenantKind::Auth0Tenant;

#[track_caller]
fn assert_begins(found: &str, expected: &str) {
    assert!(found.starts_with(expected), "{found}");
}

#[test]
fn what_keeps_a_removal_from_a_cluster_tenant_is_said_in_this_order() {
    let mut rig = Rig::new();
    assert_eq!(rig.sees(CLUSTER, "a"), "missing");
    rig.cluster_tenant("1", true, people());
    assert_begins(&rig.sees(CLUSTER, "a"), "TenantNotReady: the operator has not heard of namespace a yet");
    rig.namespace("a", json!({"team": "other"}));
    assert_begins(&rig.sees(CLUSTER, "a"), "not allowed: ClusterAuth0Tenant default does not admit namespace a");
    rig.namespace("a", json!({"team": "people"}));
    assert_eq!(rig.sees(CLUSTER, "a"), "suspended");
    rig.cluster_tenant("2", false, people());
    // A Secret of that name in the namespace of the removal is none for it.
    rig.secret("a");
    let text = rig.sees(CLUSTER, "a");
    assert_begins(&text, "SecretNotFound: ");
    assert!(text.contains("in namespace operator;"), "{text}");
    rig.secret("operator");
    assert_eq!(rig.sees(CLUSTER, "a"), "ready by default");
    rig.cluster_tenant("3", false, json!({"allowedNamespaces": {"matchLabels": {"team": "people"}}, "future": 1}));
    assert_begins(&rig.sees(CLUSTER, "a"), "UnknownField: ");
    rig.namespace("a", Value::Null);
    assert_begins(&rig.sees(CLUSTER, "a"), "not allowed: ");
}

#[test]
fn the_kind_of_the_reference_decides() {
    let mut rig = Rig::new();
    rig.namespace("a", json!({"team": "people"}));
    rig.secret("a");
    rig.local_tenant("a");
    assert_eq!((rig.sees(LOCAL, "a").as_str(), rig.sees(CLUSTER, "a").as_str()), ("ready by a/default", "missing"));
    rig.secret("operator");
    rig.cluster_tenant("1", false, people());
    assert_eq!(rig.sees(CLUSTER, "a"), "ready by default");
    assert_eq!(rig.sees(LOCAL, "a"), "ready by a/default");
    // An Auth0Tenant of another namespace, even of the operator's, is no tenant here.
    rig.local_tenant("operator");
    assert_eq!(rig.sees(LOCAL, "b"), "missing");
    let in_operator = [
        TenantKey { namespace: None, name: "default".into() },
        TenantKey { namespace: Some("operator".into()), name: "default".into() },
    ];
    let mut using = rig.tenants.using_secret("operator", "s");
    using.sort();
    assert_eq!(using, in_operator);
    assert_eq!(rig.tenants.cluster_scoped(), in_operator[..1]);
    assert_eq!(rig.tenants.with_secrets_in(Some("a")).len(), 1);
    assert_eq!(rig.tenants.with_secrets_in(None).len(), 3);
    assert_eq!(rig.tenants.retain().domains.len(), 1);
}

#[test]
fn a_kind_that_cannot_be_served_says_why() {
    let mut rig = Rig::new();
    rig.namespace("a", json!({"team": "people"}));
    rig.secret("operator");
    rig.secret("a");
    rig.local_tenant("a");
    rig.cluster_tenant("1", false, people());
    let key = TenantKey { namespace: None, name: "default".into() };
    let tenant = rig.tenants.get(&key).unwrap();
    let refused = || Listing::Failing("not allowed".to_owned());
    for (tenants, namespaces, expected) in [
        (Listing::NotYet, Listing::Complete, "the operator has not read ClusterAuth0Tenants yet"),
        (Listing::Complete, Listing::NotYet, "the operator has not read the namespaces yet"),
        (refused(), Listing::Complete, "the operator cannot read ClusterAuth0Tenants (not allowed)"),
        (Listing::Complete, refused(), "the operator cannot read the namespaces (not allowed)"),
    ] {
        rig.tenants_listing.send_replace(tenants.clone());
        rig.namespaces_listing.send_replace(namespaces.clone());
        assert_eq!(rig.sees(CLUSTER, "a"), format!("TenantNotReady: {expected}"));
        assert_eq!(rig.sees(LOCAL, "a"), "ready by a/default");
        // While a list is read its tenants keep their statuses.
        let is_brief = [tenants, namespaces].contains(&Listing::NotYet);
        assert_eq!(matches!(rig.tenants.usable(&key, &*tenant), Usable::NotKnown), is_brief);
    }
    rig.tenants.not_serving_cluster("it watches single namespaces (--watch-namespaces)");
    assert_begins(
        &rig.sees(CLUSTER, "a"),
        "TenantNotReady: this operator does not serve ClusterAuth0Tenant: it watches",
    );
    assert_eq!(rig.sees(LOCAL, "a"), "ready by a/default");
}

/// What was found out about a connection goes with the last tenant that has it.
#[test]
fn a_rejection_is_forgotten_with_its_tenant() {
    let mut rig = Rig::new();
    rig.secret("a");
    rig.local_tenant("a");
    let key = TenantKey { namespace: Some("a".into()), name: "default".into() };
    let tenant = rig.tenants.get(&key).unwrap();
    let Usable::Yes(connection, _) = rig.tenants.usable(&key, &*tenant) else { panic!("it is usable") };
    assert!(rig.tenants.credential_rejected(connection.key, "401".into()));
    rig.tenants.call_ended(connection.key, None);
    rig.tenants.retain();
    assert!(matches!(rig.tenants.usable(&key, &*tenant), Usable::No(_)) && rig.tenants.has_succeeded(connection.key));
    let object: Auth0Tenant = serde_json::from_value(json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "Auth0Tenant", "spec": spec(false),
        "metadata": {"name": "default", "namespace": "a"},
    }))
    .unwrap();
    rig.local.apply_watcher_event(&Event::Delete(object));
    assert!(rig.tenants.retain().connections.is_empty());
    assert!(!rig.tenants.has_succeeded(connection.key));
    rig.local_tenant("a");
    assert!(matches!(rig.tenants.usable(&key, &*tenant), Usable::Yes(..)));
}
