//! What a world begins with: its ids, Auth0, the tenants and their Secrets, and the objects that people create.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;

use base64::Engine as _;
use fastrand::Rng;
use jiff::Timestamp;
use rescind::auth0::{Endpoint, Item};
use serde_json::{Value, json};

use crate::auth0::{Millis, Tenant, Token};
use crate::cluster::{Cluster, Key, Object};
use crate::plan::{Plan, all_scopes};
use crate::restraints::is_refused;
use crate::wishes;

pub const DOMAINS: [&str; 2] = ["one.test", "two.test"];

/// The number of an organization that never existed.
pub const UNKNOWN_ORGANIZATION: usize = 2;

pub fn user(n: usize) -> String {
    format!("auth0|5f7c8ec7c33c6c004bbafe{n:02}")
}

pub fn organization(n: usize) -> String {
    format!("org_9ybsU1dN2dKfDk{n:02}")
}

pub fn role(n: usize) -> String {
    format!("rol_bN1a2b3c4d5e6f{n:02}")
}

pub fn secret(token: u64) -> Value {
    json!({ "token": base64::engine::general_purpose::STANDARD.encode(format!("e30.e30.{token}")) })
}

/// A spec as the API server stores it: with the defaults of its schema.
pub fn defaulted(plural: &str, spec: Value) -> Value {
    static SCHEMAS: OnceLock<HashMap<String, Value>> = OnceLock::new();
    let schemas = SCHEMAS.get_or_init(|| {
        let schema = |crd: rescind::api::Crd| {
            let schema = serde_json::to_value(&crd.definition.spec.versions[0].schema).unwrap();
            (crd.definition.spec.names.plural, schema["openAPIV3Schema"]["properties"]["spec"].clone())
        };
        rescind::api::crds().into_iter().map(schema).collect()
    });
    let mut spec = spec;
    fill(&schemas[plural], &mut spec);
    spec
}

fn fill(schema: &Value, value: &mut Value) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if value.get(name).is_none()
            && let Some(default) = property.get("default")
        {
            value[name] = default.clone();
        }
        if let Some(inner) = value.get_mut(name).filter(|inner| inner.is_object()) {
            fill(property, inner);
        }
    }
}

pub fn object(kind: &'static str, uid: String, spec: Value, at: Millis) -> Object {
    Object {
        kind,
        uid,
        generation: 1,
        version: 0,
        created: at,
        labels: json!({ "rescind.dev/credentials": "true" }),
        asked: None,
        spec,
        status: json!({ "observedGeneration": -1 }),
        target: None,
        finished_for: None,
        finished_for_good: false,
        edited: at,
        has_ended: false,
    }
}

/// Auth0, the tenant objects and their Secrets. The removals come later.
pub fn begin(plan: &Plan) -> (Cluster, BTreeMap<String, Tenant>) {
    let mut cluster = Cluster::default();
    let mut auth0 = BTreeMap::new();
    for domain in DOMAINS {
        let mut tenant = Tenant::new(domain, plan);
        tenant.users = (0..6).map(user).collect();
        tenant.organizations = (0..UNKNOWN_ORGANIZATION).map(organization).collect();
        tenant.roles = (0..4).map(role).collect();
        tenant.apis = ["https://api.test/".to_owned()].into();
        for token in 1..4 {
            tenant.tokens.insert(token, Token { valid: true, scopes: all_scopes() });
        }
        auth0.insert(domain.to_owned(), tenant);
    }
    for n in 0..plan.namespaces {
        let namespace = format!("ns{n}");
        // Two namespaces share a token of one domain, a third has another of the same; the other domain has its own.
        let tokens = [("default", 0, if n == 2 { 2 } else { 1 }), ("second", 0, 2), ("other", 1, 3)];
        for (name, domain, token) in tokens {
            let spec = json!({
                "domain": DOMAINS[domain],
                "credentials": { "tokenSecretRef": { "name": name, "key": "token" } },
                "rateLimit": { "maxRequestsPerSecond": plan.max_per_second, "reservePercent": plan.reserve },
                "verification": if plan.before_and_after { "BeforeAndAfter" } else { "After" },
            });
            let spec = defaulted("auth0tenants", spec);
            let key = ("auth0tenants", namespace.clone(), name.to_owned());
            let uid = format!("tenant-{namespace}-{name}");
            cluster.change(0, &key, true, |_| Some(object("Auth0Tenant", uid, spec, 0)));
            let key = ("secrets", namespace.clone(), name.to_owned());
            let uid = format!("secret-{namespace}-{name}");
            cluster.change(0, &key, true, |_| Some(object("Secret", uid, secret(token), 0)));
        }
    }
    (cluster, auth0)
}

/// The removal that somebody creates as object number `n`.
pub fn removal(plan: &Plan, rng: &mut Rng, n: usize, (at, wall): (Millis, Timestamp)) -> (Key, Object) {
    let who = rng.usize(..7);
    let where_to = if rng.u8(..5) == 0 { UNKNOWN_ORGANIZATION } else { rng.usize(..2) };
    let roles: Vec<String> =
        (0..rng.usize(1..4)).map(|_| role(rng.usize(..5))).collect::<BTreeSet<_>>().into_iter().collect();
    let ids = |ids: &[String]| ids.iter().map(|id| Item::Id(id.as_str().into())).collect::<Vec<_>>();
    let (plural, kind, spec, target) = match rng.u8(..8) {
        0 => {
            let api = if rng.u8(..5) == 0 { "https://unknown.test/" } else { "https://api.test/" };
            let spec = json!({
                "userId": user(who),
                "permissions": [{ "resourceServerIdentifier": api, "permissionName": "read:x" }],
            });
            let item = Item::Permission { resource_server: api.into(), name: "read:x".into() };
            let endpoint = Endpoint::UserPermissions { user: user(who).into() };
            ("userpermissionrevocations", "UserPermissionRevocation", spec, (endpoint, vec![item]))
        }
        1 | 2 => {
            let endpoint = Endpoint::UserRoles { user: user(who).into() };
            let spec = json!({ "userId": user(who), "roles": roles });
            ("userrolerevocations", "UserRoleRevocation", spec, (endpoint, ids(&roles)))
        }
        3 => {
            let (organization, user) = (organization(where_to), user(who));
            let endpoint = Endpoint::OrganizationMemberRoles {
                organization: organization.as_str().into(),
                user: user.as_str().into(),
            };
            let spec = json!({ "organizationId": organization, "userId": user, "roles": roles });
            ("orgmemberroleremovals", "OrgMemberRoleRemoval", spec, (endpoint, ids(&roles)))
        }
        _ => {
            let members: BTreeSet<String> = (0..rng.usize(1..4)).map(|_| user(rng.usize(..7))).collect();
            let members: Vec<String> = members.into_iter().collect();
            let endpoint = Endpoint::OrganizationMembers { organization: organization(where_to).into() };
            let spec = json!({ "organizationId": organization(where_to), "members": members });
            ("orgmembershipremovals", "OrgMembershipRemoval", spec, (endpoint, ids(&members)))
        }
    };
    let mut spec = defaulted(plural, spec);
    let tenant = ["default", "default", "default", "second", "other"][rng.usize(..5)];
    spec["tenantRef"]["name"] = json!(tenant);
    if rng.u8(..6) == 0 {
        spec["ifNotFound"] = json!("Ignore");
    }
    wishes::at_creation(rng, wall, &mut spec);
    let namespace = format!("ns{}", rng.usize(..plan.namespaces));
    let key = (plural, namespace, format!("o{n}"));
    let mut made = object(kind, format!("uid-{n}"), spec, at);
    if is_refused(&made, &made.spec) {
        made.spec.as_object_mut().unwrap().remove("notBefore");
    }
    made.target = Some(target);
    (key, made)
}
