//! What must hold in every world at every step: the promises of docs/design.md, by their numbers, as far as a world can
//! check them.

use std::collections::{HashMap, HashSet};

use rescind::api::{ConditionType, Reason, State as Meaning};
use rescind::auth0::{Endpoint, Item, Read};
use serde_json::Value;

use crate::auth0::{Deleted, Millis, Tenant};
use crate::cluster::{Cluster, Key, Object, State, Wanted, acts_for};
use crate::process::Process;
use crate::versions::Version;

/// How far a cache may lag, or how old a preflight check may be, when a DELETE leaves.
const BEHIND: Millis = 1500;
/// How long the answer to an accepted DELETE takes at most.
const ANSWERS_WITHIN: Millis = 1000;
/// After a crash, DELETEs accepted within this time before it may be repeated.
const CRASH_COSTS: Millis = 30_000;
/// A DELETE may be sent once more when it had no effect for this long.
const AGAIN: Millis = 110_000;
/// The most status writes in a second that only say what an object waits for.
const WAITS_A_SECOND: usize = 50;

/// Records what happens in one world, and its violations.
#[derive(Debug, Default)]
pub struct Books {
    pub violations: Vec<String>,
    /// When a DELETE last had an unknown outcome, by domain, endpoint and item.
    unknown: HashMap<(String, Endpoint, Item), Millis>,
    crashes: Vec<Millis>,
    /// When the check refused calls for an object, by uid. What was in flight for it then is not known any more.
    handed_back: HashMap<String, Vec<Millis>>,
    /// When Auth0 first accepted a DELETE of an item that was for an object, possibly, by uid, domain and item.
    first_accepted: HashMap<(String, String, Item), Millis>,
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
    pub fn violated(&mut self, promise: u8, at: Millis, what: impl std::fmt::Display) {
        self.violations.push(format!("promise {promise} at {at} ms: {what}"));
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
        at: Millis,
    ) {
        let from = at.saturating_sub(BEHIND);
        for item in items {
            let domain = &auth0.domain;
            if let Err(promise) = (Wanted { domain, token, endpoint, item }).allows(cluster, from, version) {
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
        (domain, version): (&str, Version),
        uids: &[&str],
        items: &[Item],
        at: Millis,
    ) {
        for uid in uids {
            let is_active = |state: &State| {
                state.iter().any(|(key, object)| object.uid == *uid && acts_for(state, key, object, version).is_some())
            };
            if !cluster.since(at.saturating_sub(BEHIND + ANSWERS_WITHIN)).any(is_active) {
                self.violated(5, at, format!("{uid} is suspended, held or gone, and so is not to be acted for"));
            }
        }
        for (key, object) in cluster.now.iter().filter(|(_, object)| uids.contains(&&*object.uid)) {
            let Some((endpoint, wanted)) = &object.target else { continue };
            let tenant = cluster.now.get(&("auth0tenants", key.1.clone(), object.tenant().to_owned()));
            // After an edit of the object or of its tenant, or on request, it may begin again.
            let edited = object.edited.max(tenant.map_or(0, |tenant| tenant.edited));
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
                self.first_accepted.entry(own.clone()).or_insert(at);
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
                if !unknown && !crashed && edited + BEHIND < before && at < before + AGAIN {
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
    pub fn status_written(&mut self, key: &Key, before: &Object, new: &Value, at: Millis) {
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
        // Whoever wrote the verdict, nothing may take it back, except the proof that somebody requested.
        let is_current = !old["finished"].is_null() || old["observedGeneration"] == before.generation;
        let asks = before.asked.as_deref() != old["lastHandledReconcileAt"].as_str();
        let may_be_read = asks && before.ready() == Some(("True", Reason::RemovedUnverified.as_str()));
        let stays = was_done && is_current && !may_be_read && before.finished_for.as_deref() == Some(before.tenant());
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

    /// Checks that the record of Auth0 supports a verdict.
    pub fn verdict(&mut self, key: &Key, object: &Object, new: &Value, auth0: &Tenant, at: Millis) {
        let Some((endpoint, items)) = &object.target else { return };
        let reason = condition(new, "Ready").and_then(|ready| ready["reason"].as_str()).and_then(Reason::parse);
        let proved = condition(new, "Verified").is_some_and(|verified| verified["status"] == "True");
        let ignores = object.spec["ifNotFound"] == "Ignore";
        let said = matches!(reason, Some(Reason::Removed | Reason::AlreadyAbsent));
        for item in items.iter().filter(|_| said) {
            let named = |d: &&Deleted| d.endpoint == *endpoint && d.items.contains(item) && d.at >= object.created;
            let accepted = auth0.log.deletes.iter().filter(named).map(|deleted| deleted.at).min();
            let own = (object.uid.clone(), auth0.domain.clone(), item.clone());
            // The last may be that of a call which an earlier process, or an earlier credential, still had in flight.
            let own = self.first_accepted.get(&own).copied().or(accepted);
            let unknown = is_unknown(auth0, endpoint, item);
            let who = format!("{}/{}", key.1, key.2);
            if reason == Some(Reason::Removed) && proved && !unknown {
                let since = own.filter(|_| !may_spare(endpoint)).unwrap_or(object.created);
                if !absence_was_read(auth0, endpoint, item, since) {
                    self.violated(3, at, format!("{who}: no read shows that {item} is gone since {since}"));
                }
            }
            if accepted.is_none() && !ignores && !unknown {
                let spared = may_spare(endpoint) && absence_was_read(auth0, endpoint, item, object.created);
                if !spared && !was_no_member(auth0, endpoint, object.created) {
                    self.violated(4, at, format!("{who}: {item} was neither sent nor may it be spared"));
                }
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

/// Whether a read of this list may spare the DELETE, because the list does not lag.
const fn may_spare(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::UserRoles { .. } | Endpoint::UserPermissions { .. })
}

/// Whether Auth0 does not know the item, so that neither a DELETE nor a list says more.
fn is_unknown(auth0: &Tenant, endpoint: &Endpoint, item: &Item) -> bool {
    match (endpoint, item) {
        (Endpoint::OrganizationMembers { .. }, Item::Id(user)) => !auth0.users.contains(&**user),
        (Endpoint::OrganizationMemberRoles { organization, user }, Item::Id(role)) => {
            !auth0.roles.contains(&**role) || !auth0.is_member(organization, user)
        }
        (_, Item::Id(role)) => !auth0.roles.contains(&**role),
        (_, Item::Permission { resource_server, .. }) => !auth0.apis.contains(&**resource_server),
    }
}

/// Whether a complete list without the item was read, begun since that time.
fn absence_was_read(auth0: &Tenant, endpoint: &Endpoint, item: &Item, since: Millis) -> bool {
    let no_member = |organization: &std::sync::Arc<str>, seen: &std::collections::BTreeSet<Item>| {
        !seen.contains(&Item::Id(organization.clone()))
    };
    auth0.log.reads.iter().filter(|read| read.began >= since).any(|read| match (&read.read, endpoint, item) {
        (Read::List(of), ..) if of == endpoint => !read.seen.contains(item),
        (Read::UserOrganizations { user }, Endpoint::OrganizationMembers { organization }, Item::Id(member)) => {
            user == member && no_member(organization, &read.seen)
        }
        // Somebody who is not a member has no roles there.
        (Read::UserOrganizations { user }, Endpoint::OrganizationMemberRoles { organization, user: of }, _) => {
            user == of && no_member(organization, &read.seen)
        }
        _ => false,
    })
}

/// Whether the user's own list, read since then, shows no membership: who is no member has no roles there.
fn was_no_member(auth0: &Tenant, endpoint: &Endpoint, since: Millis) -> bool {
    let Endpoint::OrganizationMemberRoles { organization, user } = endpoint else { return false };
    let of_user = |read: &Read| matches!(read, Read::UserOrganizations { user: of } if of == user);
    let reads = auth0.log.reads.iter().filter(|read| read.began >= since && of_user(&read.read));
    reads.into_iter().any(|read| !read.seen.contains(&Item::Id(organization.clone())))
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
        let answered = object.status["lastHandledReconcileAt"].as_str() == object.asked.as_deref();
        let done = object.ready().is_some_and(|(status, _)| status == "True");
        // `Ready=True` of another version, without `finished`, counts only for its generation.
        let current = object.status["observedGeneration"].as_i64() == Some(object.generation);
        let done = done && (current || !object.status["finished"].is_null());
        if !done || !answered || object.finished_for.as_deref() != Some(object.tenant()) {
            return false;
        }
    }
    some
}
