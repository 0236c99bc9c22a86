//! When a world has come to rest: every object has the verdict that it should have, and nothing will change it.

use std::sync::Arc;

use jiff::Timestamp;
use rescind::auth0::{Endpoint, Item};

use crate::auth0::{Millis, Tenant};
use crate::clock::true_time;
use crate::cluster::{Key, Object, State, tenant_of};
use crate::restraints::{is_continuous, is_observed, never_acts, not_after, not_before, on_hold_until};
use crate::verdicts::is_unknown;
use crate::versions::Version;
use crate::wishes::FAR;
use crate::world::{Inner, World};

/// What an object of policy Continuous names may be held for so long after an interval and a fifth: the reads after a
/// removal, and the queue.
const READ_SCHEDULE: Millis = 22 * 60_000;
/// A check comes at the earliest after this share of the interval.
const EARLIEST: f64 = 0.9;

impl World {
    /// Calls to Auth0, DELETEs and status writes so far.
    pub fn counts(&self) -> Counts {
        let is_restless = self.is_restless();
        let inner = self.inner();
        let sum = |of: fn(&Tenant) -> u64| inner.auth0.values().map(of).sum();
        Counts {
            calls: sum(|auth0| auth0.log.calls),
            deletes: sum(|auth0| auth0.log.deletes.len() as u64),
            writes: inner.writes,
            is_restless,
        }
    }

    /// The objects that do not have the verdict that they should have and keep.
    pub fn unsettled(&self, version: Version) -> Vec<String> {
        let now = self.now();
        let inner = self.inner();
        let at_rest = |key: &Key, object: &Object| is_at_rest(&inner, key, object, version, now);
        let waits = removals(&inner.cluster.now).filter(|(key, object)| !at_rest(key, object));
        waits.map(|(key, object)| format!("{}/{} {:?}: {}", key.1, key.2, object.ready(), object.status)).collect()
    }

    /// Whether some object never comes to rest: one that is `StillPresent` is read again, rarely, for a week, and one of
    /// policy Continuous removes again and again what another program gives back at once.
    fn is_restless(&self) -> bool {
        let inner = self.inner();
        removals(&inner.cluster.now)
            .any(|(key, object)| matches!(object.ready(), Some((_, "StillPresent"))) || fights(&inner, key, object))
    }

    /// How many calls the checks of objects of policy Continuous may cost within this time.
    pub fn calls_of_checks(&self, within: Millis) -> u64 {
        let inner = self.inner();
        let calls = |(_, object): (&Key, &Arc<Object>)| {
            let checks = (within as f64 / (interval(object) as f64 * EARLIEST)).ceil() as u64 + 1;
            let Some((endpoint, items)) = &object.target else { return 0 };
            let lists = match endpoint {
                Endpoint::UserPermissions { .. } | Endpoint::UserRoles { .. } => 1,
                // If nobody of them is a member, also that of the organization.
                Endpoint::OrganizationMembers { .. } => items.len() as u64 + 1,
                Endpoint::OrganizationMemberRoles { .. } => 2,
            };
            // Some lists show that they have ended only by another page.
            checks * lists * 2
        };
        removals(&inner.cluster.now).filter(|(_, object)| is_checked(object)).map(calls).sum()
    }

    /// Whether there are objects of policy Continuous.
    pub fn has_checks(&self) -> bool {
        removals(&self.inner().cluster.now).any(|(_, object)| is_checked(object))
    }

    /// Checks that nothing is held any more that an object of policy Continuous has had enough time to remove.
    pub fn check_returns(&self) {
        let now = self.now();
        let mut late = Vec::new();
        {
            let inner = self.inner();
            let state = &inner.cluster.now;
            for (key, object) in removals(state).filter(|(_, object)| is_checked(object)) {
                let Some(auth0) = auth0_of(&inner, key, object) else { continue };
                let wall = inner.wall.at(now);
                let limit = interval(object) * 12 / 10 + auth0.lag + READ_SCHEDULE;
                let free_since = crate::verdicts::edited(state, key, object).max(self.plan.calm);
                // A clock that is set back may let its time begin once more, after it has acted.
                let is_free = |at: Timestamp| {
                    on_hold_until(state, key, object).is_none_or(|until| until <= at) && may_act(object, at)
                };
                let was_free = is_free(inner.wall.at(now.saturating_sub(limit))) && !is_observed(state, key, object);
                let stalled = matches!(object.ready(), Some((_, "SubjectNotFound" | "ItemNotFound")));
                if now < free_since + limit || !was_free || stalled || never_acts(object) || !may_act(object, wall) {
                    continue;
                }
                let Some((endpoint, items)) = &object.target else { continue };
                for item in items {
                    let is_known = auth0.knows_subject(endpoint) && !is_unknown(auth0, endpoint, item);
                    let held = auth0.held_since(endpoint, item).filter(|_| is_known);
                    if let Some(given) = held.filter(|given| given + limit < now) {
                        late.push(format!("{}/{}: {item} is held since {given}", key.1, key.2));
                    }
                }
            }
        }
        late.iter().for_each(|late| self.violated(9, late));
    }
}

/// How much happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub calls: u64,
    pub deletes: u64,
    pub writes: u64,
    /// Whether some object did not rest at that time. It may have come to rest since, with a read and a write.
    pub is_restless: bool,
}

pub fn removals(state: &State) -> impl Iterator<Item = (&Key, &Arc<Object>)> {
    state.iter().filter(|(key, _)| !matches!(key.0, "auth0tenants" | "secrets"))
}

/// Auth0 as the object's tenant object names it.
pub fn auth0_of<'a>(inner: &'a Inner, key: &Key, object: &Object) -> Option<&'a Tenant> {
    inner.auth0.get(tenant_of(&inner.cluster.now, key, object)?.spec["domain"].as_str()?)
}

/// What the object names and somebody holds.
pub fn held<'a>(auth0: &'a Tenant, object: &'a Object) -> impl Iterator<Item = &'a Item> {
    let target = object.target.as_ref().filter(|(endpoint, _)| auth0.knows_subject(endpoint));
    let is_held = |endpoint: &Endpoint, item: &Item| auth0.holds(endpoint, item) && !is_unknown(auth0, endpoint, item);
    target.into_iter().flat_map(move |(endpoint, items)| items.iter().filter(move |item| is_held(endpoint, item)))
}

/// Whether the times of the object let something be removed.
fn may_act(object: &Object, wall: Timestamp) -> bool {
    not_before(object).is_none_or(|at| at <= wall) && not_after(object).is_none_or(|at| at >= wall)
}

fn is_checked(object: &Object) -> bool {
    is_continuous(object) && !never_acts(object)
}

fn interval(object: &Object) -> Millis {
    let text = object.spec["interval"].as_str().unwrap_or("1h");
    let interval: jiff::SignedDuration = text.parse().unwrap();
    u64::try_from(interval.as_millis()).unwrap()
}

/// Whether the object removes again and again what another program gives back at once, or what a list shows although
/// Auth0 does not know it.
pub fn fights(inner: &Inner, key: &Key, object: &Object) -> bool {
    let Some(auth0) = auth0_of(inner, key, object).filter(|_| is_checked(object)) else { return false };
    let Some((endpoint, items)) = &object.target else { return false };
    let is_sticky = |item: &Item| auth0.sticky.contains(&(endpoint.clone(), item.clone()));
    items.iter().any(|item| auth0.holds(endpoint, item) && (is_sticky(item) || is_unknown(auth0, endpoint, item)))
}

/// Whether the object has the verdict that it should have, and keeps it.
fn is_at_rest(inner: &Inner, key: &Key, object: &Object, version: Version, now: Millis) -> bool {
    let wall = inner.wall.at(now);
    // The end of a hold brings a check, and the domain of the tenant, which was not known while that was on hold.
    let is_held = on_hold_until(&inner.cluster.now, key, object).is_some_and(|until| until > wall);
    if is_held && (is_continuous(object) || never_acts(object)) {
        return false;
    }
    let soon = |at: Timestamp| at > wall && at.duration_since(wall) < FAR;
    let waits_until = not_before(object).filter(|at| is_checked(object) && *at > wall);
    // So does the time from which on it may act.
    if waits_until.is_some_and(soon) {
        return false;
    }
    if fights(inner, key, object) {
        return true;
    }
    let is_current = object.status["observedGeneration"].as_i64() == Some(object.generation);
    // A request for a check is kept until the check may be made, however long that is.
    let keeps_request = waits_until.is_some() && matches!(object.ready(), Some(("True", _)));
    let answered = keeps_request || object.status["lastHandledReconcileAt"].as_str() == object.asked.as_deref();
    // A process tries once more what another version stalled for a reason that it does not know.
    let knows = version.knows(&object.status);
    let Some((ready, reason)) = object.ready().filter(|_| is_current && answered) else { return false };
    match reason {
        "WouldRemove" if knows => is_observed(&inner.cluster.now, key, object),
        "NotReplayed" => not_after(object).is_some_and(|end| true_time(object.created) > end),
        _ if ready == "True" => true,
        "Expired" => not_after(object).is_some_and(|end| inner.wall.latest(now) > end),
        // Nothing ends these but somebody who asks, or the end of the object's time.
        "SubjectNotFound" | "ItemNotFound" | "InvalidRequest" => knows && !not_after(object).is_some_and(soon),
        "StillPresent" => knows,
        "Scheduled" => not_before(object).is_some_and(|at| at > wall && !soon(at)),
        _ => false,
    }
}
