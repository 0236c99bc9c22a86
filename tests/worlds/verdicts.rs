//! The record of Auth0 supports every verdict.

use rescind::api::Reason;
use rescind::auth0::{Endpoint, Item, Read};
use serde_json::Value;

use crate::auth0::{Complete, Deleted, Millis, Tenant};
use crate::begin::{UNKNOWN_ORGANIZATION, organization};
use crate::cluster::{Cluster, Key, Object, State};
use crate::invariants::{Books, condition};
use crate::restraints::{is_continuous, is_observed};

/// For so long after an object or its tenant stopped to be observed, a verdict of the time before may be written.
const WRITTEN_WITHIN: Millis = 60_000;

impl Books {
    /// Checks that the record of Auth0 supports a verdict. `before` is the object as it was stored.
    pub fn verdict(&mut self, key: &Key, before: &Object, new: &Value, auth0: &Tenant, at: Millis) {
        let reason = condition(new, "Ready").and_then(|ready| ready["reason"].as_str()).and_then(Reason::parse);
        match reason {
            Some(Reason::Removed | Reason::AlreadyAbsent) => self.gone(key, before, new, auth0, at),
            Some(Reason::WouldRemove) => self.would_remove(key, before, new, auth0, at),
            Some(Reason::ItemNotFound) => self.item_not_found(key, before, auth0, at),
            _ => {}
        }
        if condition(new, "Ready").is_some_and(|ready| ready["status"] == "True") {
            self.ready_since.insert(before.uid.clone(), at);
        }
    }

    /// Auth0 has to know some of the items not.
    fn item_not_found(&mut self, key: &Key, object: &Object, auth0: &Tenant, at: Millis) {
        let Some((endpoint, items)) = &object.target else { return };
        let exists = |item: &Item| match (endpoint, item) {
            (Endpoint::OrganizationMembers { .. }, Item::Id(user)) => auth0.users.contains(&**user),
            (_, Item::Id(role)) => auth0.roles.contains(&**role),
            (_, Item::Permission { resource_server, .. }) => auth0.apis.contains(&**resource_server),
        };
        if items.iter().all(exists) {
            self.violated(4, at, format!("{}/{}: ItemNotFound, and all of {items:?} exist", key.1, key.2));
        }
    }

    fn gone(&mut self, key: &Key, object: &Object, new: &Value, auth0: &Tenant, at: Millis) {
        let Some((endpoint, items)) = &object.target else { return };
        let is_removed = condition(new, "Ready").is_some_and(|ready| ready["reason"] == Reason::Removed.as_str());
        let proved = condition(new, "Verified").is_some_and(|verified| verified["status"] == "True");
        let ignores = object.spec["ifNotFound"] == "Ignore";
        let is_new = object.ready().is_none_or(|(_, before)| before != Reason::AlreadyAbsent.as_str());
        let has_ghost = endpoint.organization().is_some_and(|id| **id == *organization(UNKNOWN_ORGANIZATION));
        if has_ghost && !is_removed && is_new && at > self.calm + WRITTEN_WITHIN {
            self.violated(4, at, format!("{}/{}: AlreadyAbsent at an organization that does not exist", key.1, key.2));
        }
        let count = |status: &Value| status["drift"]["count"].as_i64().unwrap_or(0);
        let came_back = count(new) > count(&object.status);
        // Of two that lead, the other may have written a verdict since this one found what had come back.
        let begun = self.ready_since.get(&object.uid).copied().filter(|_| came_back && !self.two_lead(at));
        let begun = begun.unwrap_or(object.created);
        let of_item = |item: &Item| self.accepted_for.get(&(object.uid.clone(), auth0.domain.clone(), item.clone()));
        let last_own = items.iter().filter_map(of_item).flatten().copied().max();
        for item in items {
            let named = |d: &&Deleted| d.endpoint == *endpoint && d.items.contains(item) && d.at >= object.created;
            let accepted = auth0.log.deletes.iter().filter(named).map(|deleted| deleted.at).min();
            // The last may be that of a call which an earlier process, or an earlier credential, still had in flight.
            let own = self.accepted_for.get(&(object.uid.clone(), auth0.domain.clone(), item.clone()));
            let own = own.into_iter().flatten().copied().find(|accepted| *accepted >= begun);
            // One of another object, after the last of its own, says nothing of its proof.
            let others = accepted.filter(|at| !came_back && last_own.is_none_or(|last| *at <= last));
            let own = own.or(others);
            let unknown = is_unknown(auth0, endpoint, item);
            let who = format!("{}/{}", key.1, key.2);
            if is_removed && proved && !unknown {
                let since = own.filter(|_| !may_spare(endpoint)).unwrap_or(begun);
                if !absence_was_read(auth0, endpoint, item, since) {
                    self.violated(3, at, format!("{who}: no read shows that {item} is gone since {since}"));
                }
            }
            if accepted.is_none() && !ignores && !unknown {
                // From its first verdict on a check only reads, whichever version finished the object and whatever kept
                // the check from being made; what has come back is removed, and what the check does not show is not.
                let target = &object.status["finished"]["target"];
                let is_same = object.is_finished_here() || (target.is_string() && *target == new["finished"]["target"]);
                let is_check = is_continuous(object) && object.finished_for_good && is_same;
                let is_read = is_check || new["finished"]["mode"] == "Observe";
                let may_be_spared = may_spare(endpoint) || is_read;
                let spared = may_be_spared && absence_was_read(auth0, endpoint, item, object.created);
                if !spared && !was_no_member(auth0, endpoint, object.created) {
                    self.violated(4, at, format!("{who}: {item} was neither sent nor may it be spared"));
                }
            }
        }
    }

    /// What an object says that it would remove was read after it asked, and complete lists show nothing else of what it
    /// names.
    fn would_remove(&mut self, key: &Key, before: &Object, new: &Value, auth0: &Tenant, at: Millis) {
        let Some((endpoint, items)) = &before.target else { return };
        let who = format!("{}/{}", key.1, key.2);
        let answered = &new["lastHandledReconcileAt"];
        let is_answer = *answered != before.status["lastHandledReconcileAt"];
        let asked = answered.as_str().filter(|_| is_answer).and_then(|asked| asked.parse().ok());
        let is_first = before.ready().is_none_or(|(status, _)| status != "True");
        let since = asked.unwrap_or(0).max(if is_first { before.created } else { 0 });
        let named: Vec<String> = new["result"]["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        if new["result"]["remaining"].as_u64() != Some(named.len() as u64) || named.is_empty() {
            self.violated(3, at, format!("{who}: would remove {named:?}, and counts them as {}", new["result"]));
        }
        let of_others = |name: &&String| !items.iter().any(|item| item.to_string() == **name);
        if let Some(other) = named.iter().find(of_others) {
            self.violated(2, at, format!("{who}: would remove {other}, which it does not name"));
        }
        for item in items {
            let is_named = named.contains(&item.to_string());
            let unknown = is_unknown(auth0, endpoint, item);
            if is_named && !presence_was_read(auth0, endpoint, item, since) {
                self.violated(3, at, format!("{who}: no read shows {item} since {since}"));
            }
            if !is_named && !unknown && !absence_was_read(auth0, endpoint, item, since) {
                self.violated(4, at, format!("{who}: no read shows that {item} is gone since {since}"));
            }
        }
    }

    /// Checks who is said to have had the object observed.
    pub fn observed(&mut self, cluster: &Cluster, key: &Key, before: &Object, new: &Value, at: Millis) {
        let finished = &new["finished"];
        if finished["mode"] != "Observe" || *finished == before.status["finished"] {
            return;
        }
        let who = format!("{}/{}", key.1, key.2);
        let by_tenant = finished["byTenant"] == true;
        if finished["generation"] == before.generation && by_tenant != (before.spec["mode"] == "Remove") {
            self.violated(12, at, format!("{who}: finished {finished} with mode {}", before.spec["mode"]));
        }
        let observed = |state: &State| state.get(key).is_some_and(|object| is_observed(state, key, object));
        if edited(&cluster.now, key, before) + WRITTEN_WITHIN < at && !observed(&cluster.now) {
            self.violated(12, at, format!("{who}: only observed, although nothing said so"));
        }
    }
}

/// When somebody last changed the object or its tenant.
pub fn edited(state: &State, key: &Key, object: &Object) -> Millis {
    let tenant = crate::cluster::tenant_of(state, key, object);
    object.edited.max(tenant.map_or(0, |tenant| tenant.edited))
}

/// Whether a read of this list may spare the DELETE, because the list does not lag.
const fn may_spare(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::UserRoles { .. } | Endpoint::UserPermissions { .. })
}

/// Whether Auth0 does not know the item, so that neither a DELETE nor a list says more.
pub fn is_unknown(auth0: &Tenant, endpoint: &Endpoint, item: &Item) -> bool {
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

/// Whether a page with the item was read since that time: to show that it is there, a list need not be complete.
fn presence_was_read(auth0: &Tenant, endpoint: &Endpoint, item: &Item, since: Millis) -> bool {
    let shows = |Complete { read, seen, .. }: &Complete| match (read, endpoint, item) {
        (Read::List(of), ..) if of == endpoint => seen.contains(item),
        (Read::UserOrganizations { user }, Endpoint::OrganizationMembers { organization }, Item::Id(member)) => {
            user == member && seen.contains(&Item::Id(organization.clone()))
        }
        _ => false,
    };
    auth0.log.pages.iter().filter(|page| page.began >= since).any(shows)
}

/// Whether the user's own list, read since then, shows no membership: who is no member has no roles there.
fn was_no_member(auth0: &Tenant, endpoint: &Endpoint, since: Millis) -> bool {
    let Endpoint::OrganizationMemberRoles { organization, user } = endpoint else { return false };
    let of_user = |read: &Read| matches!(read, Read::UserOrganizations { user: of } if of == user);
    let reads = auth0.log.reads.iter().filter(|read| read.began >= since && of_user(&read.read));
    reads.into_iter().any(|read| !read.seen.contains(&Item::Id(organization.clone())))
}
