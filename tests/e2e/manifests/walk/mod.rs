//! Every field of every kind through every value that its schema suggests, with the operator running: allowed values and
//! their limits, values that are refused, left out, changed, changed back. However an object came to its spec, the
//! operator's verdict is the same as on an object that was made so.

mod values;

use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::wait::await_condition;

use rescind::auth0::Timeouts;

use super::*;
use crate::stage::Stage;
use values::Field;

/// A time that no test reaches.
const FAR: &str = "2999-12-31T23:59:59Z";

/// One field of one kind, in one environment.
struct Walk<'a> {
    env: &'a Environment,
    kind: &'static Kind,
    field: Field<'a>,
}

/// The schema of the spec of this kind.
fn spec_schema(kind: &Kind) -> Value {
    let crds = rescind::api::crds();
    let crd = crds.iter().find(|crd| crd.definition.spec.names.kind == kind.name).unwrap();
    kubectl::schema(&crd.definition)["properties"]["spec"].clone()
}

impl Walk<'_> {
    fn user(&self, name: &str) -> String {
        format!("auth0|{}-{name}", self.kind.short)
    }

    fn is_tenant(&self) -> bool {
        self.kind.is_tenant()
    }

    /// A good spec with a user of its own, besides what the field needs to be allowed.
    fn base(&self, name: &str) -> Value {
        if self.is_tenant() {
            let mut spec = crate::fixtures::tenant_spec(&self.env.fake);
            if self.kind.name == CA0T.name {
                spec["allowedNamespaces"] = json!({"matchLabels": {"team": "nobody"}});
            }
            return spec;
        }
        let mut spec = (self.kind.good)();
        let user = self.user(name);
        match spec.get_mut("userId") {
            Some(id) => *id = json!(user),
            None => spec["members"] = json!([user]),
        }
        match self.field.name {
            "interval" => spec["policy"] = json!("Continuous"),
            "suspend" => spec["notBefore"] = json!(FAR),
            _ => {}
        }
        spec
    }

    /// The spec with this value of the field. A guarded removal does not act yet.
    fn spec(&self, name: &str, value: Option<&Value>, guarded: bool) -> Value {
        let mut spec = self.base(name);
        if guarded && !self.is_tenant() && self.field.name != "suspend" {
            spec["suspend"] = json!(true);
        }
        let fields = spec.as_object_mut().unwrap();
        match value {
            Some(value) => drop(fields.insert(self.field.name.to_owned(), value.clone())),
            None => drop(fields.remove(self.field.name)),
        }
        spec
    }

    async fn apply(&self, name: &str, spec: Value) -> Answer {
        let object = json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": self.kind.name, "metadata": {"name": name}, "spec": spec,
        });
        let path = self.env.path(self.kind, &format!("/{name}"));
        send(self.env, http::Method::PATCH, &path, "force=true&", &object).await
    }

    async fn set(&self, name: &str, value: Option<&Value>, guarded: bool) -> Value {
        let applied = self.apply(name, self.spec(name, value, guarded)).await;
        applied.unwrap_or_else(|status| panic!("{} {name}, {value:?}: {}", self.kind.name, status.message))
    }

    /// The object once the operator has judged its present generation.
    async fn judged(&self, name: &str) -> Value {
        let (group, version) = ("rescind.dev".to_owned(), "v1alpha1".to_owned());
        let (kind, plural) = (self.kind.name.to_owned(), self.kind.plural.to_owned());
        let resource = ApiResource { api_version: format!("{group}/{version}"), group, version, kind, plural };
        let client = self.env.client.clone();
        let api: Api<DynamicObject> = match self.kind.name == CA0T.name {
            true => Api::all_with(client, &resource),
            false => Api::namespaced_with(client, &self.env.namespace, &resource),
        };
        let is_judged = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| {
                let conditions = object.data["status"]["conditions"].as_array();
                let is_waiting = conditions.into_iter().flatten().any(|condition| condition["type"] == "Reconciling");
                let is_current = json!(object.metadata.generation) == object.data["status"]["observedGeneration"];
                is_current && (self.is_tenant() || !is_waiting)
            })
        };
        match tokio::time::timeout(PATIENCE, await_condition(api.clone(), name, is_judged)).await {
            Ok(found) => found.unwrap().unwrap().data,
            Err(_) => panic!("{} {name} was not judged: {:#?}", self.kind.name, api.get(name).await),
        }
    }

    /// Whether an object may have this value for a while and do so unnoticed. One of the past ends an object for good, and
    /// a tenant of the other kind does not exist.
    fn may_pass(&self, value: &Value) -> bool {
        self.field.name != "notAfter" || value == FAR
    }

    fn may_end(&self, value: &Value) -> bool {
        value["kind"] != "ClusterAuth0Tenant"
    }

    async fn run(&self) -> Vec<String> {
        let good = self.field.good();
        let mut failed = Vec::new();
        for (n, value) in good.iter().enumerate().filter(|(_, value)| self.may_end(value)) {
            let of = self.field.name.to_lowercase();
            let (direct, walked) = (format!("{of}-{n}-direct"), format!("{of}-{n}-walked"));
            self.set(&direct, Some(value), false).await;
            self.walk_to(&walked, value, &good, (n == 0).then_some(&mut failed)).await;
            let (first, second) = (self.judged(&direct).await, self.judged(&walked).await);
            let row = format!("{} {} {}", self.kind.name, self.field.name, short(value));
            if verdict(&first) != verdict(&second) {
                failed.push(format!("{row}: {} directly, {} after changes", verdict(&first), verdict(&second)));
            }
            failed.extend(self.walk_on(&direct, value, &good, &first).await.map(|why| format!("{row}: {why}")));
            failed.extend(self.deletes(&direct, &first).map(|why| format!("{row}, direct: {why}")));
            failed.extend(self.deletes(&walked, &second).map(|why| format!("{row}, after changes: {why}")));
        }
        failed
    }

    /// Brings an object to `value` by way of all others, and of what is refused.
    async fn walk_to(&self, name: &str, value: &Value, good: &[Value], refusals: Option<&mut Vec<String>>) {
        let passing: Vec<_> = good.iter().filter(|value| self.may_pass(value)).collect();
        let first = self.set(name, passing.last().copied(), true).await;
        if let Some(failed) = refusals {
            // Server-side apply takes an empty list for one that is left out, where it was not empty before.
            for bad in self.field.bad().into_iter().filter(|bad| bad.value != json!([])) {
                let answer = self.apply(name, self.spec(name, Some(&bad.value), true)).await;
                failed.extend(self.names(&bad.at, answer).map(|why| {
                    format!("{} {}{}, {}: {why}", self.kind.name, self.field.name, bad.at, short(&bad.value))
                }));
            }
            let after = self.set(name, passing.last().copied(), true).await;
            if after["metadata"]["generation"] != first["metadata"]["generation"] {
                failed.push(format!("{} {name}: what was refused changed it", self.kind.name));
            }
        }
        for other in passing {
            self.set(name, Some(other), true).await;
        }
        if !self.is_required() {
            self.set(name, None, true).await;
        }
        self.set(name, Some(value), self.may_pass(value)).await;
        self.set(name, Some(value), false).await;
    }

    /// Takes an object that was carried out through all values and back: nothing is done for it again.
    async fn walk_on(&self, name: &str, value: &Value, good: &[Value], before: &Value) -> Option<String> {
        if before["status"]["finished"]["mode"] != "Remove" || self.field.name == "tenantRef" {
            return None;
        }
        let is_time = ["notBefore", "notAfter"].contains(&self.field.name);
        for other in good.iter().map(Some).chain([None]).filter(|other| *other != Some(value)) {
            match self.apply(name, self.spec(name, other, false)).await {
                Err(status) if is_time && status.message.contains("cannot be changed any more") => {}
                Err(status) => return Some(format!("after it was carried out, {other:?}: {}", status.message)),
                Ok(_) if is_time => return Some(format!("after it was carried out, {other:?} was accepted")),
                Ok(_) => {}
            }
        }
        self.set(name, Some(value), false).await;
        let after = self.judged(name).await;
        (verdict(before) != verdict(&after)).then(|| format!("{} and then {}", verdict(before), verdict(&after)))
    }

    fn is_required(&self) -> bool {
        spec_schema(self.kind)["required"].as_array().unwrap().contains(&json!(self.field.name))
    }

    /// What is wrong with the answer to a value that must be refused: the message names the field and the place in it.
    fn names(&self, at: &str, answer: Answer) -> Option<String> {
        let message = match answer {
            Ok(object) => return Some(format!("was accepted: {}", object["spec"])),
            Err(status) => status.message,
        };
        let place = at.rsplit('.').next().unwrap_or_default();
        let is_named = message.contains(&format!("spec.{}", self.field.name)) && message.contains(place);
        (!is_named).then(|| format!("the refusal does not name it: {message}"))
    }

    /// What is wrong with the number of DELETEs for the user of this object.
    fn deletes(&self, name: &str, object: &Value) -> Option<String> {
        let (user, deletes) = (self.user(name), self.env.fake.deletes());
        let sent = deletes.iter().filter(|call| call.user.as_ref() == Some(&user) || call.names(&user)).count();
        let reason = verdict(object)["conditions"]["Ready"][1].clone();
        let expected = match reason.as_str().unwrap_or_default() {
            "Removed" => 1..=1,
            "SubjectNotFound" | "SubjectGone" => 1..=2,
            _ => 0..=0,
        };
        (!self.is_tenant() && !expected.contains(&sent)).then(|| format!("{sent} DELETEs with {reason}"))
    }
}

/// What the operator makes of an object, without times, ids, generations and texts.
fn verdict(object: &Value) -> Value {
    let status = &object["status"];
    let mut conditions = json!({});
    for condition in status["conditions"].as_array().into_iter().flatten() {
        conditions[condition["type"].as_str().unwrap()] = json!([condition["status"], condition["reason"]]);
    }
    let (finished, mut result) = (&status["finished"], status["result"].clone());
    if let Some(items) = result.get_mut("items") {
        *items = json!(items.as_array().unwrap().len());
    }
    let times = ["lastRemovalTime", "verifiedTime", "nextAttemptTime"].map(|time| status.get(time).is_some());
    json!({
        "conditions": conditions, "finished": [finished["mode"], finished["byTenant"]], "result": result, "times": times,
        "credential": status["credential"], "scopes": status["scopes"], "domain": status["domain"],
    })
}

/// Walks through these fields of these kinds.
async fn walk(env: &Environment, kinds: &[&'static Kind], is_walked: impl Fn(&str) -> bool) {
    let schemas: Vec<_> = kinds.iter().map(|kind| (*kind, spec_schema(kind))).collect();
    let fields = schemas.iter().flat_map(|(kind, schema)| {
        let fields = schema["properties"].as_object().unwrap().iter();
        fields.map(|(name, schema)| Walk { env, kind, field: Field { name, schema } })
    });
    let walks: Vec<_> = fields.filter(|walk| is_walked(walk.field.name)).collect();
    assert!(!walks.is_empty());
    let failed: Vec<_> = futures::stream::iter(&walks).map(Walk::run).buffer_unordered(AT_ONCE).collect().await;
    report(failed.concat(), walks.len());
}

/// The users of every object, but for those whose field is about users that do not exist.
fn make_users(env: &Environment, kinds: &[&'static Kind]) {
    env.fake.edit(|tenant| {
        for kind in kinds {
            for (name, schema) in spec_schema(kind)["properties"].as_object().unwrap() {
                if is_target(kind, name) || name == "ifNotFound" {
                    continue;
                }
                for n in 0..(Field { name, schema }).good().len() {
                    for how in ["direct", "walked"] {
                        let user = format!("auth0|{}-{}-{n}-{how}", kind.short, name.to_lowercase());
                        tenant.user(&user).role(ROLE).permission(API, "read:x");
                        tenant.organization(ORG).member_role(&user, ROLE);
                    }
                }
            }
        }
    });
}

fn is_target(kind: &Kind, field: &str) -> bool {
    spec_schema(kind)["required"].as_array().unwrap().contains(&json!(field))
}

async fn walk_removals(kinds: &[&'static Kind]) {
    let env = Environment::new("walk").await;
    make_users(&env, kinds);
    // The names that the walk gives to `tenantRef`.
    let longest = format!("default{}", "a".repeat(246));
    for name in ["a", &longest] {
        env.put::<Auth0Tenant>(name, crate::fixtures::tenant_spec(&env.fake)).await;
    }
    // An answer that comes late on a busy machine must not have a DELETE repeated.
    let _operator = env.operator_with(|settings| settings.timeouts = Timeouts::default()).await;
    let targets = ["userId", "roles", "permissions", "organizationId", "members"];
    walk(&env, kinds, |field| !targets.contains(&field)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_comes_to_the_same_verdict_by_every_way() {
    walk_removals(&[&URR]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a minute; make test-long runs it"]
async fn the_other_removals_come_to_the_same_verdict_by_every_way() {
    walk_removals(&[&UPR, &OMR, &OMRR]).await;
}

/// What an object names cannot be changed, and every refusal names it.
#[tokio::test(flavor = "multi_thread")]
async fn targets_are_refused_by_name() {
    let env = Environment::bare("walk-targets").await;
    let mut failed = Vec::new();
    for kind in REMOVALS {
        for (name, schema) in spec_schema(kind)["properties"].as_object().unwrap() {
            if !is_target(kind, name) {
                continue;
            }
            let walk = Walk { env: &env, kind, field: Field { name, schema } };
            let of = name.to_lowercase();
            let first = walk.field.good().swap_remove(0);
            walk.set(&of, Some(&first), true).await;
            for other in walk.field.good().into_iter().filter(|other| *other != first) {
                let answer = walk.apply(&of, walk.spec(&of, Some(&other), true)).await;
                failed.extend(walk.names("", answer).map(|why| format!("{} {name}, changed: {why}", kind.name)));
            }
            for bad in walk.field.bad() {
                let answer = walk.apply(&of, walk.spec(&of, Some(&bad.value), true)).await;
                let row = format!("{} {name}{}, {}", kind.name, bad.at, short(&bad.value));
                failed.extend(walk.names(&bad.at, answer).map(|why| format!("{row}: {why}")));
            }
            for (n, good) in walk.field.good().into_iter().enumerate() {
                walk.set(&format!("{of}-{n}"), Some(&good), true).await;
            }
        }
    }
    report(failed, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_come_to_the_same_verdict_by_every_way() {
    let env = Environment::bare("walk-tenants").await;
    env.put_secret(&env.token).await;
    let _operator = env.operator().await;
    walk(&env, &[&A0T], |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_tenants_come_to_the_same_verdict_by_every_way() {
    let stage = Stage::new("walk-cluster").await;
    let _operator = stage.start().await;
    let own = ["allowedNamespaces", "allowedKinds", "allowedOrganizationIds", "brake", "suspend"];
    walk(&stage.operator, &[&CA0T], |field| own.contains(&field)).await;
    stage.api().delete_collection(&Default::default(), &Default::default()).await.unwrap();
}
