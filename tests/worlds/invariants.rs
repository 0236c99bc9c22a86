//! What must hold in every world at every step: the promises of docs/design.md, by their numbers, as far as a world can
//! check them.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use rescind::api::{ConditionType, Reason, State as Meaning};
use rescind::auth0::{Endpoint, Item};
use serde_json::Value;
use tokio::task::Id;

use crate::auth0::{Millis, Tenant};
use crate::clock::Wall;
use crate::cluster::{Cluster, Key, Object, State, Wanted};
use crate::process::Process;
use crate::restraints::{is_continuous, is_finished};
use crate::verdicts::edited;
use crate::versions::Version;

/// How far a cache may lag, or how old a preflight check may be, when a DELETE leaves.
pub const BEHIND: Millis = 1500;
/// How long the answer to an accepted DELETE takes at most.
const ANSWERS_WITHIN: Millis = 1000;
/// After a crash, DELETEs accepted within this time before it may be repeated.
const CRASH_COSTS: Millis = 30_000;
/// A DELETE may be sent once more when it had no effect for this long.
const AGAIN: Millis = 110_000;
/// A wait of an object that was observed until a moment ago is written within this time.
const OBSERVED_LATELY: Millis = 60_000;
/// The most status writes in a second that only say what an object waits for.
const WAITS_A_SECOND: usize = 50;

/// Records what happens in one world, and its violations.
#[derive(Debug, Default)]
pub struct Books {
    /// See [`crate::plan::Plan::calm`].
    pub calm: Millis,
    pub violations: Vec<String>,
    /// When a DELETE last had an unknown outcome, by domain, endpoint and item.
    unknown: HashMap<(String, Endpoint, Item), Millis>,
    crashes: Vec<Millis>,
    /// When the check refused calls for an object, by uid. What was in flight for it then is not known any more.
    handed_back: HashMap<String, Vec<Millis>>,
    /// When each DELETE left that has no answer yet, by its task.
    pub left: HashMap<Id, Millis>,
    /// When Auth0 accepted a DELETE of an item that was for an object, possibly, by uid, domain and item.
    pub accepted_for: HashMap<(String, String, Item), Vec<Millis>>,
    /// When an object last got a verdict with `Ready=True`, by uid.
    pub ready_since: HashMap<String, Millis>,
    /// When it last accepted one that certainly was.
    accepted_by: HashMap<(String, String, Item), Millis>,
    /// The objects of which some items were accepted when a process began, which does not know which.
    in_part: HashSet<String>,
    /// The times of the status writes that say what an object waits for.
    waits: Vec<Millis>,
    /// All processes there ever were, in the order in which they started.
    pub processes: Vec<Process>,
}

impl Books {
    pub fn new(calm: Millis) -> Self {
        Self { calm, ..Self::default() }
    }

    pub fn violated(&mut self, promise: u8, at: Millis, what: impl std::fmt::Display) {
        self.violations.push(format!("promise {promise} at {at} ms: {what}"));
    }

    /// Whether two processes lead at that time, or did a moment ago.
    pub fn two_lead(&self, at: Millis) -> bool {
        let led = |process: &&Process| process.ended.is_none_or(|ended| ended + BEHIND > at);
        self.processes.iter().filter(led).count() > 1
    }

    /// The process crashed and lost everything that is not in a status.
    pub fn crashed(&mut self, cluster: &Cluster, at: Millis) {
        self.crashes.push(at);
        let in_part = cluster.now.values().filter(|object| is_in_part(object));
        self.in_part.extend(in_part.map(|object| object.uid.clone()));
    }

    /// Checks a DELETE that leaves now.
    pub fn delete_leaves(
        &mut self,
        cluster: &Cluster,
        auth0: &Tenant,
        (token, version): (u64, Version),
        (endpoint, items): (&Endpoint, &[Item]),
        (at, wall): (Millis, Timestamp),
    ) {
        self.remember_when_it_left(at);
        let from = at.saturating_sub(BEHIND);
        for item in items {
            let domain = &auth0.domain;
            if let Err(promise) = (Wanted { domain, token, endpoint, item }).allows(cluster, from, version, wall) {
                let what = format!("no object has {item} at {endpoint:?} of {domain} removed with token {token}");
                self.violated(promise, at, what);
            }
            if cluster.since(from).all(|state| all_finished(state, &auth0.domain, endpoint, item)) {
                self.violated(12, at, format!("{item} at {endpoint:?} is finished"));
            }
        }
    }

    /// The check refused a call for this object.
    pub fn handed_back(&mut self, uid: &str, at: Millis) {
        self.handed_back.entry(uid.to_owned()).or_default().push(at);
    }

    /// Checks that an accepted DELETE was not accepted for these objects before.
    pub fn delete_accepted(
        &mut self,
        cluster: &Cluster,
        domain: &str,
        uids: &[&str],
        items: &[Item],
        (at, wall): (Millis, &Wall),
    ) {
        for (key, object) in cluster.now.iter().filter(|(_, object)| uids.contains(&&*object.uid)) {
            let Some((endpoint, wanted)) = &object.target else { continue };
            // After an edit of the object or of its tenant, or on request, it may begin again.
            let edited = edited(&cluster.now, key, object);
            // An item that others of this call name may be in it for them.
            let named_by_others = |item: &Item| {
                let others =
                    cluster.now.values().filter(|other| other.uid != object.uid && uids.contains(&&*other.uid));
                others
                    .filter_map(|other| other.target.as_ref())
                    .any(|(at, items)| at == endpoint && items.contains(item))
            };
            for item in items.iter().filter(|item| wanted.contains(item)) {
                let own = (object.uid.clone(), domain.to_owned(), item.clone());
                self.accepted_for.entry(own.clone()).or_default().push(at);
                if named_by_others(item) {
                    continue;
                }
                let Some(before) = self.accepted_by.insert(own, at) else { continue };
                let place = (domain.to_owned(), endpoint.clone(), item.clone());
                let unknown = self.unknown.get(&place).is_some_and(|when| *when >= before);
                let in_flight = before.saturating_sub(ANSWERS_WITHIN)..=before;
                let handed_back = self.handed_back.get(&object.uid).into_iter().flatten();
                let unknown = unknown || handed_back.into_iter().any(|at| in_flight.contains(at));
                // Calls in flight at the crash count as well.
                let crashed = self.crashes.iter().any(|crash| crash.abs_diff(before) <= CRASH_COSTS);
                // A status has counts without names, so after a crash an object that was removed in part begins again.
                let in_part = is_in_part(object) || self.in_part.contains(&object.uid);
                let crashed = crashed || (in_part && self.crashes.iter().any(|crash| *crash >= before));
                // The times in a status are of the wall clock.
                let excused = unknown || crashed || wall.jumped_since(before);
                if !excused && edited + BEHIND < before && at < before + AGAIN {
                    let who = format!("{}/{}", key.1, key.2);
                    self.violated(8, at, format!("{who}: {item} was accepted at {before}, and again"));
                }
            }
        }
    }

    /// This DELETE got no answer.
    pub fn outcome_unknown(&mut self, domain: &str, endpoint: &Endpoint, items: &[Item], at: Millis) {
        for item in items {
            self.unknown.insert((domain.to_owned(), endpoint.clone(), item.clone()), at);
        }
    }

    /// Checks a status write. `before` is the object as it was stored.
    pub fn status_written(&mut self, cluster: &Cluster, key: &Key, before: &Object, new: &Value, at: Millis) {
        let (what, old) = (format!("{}/{}", key.1, key.2), &before.status);
        if let Some(result) = new.get("result").filter(|result| !result.is_null()) {
            let number = |name: &str| result[name].as_i64().unwrap_or(0);
            if number("accepted") + number("alreadyAbsent") > number("requested") {
                self.violated(3, at, format!("{what}: counts do not add up: {result}"));
            }
        }
        let is = |kind: ConditionType| condition(new, kind.as_str()).map(|condition| condition["status"].clone());
        if is(ConditionType::Reconciling) == Some("True".into()) && is(ConditionType::Stalled) == Some("True".into()) {
            self.violated(9, at, format!("{what}: Reconciling and Stalled"));
        }
        let ready = condition(new, "Ready").and_then(|ready| ready["reason"].as_str()).and_then(Reason::parse);
        for (name, value) in old.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("from")) {
            if new.get(name) != Some(value) {
                self.violated(13, at, format!("{what}: the status field {name} of another version is lost"));
            }
        }
        if condition(old, "FromOthers").is_some() && condition(new, "FromOthers").is_none() {
            self.violated(13, at, format!("{what}: a condition of others is lost"));
        }
        let Some(reason) = ready else { return };
        let was_done = condition(old, "Ready").is_some_and(|ready| ready["status"] == "True");
        if key.0 != "auth0tenants" && reason.state() == Meaning::Done && new["finished"].is_null() && !was_done {
            self.violated(12, at, format!("{what}: {reason} without finished"));
        }
        // Whoever wrote the verdict, nothing may take it back, except the read that somebody requested, a check, or a
        // mode that is Observe no more.
        let is_current = !old["finished"].is_null() || old["observedGeneration"] == before.generation;
        let asks = before.asked.as_deref() != old["lastHandledReconcileAt"].as_str();
        let is_observed = old["finished"]["mode"] == "Observe";
        let is_repeatable = is_observed || before.ready() == Some(("True", Reason::RemovedUnverified.as_str()));
        let acts_now = is_observed && edited(&cluster.now, key, before) + OBSERVED_LATELY > at;
        let may_change = (asks && is_repeatable) || acts_now || is_continuous(before);
        let stays = was_done && is_current && !may_change && before.is_finished_here();
        if key.0 != "auth0tenants" && stays && reason.state() != Meaning::Done {
            self.violated(12, at, format!("{what}: was finished, and is {reason} now"));
        }
        if matches!(reason, Reason::Queued | Reason::AwaitingProof) {
            self.waits.push(at);
            let lately = self.waits.iter().rev().take_while(|written| **written + 1000 > at).count();
            if lately > WAITS_A_SECOND + 5 {
                self.violated(10, at, format!("{lately} writes of waits in a second"));
            }
        }
    }
}

/// Whether some of the object's items are done, but not all.
fn is_in_part(object: &Object) -> bool {
    let Some((_, wanted)) = &object.target else { return false };
    let count = |name: &str| object.status["result"][name].as_i64().unwrap_or(0);
    let done = count("accepted") + count("remaining") + count("alreadyAbsent");
    (1..wanted.len() as i64).contains(&done)
}

pub fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status.get("conditions")?.as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// Whether some object names this item at this domain, and all that do are finished.
fn all_finished(state: &State, domain: &str, endpoint: &Endpoint, item: &Item) -> bool {
    let mut some = false;
    for (key, object) in state {
        let names = object.target.as_ref().is_some_and(|(at, items)| at == endpoint && items.contains(item));
        let tenant = state.get(&("auth0tenants", key.1.clone(), object.tenant().to_owned()));
        if !names || tenant.is_none_or(|tenant| tenant.spec["domain"] != domain) {
            continue;
        }
        some = true;
        if !is_finished(state, key, object) {
            return false;
        }
    }
    some
}
