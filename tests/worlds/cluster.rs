//! The API server of a world: objects, tenants and Secrets, with the recent past that lagging caches still show. It
//! answers the operator's HTTP requests; people and other operators edit it directly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use rescind::auth0::{Endpoint, Item};
use serde_json::{Value, json};

use crate::auth0::Millis;
use crate::clock::true_time;
use crate::restraints::removes_for;
use crate::versions::{NEXT_FIELD, UNKNOWN_FIELD, Version, meant};

pub const GROUP: &str = "rescind.dev/v1alpha1";

/// Plural, namespace and name.
pub type Key = (&'static str, String, String);

/// An object of any kind.
#[derive(Clone, Debug)]
pub struct Object {
    pub kind: &'static str,
    pub uid: String,
    pub generation: i64,
    pub version: u64,
    pub created: Millis,
    pub labels: Value,
    pub asked: Option<String>,
    pub spec: Value,
    pub status: Value,
    /// The endpoint and the items that a removal object names.
    pub target: Option<(Endpoint, Vec<Item>)>,
    /// The tenant for which the operator said that the removal is finished.
    pub finished_for: Option<String>,
    /// Whether that was more than an observation.
    pub finished_for_good: bool,
    /// When somebody last changed it or requested another attempt.
    pub edited: Millis,
    /// The operator said that it never acts for it.
    pub has_ended: bool,
}

impl Object {
    pub fn json(&self, key: &Key) -> Value {
        let mut annotations = json!({});
        if let Some(asked) = &self.asked {
            annotations["rescind.dev/reconcile-requested-at"] = json!(asked);
        }
        let created = true_time(self.created / 1000 * 1000);
        let metadata = json!({
            "namespace": key.1, "name": key.2, "uid": self.uid, "generation": self.generation,
            "resourceVersion": self.version.to_string(), "labels": self.labels, "annotations": annotations,
            "creationTimestamp": created.to_string(),
        });
        if self.kind == "Secret" {
            return json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": self.spec });
        }
        json!({
            "apiVersion": GROUP, "kind": self.kind, "metadata": metadata, "spec": self.spec, "status": self.status,
        })
    }

    pub fn tenant(&self) -> &str {
        self.spec.pointer("/tenantRef/name").and_then(Value::as_str).unwrap_or("default")
    }

    /// Whether it was last finished for the tenant that it names.
    pub fn is_finished_here(&self) -> bool {
        self.finished_for.as_deref() == Some(self.tenant())
    }

    pub fn is_suspended(&self) -> bool {
        self.spec["suspend"] == json!(true)
    }

    pub fn ready(&self) -> Option<(&str, &str)> {
        let conditions = self.status.get("conditions")?.as_array()?;
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
        Some((ready["status"].as_str()?, meant(ready["reason"].as_str()?)))
    }
}

pub type State = BTreeMap<Key, Arc<Object>>;

/// The API server with its recent past.
#[derive(Debug, Default)]
pub struct Cluster {
    pub now: State,
    /// Earlier states, each with the time at which it ended, in order.
    past: Vec<(Millis, State)>,
    versions: u64,
    /// Every uid that ever was.
    pub uids: BTreeSet<String>,
    /// All changes in order, for the watches.
    pub events: Vec<(Millis, Key)>,
}

/// How long states are kept: longer than any cache or preflight check lags.
const REMEMBERED: Millis = 8000;

impl Cluster {
    /// Creates, changes or (with `None`) deletes an object at this time. `spec`: the spec changes, so the generation
    /// goes up.
    pub fn change(&mut self, at: Millis, key: &Key, spec: bool, change: impl FnOnce(Option<Object>) -> Option<Object>) {
        if self.past.last().is_none_or(|(ended, _)| *ended < at) {
            self.past.push((at, self.now.clone()));
            self.past.retain(|(ended, _)| ended + REMEMBERED >= at);
        }
        self.versions += 1;
        let before = self.now.remove(key).map(Arc::unwrap_or_clone);
        let existed = before.is_some();
        if let Some(mut object) = change(before) {
            object.version = self.versions;
            object.generation += i64::from(spec && existed);
            if spec || !existed {
                object.edited = at;
            }
            if !existed {
                self.uids.insert(object.uid.clone());
            }
            self.now.insert(key.clone(), Arc::new(object));
        } else if !existed {
            return;
        }
        self.events.push((at, key.clone()));
    }

    /// The state at that time.
    pub fn at(&self, time: Millis) -> &State {
        self.past.iter().find(|(ended, _)| *ended > time).map_or(&self.now, |(_, state)| state)
    }

    /// Every state since that time.
    pub fn since(&self, from: Millis) -> impl Iterator<Item = &State> {
        self.past.iter().filter(move |(ended, _)| *ended >= from).map(|(_, state)| state).chain([&self.now])
    }

    /// Every state between these times.
    pub fn between(&self, from: Millis, to: Millis) -> impl Iterator<Item = &State> {
        let began = [0].into_iter().chain(self.past.iter().map(|(ended, _)| *ended));
        let states = self.past.iter().map(|(ended, state)| (*ended, state)).chain([(Millis::MAX, &self.now)]);
        let within = move |(began, (ended, _)): &(Millis, (Millis, &State))| *ended >= from && *began <= to;
        began.zip(states).filter(within).map(|(_, (_, state))| state)
    }

    /// The object with this uid.
    pub fn object(&self, uid: &str) -> Option<&Object> {
        self.now.values().find(|object| object.uid == uid).map(|object| &**object)
    }

    /// GET of one object.
    pub fn get(&self, key: &Key) -> (u16, Value) {
        self.now.get(key).map_or_else(|| not_found(&key.2), |object| (200, object.json(key)))
    }

    /// PUT on `/status`, bound to uid and resource version.
    pub fn put_status(&mut self, at: Millis, key: &Key, body: &Value) -> (u16, Value) {
        let Some(object) = self.now.get(key) else { return not_found(&key.2) };
        let metadata = &body["metadata"];
        let version = metadata["resourceVersion"].as_str().unwrap_or_default();
        if metadata["uid"] != json!(object.uid) || (!version.is_empty() && version != object.version.to_string()) {
            return failure(409, "Conflict");
        }
        let status = body["status"].clone();
        let tenant = object.tenant().to_owned();
        self.change(at, key, false, |object| {
            object.map(|object| {
                let finished = !status["finished"].is_null() && status["finished"] != object.status["finished"];
                // It may be about an earlier generation, which had another tenant.
                let is_current = status["finished"]["generation"] == object.generation;
                let finished_for =
                    if finished { Some(tenant).filter(|_| is_current) } else { object.finished_for.clone() };
                let was_observed = status["finished"]["mode"] == "Observe";
                let finished_for_good = if finished { !was_observed } else { object.finished_for_good };
                let has_ended = object.has_ended || ends(&status);
                Object { status, finished_for, finished_for_good, has_ended, ..object }
            })
        });
        self.get(key)
    }
}

/// Whether the status says that the operator never acts for the object.
fn ends(status: &Value) -> bool {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let reasons =
        conditions.filter(|condition| condition["type"] == "Ready").filter_map(|ready| ready["reason"].as_str());
    reasons.into_iter().any(|reason| matches!(meant(reason), "Expired" | "NotReplayed"))
}

fn not_found(name: &str) -> (u16, Value) {
    let (code, mut status) = failure(404, "NotFound");
    status["details"] = json!({ "name": name });
    (code, status)
}

pub fn failure(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason,
    });
    (code, status)
}

/// The tenant of a removal object.
pub fn tenant_of<'a>(state: &'a State, key: &Key, object: &Object) -> Option<&'a Object> {
    state.get(&("auth0tenants", key.1.clone(), object.tenant().to_owned())).map(|tenant| &**tenant)
}

/// The tenant on which a process of this version acts for a removal object, unless something stops it: no version knows
/// one field, and only the newer one that of the next.
pub fn acts_for<'a>(state: &'a State, key: &Key, object: &Object, version: Version) -> Option<&'a Object> {
    let tenant = tenant_of(state, key, object)?;
    let is_known =
        object.spec.get(UNKNOWN_FIELD).is_none() && (version.is_newer() || object.spec.get(NEXT_FIELD).is_none());
    (!object.is_suspended() && !tenant.is_suspended() && is_known).then_some(tenant)
}

/// The credential in the Secret that this tenant reads.
pub fn token_of(state: &State, namespace: &str, tenant: &Object) -> Option<u64> {
    let name = tenant.spec.pointer("/credentials/tokenSecretRef/name")?.as_str()?;
    let secret = state.get(&("secrets", namespace.to_owned(), name.to_owned()))?;
    number_of(secret.spec["token"].as_str()?)
}

/// The number of the token that a Secret holds in base64.
pub fn number_of(encoded: &str) -> Option<u64> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    String::from_utf8(bytes).ok()?.strip_prefix("e30.e30.")?.parse().ok()
}

/// A removal from one domain with one credential.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub domain: &'a str,
    pub token: u64,
    pub endpoint: &'a Endpoint,
    pub item: &'a Item,
}

impl Wanted<'_> {
    /// Whether a process of this version may send it for some object, and if not, which promise it breaks by that.
    pub fn allows(&self, cluster: &Cluster, from: Millis, version: Version, wall: Timestamp) -> Result<(), u8> {
        let acts = |state: &State| {
            let mut named = self.named_in(state);
            named.any(|(key, object)| removes_for(state, key, object, version, wall).is_some())
        };
        if cluster.since(from).any(acts) {
            return Ok(());
        }
        let is_stopped = |(key, object): (&Key, &Arc<Object>)| {
            let is_known = acts_for(&cluster.now, key, object, version).is_some();
            let is_suspended =
                object.is_suspended() || tenant_of(&cluster.now, key, object).is_some_and(Object::is_suspended);
            is_suspended || (is_known && removes_for(&cluster.now, key, object, version, wall).is_none())
        };
        Err(match self.named_in(&cluster.now).map(is_stopped).min() {
            Some(false) => 13,
            Some(true) => 5,
            None => {
                let mut before = cluster.since(0).flat_map(|state| self.named_in(state)).peekable();
                let all_gone =
                    before.peek().is_some() && before.all(|(_, object)| cluster.object(&object.uid).is_none());
                if all_gone { 5 } else { 2 }
            }
        })
    }

    /// The objects that name it, whether or not anything may be sent for them.
    fn named_in<'a>(&'a self, state: &'a State) -> impl Iterator<Item = (&'a Key, &'a Arc<Object>)> {
        state.iter().filter(|(key, object)| {
            let names = |(at, items): &(Endpoint, Vec<Item>)| at == self.endpoint && items.contains(self.item);
            let is_here = |tenant: &Object| {
                tenant.spec["domain"] == self.domain && token_of(state, &key.1, tenant) == Some(self.token)
            };
            object.target.as_ref().is_some_and(names) && tenant_of(state, key, object).is_some_and(is_here)
        })
    }
}
