use std::time::Instant;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::api::{Auth0TenantSpec, UserPermissionRevocationSpec, UserRoleRevocation, UserRoleRevocationSpec};

const USER: &str = "auth0|5f7c8ec7c33c6c004bbafe82";

/// The fields that the schema fills in for every removal.
fn defaults() -> Value {
    json!({
        "tenantRef": {"kind": "Auth0Tenant", "name": "default"},
        "policy": "Once",
        "mode": "Remove",
        "ifNotFound": "Fail",
        "suspend": false,
    })
}

fn with(mut spec: Value, more: Value) -> Value {
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn permissions(more: Value) -> Value {
    let permission =
        |name: &str| json!({"resourceServerIdentifier": "https://api.example.com/", "permissionName": name});
    let target = json!({"userId": USER, "permissions": [permission("a"), permission("b"), permission("c")]});
    with(with(target, defaults()), more)
}

fn tenant(more: Value) -> Value {
    let spec = json!({
        "domain": "acme.eu.auth0.com",
        "credentials": {"tokenSecretRef": {"name": "auth0-management", "key": "token"}},
        "rateLimit": {"maxRequestsPerSecond": 10, "reservePercent": 20},
        "verification": "After",
        "mode": "Remove",
        "brake": {"maxRemovals": 1000, "window": "1h", "maxShareOfOrganization": 25},
        "protected": {"userIds": [], "roleIds": [], "organizationIds": [], "keepHolders": []},
        "suspend": false,
    });
    with(spec, more)
}

fn unknown_of(spec: &Value) -> Vec<String> {
    serde_json::from_value::<UserPermissionRevocationSpec>(spec.clone()).expect("readable").options.unknown
}

fn unknown_of_tenant(spec: &Value) -> Vec<String> {
    serde_json::from_value::<Auth0TenantSpec>(spec.clone()).expect("readable").tenant.unknown
}

#[test]
fn what_this_version_does_not_know_is_named() {
    assert_eq!(unknown_of(&permissions(json!({}))), Vec::<String>::new());
    let hold = json!({"until": "2026-12-24T00:00:00Z", "reason": "handover", "foo": {"bar": 1}});
    let reference = json!({"kind": "Auth0Tenant", "name": "default", "namespace": "other"});
    for (more, finding) in [
        (json!({"foo": null}), "spec.foo"),
        (json!({"unknown": []}), "spec.unknown"),
        (json!({"tenantRef": reference}), "spec.tenantRef.namespace"),
        (json!({"hold": hold}), "spec.hold.foo"),
        (json!({"mode": "Foo"}), "spec.mode: Foo"),
        (json!({"tenantRef": {"kind": "Foo", "name": "default"}}), "spec.tenantRef.kind: Foo"),
        (json!({"verification": "Twice"}), "spec.verification: Twice"),
    ] {
        assert_eq!(unknown_of(&permissions(more)), [finding]);
    }
    let mut nested = permissions(json!({}));
    nested["permissions"][2]["foo"] = json!([1]);
    assert_eq!(unknown_of(&nested), ["spec.permissions[2].foo"]);
    let spec: UserPermissionRevocationSpec = serde_json::from_value(nested).unwrap();
    assert_eq!((spec.permissions.len(), spec.options.unknown), (3, vec!["spec.permissions[2].foo".to_owned()]));

    assert_eq!(unknown_of_tenant(&tenant(json!({}))), Vec::<String>::new());
    let mut brake = tenant(json!({}));
    brake["brake"]["x"] = json!(1);
    assert_eq!(unknown_of_tenant(&brake), ["spec.brake.x"]);
    let mut holders = tenant(json!({}));
    holders["protected"]["keepHolders"] = json!([{"roleId": "rol_bN1a2b3c4d5e6f7g", "atLeast": 2, "x": 1}]);
    assert_eq!(unknown_of_tenant(&holders), ["spec.protected.keepHolders[0].x"]);
}

/// An older CRD prunes fields at every read: defaults that the API server always fills in are then missing.
#[test]
fn a_missing_default_is_named() {
    for name in defaults().as_object().unwrap().keys() {
        let mut spec = permissions(json!({}));
        spec.as_object_mut().unwrap().remove(name);
        assert_eq!(unknown_of(&spec), [format!("spec.{name} (missing: the CRD is older than this version)")]);
    }
    for (parent, name) in
        [("", "mode"), ("", "brake"), ("", "protected"), ("/brake", "window"), ("/protected", "userIds")]
    {
        let mut spec = tenant(json!({}));
        spec.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        let place = format!("spec{}.{name}", parent.replace('/', "."));
        assert_eq!(unknown_of_tenant(&spec), [format!("{place} (missing: the CRD is older than this version)")]);
    }
    let bare = json!({"userId": USER, "roles": ["rol_bN1a2b3c4d5e6f7g"]});
    let spec: UserRoleRevocationSpec = serde_json::from_value(bare).unwrap();
    assert_eq!(spec.options.unknown.len(), defaults().as_object().unwrap().len());
}

#[test]
fn a_wrong_type_cannot_be_read() {
    for (name, value) in
        [("mode", json!(7)), ("mode", json!(null)), ("tenantRef", json!("default")), ("hold", json!({"until": 1}))]
    {
        let spec = permissions(json!({ name: value }));
        assert!(serde_json::from_value::<UserPermissionRevocationSpec>(spec.clone()).is_err(), "{spec}");
    }
    assert!(serde_json::from_value::<UserPermissionRevocationSpec>(json!([])).is_err());
}

/// However many unknown fields a spec has, decoding it and reporting them stays cheap.
#[test]
fn findings_are_bounded() {
    let many: Map<String, Value> = (0..500).map(|i| (format!("{i}{}", "ü".repeat(500)), json!(1))).collect();
    let found = unknown_of(&permissions(many.into()));
    assert_eq!(found.len(), MAX_FINDINGS);
    assert!(found.iter().all(|finding| finding.chars().count() <= "spec.".len() + MAX_NAME), "{found:?}");
}

/// The walk runs at every event of every object: `cargo test --release --lib the_walk -- --nocapture` says what it
/// costs.
#[test]
#[expect(clippy::print_stderr, reason = "prints its figure")]
fn the_walk_is_cheap() {
    let schema = Schema::of_spec(&<UserRoleRevocation as kube::CustomResourceExt>::crd());
    let spec = with(json!({"userId": USER, "roles": ["rol_bN1a2b3c4d5e6f7g"]}), defaults());
    let mut specs = vec![spec; 10_000];
    let started = Instant::now();
    let mut findings = Vec::new();
    for spec in &mut specs {
        schema.strip(&Path::Root, spec, &mut findings);
    }
    let walk = started.elapsed() / 10_000;
    assert!(findings.is_empty());
    let typed = |spec| serde_json::from_value::<UserRoleRevocationSpec>(spec).unwrap();
    let started = Instant::now();
    let decoded: Vec<_> = specs.into_iter().map(typed).collect();
    eprintln!("{walk:?} a walk, {:?} a decode with a walk", started.elapsed() / 10_000);
    assert!(decoded.len() == 10_000);
}

fn text() -> impl Strategy<Value = String> {
    "[ -~ü]{0,20}"
}

prop_compose! {
    fn known()(
        user in text(),
        roles in proptest::collection::vec(text(), 0..4),
        tenant in text(),
        cluster in any::<bool>(),
        continuous in any::<bool>(),
        observe in any::<bool>(),
        ignore in any::<bool>(),
        suspend in any::<bool>(),
        verification in proptest::option::of(proptest::sample::select(vec!["Never", "After", "BeforeAndAfter"])),
        texts in proptest::collection::vec(proptest::option::of(text()), 3),
        hold in proptest::option::of((text(), text())),
    ) -> Value {
        let mut spec = json!({
            "userId": user,
            "roles": roles,
            "tenantRef": {"kind": if cluster { "ClusterAuth0Tenant" } else { "Auth0Tenant" }, "name": tenant},
            "policy": if continuous { "Continuous" } else { "Once" },
            "mode": if observe { "Observe" } else { "Remove" },
            "ifNotFound": if ignore { "Ignore" } else { "Fail" },
            "suspend": suspend,
        });
        let mut set = |name: &str, value: Option<Value>| if let Some(value) = value { spec[name] = value; };
        set("verification", verification.map(Value::from));
        for (name, text) in ["interval", "notBefore", "notAfter"].into_iter().zip(texts) {
            set(name, text.map(Value::from));
        }
        set("hold", hold.map(|(until, reason)| json!({"until": until, "reason": reason})));
        spec
    }
}

proptest! {
    /// Known fields are kept as they were written, and yield no findings.
    #[test]
    fn known_fields_round_trip(spec in known()) {
        let typed: UserRoleRevocationSpec = serde_json::from_value(spec.clone()).unwrap();
        prop_assert_eq!(&typed.options.unknown, &Vec::<String>::new());
        prop_assert_eq!(serde_json::to_value(&typed).unwrap(), spec);
    }

    /// A foreign field is named, and changes nothing in how the known fields are read.
    #[test]
    fn a_foreign_field_changes_nothing_else(spec in known(), name in "[a-z]{1,8}", into in any::<bool>()) {
        let pure: UserRoleRevocationSpec = serde_json::from_value(spec.clone()).unwrap();
        let mut foreign = spec;
        let place = if into { &mut foreign["tenantRef"] } else { &mut foreign };
        prop_assume!(place.get(&name).is_none() && !["interval", "verification", "hold"].contains(&name.as_str()));
        place[&name] = json!({"any": ["thing"]});
        let mut read: UserRoleRevocationSpec = serde_json::from_value(foreign).unwrap();
        prop_assert_eq!(std::mem::take(&mut read.options.unknown).len(), 1);
        prop_assert_eq!(read, pure);
    }
}
