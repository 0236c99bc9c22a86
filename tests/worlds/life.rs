//! How a world begins, what people do in it, and when it is over.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use fastrand::Rng;
use rescind::auth0::{Endpoint, Item};
use serde_json::{Value, json};

use crate::auth0::{Millis, Tenant, Token};
use crate::cluster::{Cluster, Key, Object};
use crate::coverage::Coverage;
use crate::operator::Operator;
use crate::plan::{Edit, Plan, all_scopes};
use crate::world::World;

const DOMAINS: [&str; 2] = ["one.test", "two.test"];
/// When everything went right again, verdicts may take this long.
const VERDICTS: Millis = 3 * 3_600_000;
/// And then nothing happens for this long.
const QUIET: Millis = 50 * 60_000;

pub fn user(n: usize) -> String {
    format!("auth0|5f7c8ec7c33c6c004bbafe{n:02}")
}

pub fn organization(n: usize) -> String {
    format!("org_9ybsU1dN2dKfDk{n:02}")
}

pub fn role(n: usize) -> String {
    format!("rol_bN1a2b3c4d5e6f{n:02}")
}

fn secret(token: u64) -> Value {
    json!({ "token": base64::engine::general_purpose::STANDARD.encode(format!("token-{token}")) })
}

/// What the API server makes of an object: its schema's defaults are filled in.
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
        edited: at,
    }
}

/// Auth0 and the tenants; the objects come later.
pub fn begin(plan: &Plan, rng: &mut Rng) -> (Cluster, BTreeMap<String, Tenant>) {
    let mut cluster = Cluster::default();
    let mut auth0 = BTreeMap::new();
    for domain in DOMAINS {
        let mut tenant = Tenant::new(domain, plan);
        tenant.users = (0..6).map(user).collect();
        tenant.organizations = (0..2).map(organization).collect();
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
    let _ = rng;
    (cluster, auth0)
}

/// A removal that somebody creates.
fn removal(plan: &Plan, rng: &mut Rng, n: usize, at: Millis) -> (Key, Object) {
    let who = rng.usize(..7);
    let where_to = if rng.u8(..5) == 0 { 2 } else { rng.usize(..2) };
    let roles: Vec<String> = (0..rng.usize(1..4))
        .map(|_| role(rng.usize(..5)))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
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
            let members: std::collections::BTreeSet<String> =
                (0..rng.usize(1..4)).map(|_| user(rng.usize(..7))).collect();
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
    let namespace = format!("ns{}", rng.usize(..plan.namespaces));
    let key = (plural, namespace, format!("o{n}"));
    let mut made = object(kind, format!("uid-{n}"), spec, at);
    made.target = Some(target);
    (key, made)
}

/// Lives through a world; what it broke, and what happened.
pub async fn live(plan: Plan) -> (Vec<String>, Coverage) {
    let world = World::new(plan.clone(), None, begin);
    let mut rng = Rng::with_seed(plan.seed ^ 0xabcd);
    let mut arrivals: Vec<(Millis, usize)> = (0..plan.objects).map(|n| (rng.u64(0..=plan.arrivals), n)).collect();
    arrivals.sort_unstable();
    let mut agenda: Vec<(Millis, Deed)> = arrivals.into_iter().map(|(at, n)| (at, Deed::Create(n))).collect();
    agenda.extend(plan.edits.iter().map(|(at, edit)| (*at, Deed::Edit(*edit))));
    agenda.extend(plan.crashes.iter().map(|at| (*at, Deed::Crash)));
    agenda.push((plan.calm, Deed::Calm));
    agenda.sort_by_key(|(at, _)| *at);
    agenda.reverse();
    let mut people = People { world: world.clone(), rng, next_token: 10, names: 1000 };
    let mut operator = Operator::start(&world);
    let end = plan.calm + VERDICTS;
    let mut quiet_since: Option<(Millis, u64, u64)> = None;
    loop {
        let now = world.now();
        while agenda.last().is_some_and(|(at, _)| *at <= now) {
            match agenda.pop().unwrap().1 {
                Deed::Create(n) => people.create(n),
                Deed::Edit(edit) => people.edit(edit),
                Deed::Calm => people.calm(),
                Deed::Crash => {
                    world.inner().coverage.count("crash", "crash");
                    world.inner().books.crashed(now);
                    std::mem::replace(&mut operator, Operator::start(&world)).crash();
                }
            }
        }
        let fed = operator.feed();
        if agenda.is_empty() && fed.is_none() {
            let counts = people.counts();
            match quiet_since {
                None if people.unsettled().is_empty() => quiet_since = Some((now, counts.0, counts.1)),
                None => {}
                Some((since, calls, writes)) if now >= since + QUIET => {
                    if counts != (calls, writes) && !people.has_late_looks() {
                        world.violated(9, &format!("not silent: {calls}, {writes} became {counts:?}"));
                    }
                    break;
                }
                Some(_) => {}
            }
            if now > end {
                let unsettled = people.unsettled().join("; ");
                world.violated(9, &format!("no verdict: {unsettled}"));
                break;
            }
        }
        let next = agenda.last().map(|(at, _)| *at).into_iter().chain(fed).min().unwrap_or(now + 60_000).max(now + 1);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(next - now)) => {}
            () = world.written.notified() => {}
        }
        if !world.inner().books.violations.is_empty() {
            break;
        }
    }
    operator.crash();
    let inner = world.inner();
    (inner.books.violations.clone(), inner.coverage.clone())
}

enum Deed {
    Create(usize),
    Edit(Edit),
    Crash,
    Calm,
}

struct People {
    world: Arc<World>,
    rng: Rng,
    next_token: u64,
    names: usize,
}

impl People {
    fn create(&mut self, n: usize) {
        let (at, world) = (self.world.now(), self.world.clone());
        let (key, made) = removal(&world.plan, &mut self.rng, n, at);
        let mut inner = world.inner();
        let target = made.target.clone().unwrap();
        let domain = DOMAINS[usize::from(made.tenant() == "other")];
        let auth0 = inner.auth0.get_mut(domain).unwrap();
        for item in &target.1 {
            if self.rng.u8(..4) > 0 {
                give(auth0, &target.0, item, at);
            }
            if self.rng.u64(..100) < world.plan.sticky {
                auth0.sticky.insert((target.0.clone(), item.clone()));
            }
        }
        inner.cluster.change(at, &key, true, |_| Some(made));
        drop(inner);
    }

    fn removals(&self) -> Vec<Key> {
        let is_removal = |key: &&Key| !matches!(key.0, "auth0tenants" | "secrets");
        self.world.inner().cluster.now.keys().filter(is_removal).cloned().collect()
    }

    fn tenants(&self) -> Vec<Key> {
        self.world.inner().cluster.now.keys().filter(|key| key.0 == "auth0tenants").cloned().collect()
    }

    /// Calls and writes so far.
    fn counts(&self) -> (u64, u64) {
        let inner = self.world.inner();
        (inner.auth0.values().map(|auth0| auth0.log.calls).sum(), inner.writes)
    }

    /// Objects that still wait for something.
    fn unsettled(&self) -> Vec<String> {
        let inner = self.world.inner();
        let waits = inner.cluster.now.iter().filter(|(key, _)| !matches!(key.0, "auth0tenants" | "secrets"));
        let waits = waits.filter(|(_, object)| {
            let current = object.status["observedGeneration"].as_i64() == Some(object.generation);
            let stalled = matches!(
                object.ready(),
                Some((_, "SubjectNotFound" | "ItemNotFound" | "StillPresent" | "InvalidRequest"))
            );
            let done = matches!(object.ready(), Some(("True", _)));
            let answered = object.status["lastHandledReconcileAt"].as_str() == object.asked.as_deref();
            !(current && answered && (done || stalled))
        });
        waits.map(|(key, object)| format!("{}/{} {:?}: {}", key.1, key.2, object.ready(), object.status)).collect()
    }

    fn has_late_looks(&self) -> bool {
        let inner = self.world.inner();
        inner.cluster.now.values().any(|object| matches!(object.ready(), Some((_, "StillPresent"))))
    }

    fn change(&self, key: &Key, spec: bool, change: impl FnOnce(&mut Object)) {
        let at = self.world.now();
        self.world.inner().cluster.change(at, key, spec, |object| {
            object.map(|mut object| {
                change(&mut object);
                object
            })
        });
    }

    fn fresh_token(&mut self) -> u64 {
        self.next_token += 1;
        let number = self.next_token.min(crate::world::TOKENS - 1);
        for auth0 in self.world.inner().auth0.values_mut() {
            auth0.tokens.insert(number, Token { valid: true, scopes: all_scopes() });
        }
        number
    }

    fn edit(&mut self, edit: Edit) {
        let (removals, tenants) = (self.removals(), self.tenants());
        let Some(key) = removals.get(self.rng.usize(..removals.len().max(1))).cloned() else { return };
        let tenant = tenants[self.rng.usize(..tenants.len())].clone();
        self.world.inner().coverage.count("edit", &format!("{edit:?}"));
        if self.world.inner().tells {
            println!("{} {edit:?} {key:?} or {tenant:?}", self.world.now());
        }
        match edit {
            Edit::Suspend => self.change(&key, true, |object| object.spec["suspend"] = json!(true)),
            Edit::Resume => self.change(&key, true, |object| object.spec["suspend"] = json!(false)),
            Edit::Delete => self.delete(&key),
            Edit::Recreate => self.recreate(&key),
            Edit::Retarget => {
                let name = ["default", "second", "other"][self.rng.usize(..3)];
                self.change(&key, true, |object| object.spec["tenantRef"]["name"] = json!(name));
            }
            Edit::Ask => {
                let asked = format!("{}", self.world.now());
                let at = self.world.now();
                self.change(&key, false, |object| (object.asked, object.edited) = (Some(asked), at));
            }
            Edit::UnknownField => self.change(&key, true, |object| object.spec["policy"] = json!("Continuous")),
            Edit::KnownAgain => self.change(&key, true, |object| object.spec["policy"] = json!("Once")),
            Edit::OtherIfNotFound => {
                self.change(&key, true, |object| {
                    let other = if object.spec["ifNotFound"] == "Fail" { "Ignore" } else { "Fail" };
                    object.spec["ifNotFound"] = json!(other);
                });
            }
            Edit::SuspendTenant => self.change(&tenant, true, |object| object.spec["suspend"] = json!(true)),
            Edit::ResumeTenant => self.change(&tenant, true, |object| object.spec["suspend"] = json!(false)),
            Edit::MoveTenant => self.change(&tenant, true, |object| object.spec["domain"] = json!(DOMAINS[1])),
            Edit::MoveTenantBack => self.change(&tenant, true, |object| object.spec["domain"] = json!(DOMAINS[0])),
            Edit::Rotate => {
                let token = self.fresh_token();
                self.rotate(&tenant, token);
            }
            Edit::Revoke => self.spoil(|token, _| token.valid = false),
            Edit::LoseScopes => self.spoil(|token, rng| {
                let keep = rng.u64(..);
                let mut n = 0;
                token.scopes.retain(|_| {
                    n += 1;
                    keep >> n & 1 == 1
                });
            }),
            Edit::ChangeLimits => {
                let rate = self.rng.u64(1..300);
                self.change(&tenant, true, |object| object.spec["rateLimit"]["maxRequestsPerSecond"] = json!(rate));
            }
            Edit::ChangeVerification => {
                let other = ["Never", "After", "BeforeAndAfter"][self.rng.usize(..3)];
                self.change(&tenant, true, |object| object.spec["verification"] = json!(other));
            }
            Edit::GiveBack => self.give_back(&key),
            Edit::DeleteUser | Edit::DeleteRole | Edit::DeleteOrganization => self.delete_in_auth0(edit),
            Edit::StrangersStatus => self.change(&key, false, |object| {
                object.status["fromTheFuture"] = json!({ "a": 1 });
                push_condition(
                    object,
                    json!({
                        "type": "FromOthers", "status": "True", "reason": "Theirs", "message": "",
                        "lastTransitionTime": "2027-01-15T08:00:00Z",
                    }),
                );
            }),
            Edit::OlderOperator => self.change(&key, false, |object| older(object, "AlreadyAbsent")),
            Edit::NewerOperator => self.change(&key, false, |object| older(object, "WordOfTheFuture")),
        }
    }

    fn delete(&self, key: &Key) {
        let at = self.world.now();
        self.world.inner().cluster.change(at, key, true, |_| None);
    }

    fn recreate(&mut self, key: &Key) {
        self.names += 1;
        let (at, uid) = (self.world.now(), format!("uid-{}", self.names));
        let before = self.world.inner().cluster.now.get(key).cloned();
        self.delete(key);
        let Some(before) = before else { return };
        let mut made = object(before.kind, uid, before.spec.clone(), at);
        made.target.clone_from(&before.target);
        self.world.inner().cluster.change(at, key, true, |_| Some(made));
    }

    fn rotate(&self, tenant: &Key, token: u64) {
        let key = ("secrets", tenant.1.clone(), tenant.2.clone());
        self.change(&key, true, |object| object.spec = secret(token));
        // Whoever has another credential may ask anew.
        let at = self.world.now();
        self.change(tenant, false, |object| object.edited = at);
    }

    fn spoil(&mut self, spoil: impl Fn(&mut Token, &mut Rng)) {
        let token = self.rng.u64(1..4);
        let mut inner = self.world.inner();
        for auth0 in inner.auth0.values_mut() {
            if let Some(token) = auth0.tokens.get_mut(&token) {
                spoil(token, &mut self.rng);
            }
        }
    }

    fn give_back(&self, key: &Key) {
        let at = self.world.now();
        let mut inner = self.world.inner();
        let Some(object) = inner.cluster.now.get(key).cloned() else { return };
        let Some((endpoint, items)) = &object.target else { return };
        for auth0 in inner.auth0.values_mut() {
            items.iter().for_each(|item| give(auth0, endpoint, item, at));
        }
    }

    fn delete_in_auth0(&mut self, edit: Edit) {
        let n = self.rng.usize(..4);
        for auth0 in self.world.inner().auth0.values_mut() {
            match edit {
                Edit::DeleteUser => auth0.users.remove(&user(n)),
                Edit::DeleteRole => auth0.roles.remove(&role(n)),
                _ => auth0.organizations.remove(&organization(n % 2)),
            };
        }
    }

    /// Nothing goes wrong any more, and everybody lets go on what they stopped.
    fn calm(&mut self) {
        self.world.inner().is_calm = true;
        for key in self.removals() {
            let object = self.world.inner().cluster.now[&key].clone();
            if object.is_suspended() || object.spec["policy"] != json!("Once") {
                self.change(&key, true, |object| {
                    object.spec["suspend"] = json!(false);
                    object.spec["policy"] = json!("Once");
                });
            }
        }
        for key in self.tenants() {
            if self.world.inner().cluster.now[&key].is_suspended() {
                self.change(&key, true, |object| object.spec["suspend"] = json!(false));
            }
            let token = self.fresh_token();
            self.rotate(&key, token);
        }
    }
}

fn give(auth0: &mut Tenant, endpoint: &Endpoint, item: &Item, at: Millis) {
    let known = match (endpoint, item) {
        (Endpoint::OrganizationMembers { organization }, Item::Id(user)) => {
            auth0.users.contains(&**user) && auth0.organizations.contains(&**organization)
        }
        (Endpoint::OrganizationMemberRoles { organization, user }, Item::Id(role)) => {
            let known = auth0.users.contains(&**user) && auth0.organizations.contains(&**organization);
            if known && auth0.roles.contains(&**role) {
                let members = Endpoint::OrganizationMembers { organization: organization.clone() };
                auth0.give(&members, &Item::Id(user.clone()), at);
            }
            known && auth0.roles.contains(&**role)
        }
        (Endpoint::UserRoles { user }, Item::Id(role)) => {
            auth0.users.contains(&**user) && auth0.roles.contains(&**role)
        }
        (Endpoint::UserPermissions { user }, Item::Permission { resource_server, .. }) => {
            auth0.users.contains(&**user) && auth0.apis.contains(&**resource_server)
        }
        _ => false,
    };
    if known {
        auth0.give(endpoint, item, at);
    }
}

fn push_condition(object: &mut Object, condition: Value) {
    match object.status.get_mut("conditions").and_then(Value::as_array_mut) {
        Some(conditions) => {
            conditions.retain(|other| other["type"] != condition["type"]);
            conditions.push(condition);
        }
        None => object.status["conditions"] = json!([condition]),
    }
}

/// Another version says that the object is done, without the words of this one.
fn older(object: &mut Object, reason: &str) {
    let generation = object.generation;
    object.status = json!({ "observedGeneration": generation });
    push_condition(
        object,
        json!({
            "type": "Ready", "status": "True", "reason": reason, "message": "", "observedGeneration": generation,
            "lastTransitionTime": "2027-01-15T08:00:00Z",
        }),
    );
    object.finished_for = Some(object.tenant().to_owned());
}
