//! What people and other programs do to a world while the operator works in it.

use std::sync::Arc;

use fastrand::Rng;
use jiff::Timestamp;
use rescind::auth0::{Endpoint, Item};
use serde_json::{Value, json};

use crate::auth0::{Millis, Tenant, Token};
use crate::begin::{DOMAINS, object, organization, removal, role, secret, user};
use crate::cluster::{Key, Object};
use crate::plan::{Edit, all_scopes};
use crate::restraints::{is_continuous, is_refused};
use crate::versions::{NEXT_FIELD, UNKNOWN_FIELD};
use crate::wishes;
use crate::world::World;

/// Everybody who changes something, in Kubernetes or in Auth0.
pub struct People {
    world: Arc<World>,
    rng: Rng,
    /// The number of the youngest token.
    next_token: u64,
    /// The number in the uid of the youngest object that was created again.
    names: usize,
}

impl People {
    pub const fn new(world: Arc<World>, rng: Rng) -> Self {
        Self { world, rng, next_token: 10, names: 1000 }
    }

    pub fn create(&mut self, n: usize) {
        let (at, world) = (self.world.now(), self.world.clone());
        let (key, made) = removal(&world.plan, &mut self.rng, n, (at, world.wall()));
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
        if inner.tells {
            println!("{at} {}/{} is created: {:?} {}", key.1, key.2, made.target, made.spec);
        }
        inner.cluster.change(at, &key, true, |_| Some(made));
        drop(inner);
    }

    fn removals(&self) -> Vec<Key> {
        let is_removal = |key: &&Key| !matches!(key.0, "auth0tenants" | "secrets");
        self.world.inner().cluster.now.keys().filter(is_removal).cloned().collect()
    }

    fn waits(&self, key: &Key) -> bool {
        let inner = self.world.inner();
        inner.cluster.now[key].ready().is_none_or(|(status, _)| status != "True")
    }

    fn tenants(&self) -> Vec<Key> {
        self.world.inner().cluster.now.keys().filter(|key| key.0 == "auth0tenants").cloned().collect()
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

    /// Changes a spec, unless the API server refuses that.
    fn wish(&mut self, key: &Key, wish: impl FnOnce(&mut Rng, Timestamp, &mut Value)) {
        let before = self.world.inner().cluster.now[key].clone();
        let mut spec = before.spec.clone();
        wish(&mut self.rng, self.world.wall(), &mut spec);
        if key.0 != "auth0tenants" && is_refused(&before, &spec) {
            return self.world.inner().coverage.count("api", "edit refused");
        }
        if spec != before.spec {
            self.change(key, true, |object| object.spec = spec);
        }
    }

    fn fresh_token(&mut self) -> u64 {
        self.next_token += 1;
        let number = self.next_token.min(crate::world::TOKENS - 1);
        for auth0 in self.world.inner().auth0.values_mut() {
            auth0.tokens.insert(number, Token { valid: true, scopes: all_scopes() });
        }
        number
    }

    pub fn edit(&mut self, edit: Edit) {
        let (removals, tenants) = (self.removals(), self.tenants());
        let Some(mut key) = removals.get(self.rng.usize(..removals.len().max(1))).cloned() else { return };
        // Half of the edits hit an object that waits, if there is one.
        let waiting: Vec<_> = removals.into_iter().filter(|key| self.waits(key)).collect();
        if self.rng.bool() && !waiting.is_empty() {
            key = waiting[self.rng.usize(..waiting.len())].clone();
        }
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
            Edit::UnknownField => self.change(&key, true, |object| object.spec[UNKNOWN_FIELD] = json!(true)),
            Edit::NextField => self.change(&key, true, |object| object.spec[NEXT_FIELD] = json!(true)),
            Edit::KnownAgain => self.change(&key, true, known_again),
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
            Edit::ChangeMode => self.wish(&key, |_, _, spec| wishes::other_mode(spec)),
            Edit::ChangePolicy => self.wish(&key, |rng, _, spec| wishes::other_policy(rng, spec)),
            Edit::ChangeTimes => self.wish(&key, wishes::other_times),
            Edit::ChangeHold => self.wish(&key, wishes::other_hold),
            Edit::ChangeOwnVerification => self.wish(&key, |rng, _, spec| wishes::other_verification(rng, spec)),
            Edit::ChangeTenantMode => self.wish(&tenant, |_, _, spec| wishes::other_mode(spec)),
            Edit::ChangeTenantHold => self.wish(&tenant, wishes::other_hold),
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
        // With another credential the operator may start again.
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

    /// Others give back what objects of policy Continuous name.
    pub fn drift(&mut self) {
        for key in self.removals() {
            let is_watched = is_continuous(&self.world.inner().cluster.now[&key]);
            if is_watched && self.rng.bool() {
                self.world.inner().coverage.count("drift", "drift");
                self.give_back(&key);
            }
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

    /// From here on nothing goes wrong, and what was suspended goes on.
    pub fn calm(&mut self) {
        self.world.inner().is_calm = true;
        for key in self.removals() {
            let object = self.world.inner().cluster.now[&key].clone();
            let is_known = [UNKNOWN_FIELD, NEXT_FIELD].iter().all(|field| object.spec.get(field).is_none());
            if object.is_suspended() || !is_known {
                self.change(&key, true, |object| {
                    object.spec["suspend"] = json!(false);
                    known_again(object);
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

/// Every version knows all fields of the spec.
fn known_again(object: &mut Object) {
    for field in [UNKNOWN_FIELD, NEXT_FIELD] {
        object.spec.as_object_mut().unwrap().remove(field);
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

/// Another version finished the object, and its status lacks the fields of this one.
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
    object.finished_for_good = true;
    object.has_ended = false;
}
