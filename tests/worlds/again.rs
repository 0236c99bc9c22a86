//! A second life of the same world. A process that starts when all has come to rest finds nothing to do. One that finds
//! no status at all comes to the same verdicts, as far as Auth0 and the clocks still say the same, and comes to rest.

use std::collections::BTreeMap;

use rescind::auth0::{Endpoint, Item};
use serde_json::json;

use crate::auth0::{Millis, Tenant};
use crate::clock::true_time;
use crate::cluster::{Key, Object};
use crate::life::{Life, VERDICTS};
use crate::restraints::{is_continuous, is_observed, not_after, not_before};
use crate::settled::{auth0_of, fights, held, removals};
use crate::verdicts::is_unknown;
use crate::world::Inner;

/// One in so many worlds is lived through again, for that takes as long as the first time.
const ONE_IN: u64 = 4;
/// For so long nothing may be sent or written.
const QUIET: Millis = 20 * 60_000;

/// What kind of verdict an object has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Gone,
    WouldRemove,
    StillPresent,
    NotFound,
    Expired,
    NotReplayed,
    Scheduled,
    Other,
}

/// Two more processes begin, the second of them without any status.
pub async fn live_again(life: &mut Life) {
    if !life.world.plan.seed.is_multiple_of(ONE_IN) {
        return;
    }
    life.hand_over(life.version).crash();
    let before = life.world.counts();
    life.live_on(QUIET).await;
    life.check_silence(before, QUIET);
    if life.is_broken() {
        return;
    }
    let settled = classes(life);
    forget_statuses(life);
    life.hand_over(life.version).crash();
    let end = life.world.now() + VERDICTS;
    while !life.world.unsettled(life.version).is_empty() && life.world.now() < end && !life.is_broken() {
        life.live_on(60_000).await;
    }
    let unsettled = life.world.unsettled(life.version);
    if !unsettled.is_empty() {
        life.world.violated(9, &format!("no verdict in the second life: {}", unsettled.join("; ")));
    }
    // What is checked is looked at once more, in case a late answer changed it.
    life.live_on(QUIET).await;
    let before = life.world.counts();
    life.live_on(QUIET).await;
    life.check_silence(before, QUIET);
    compare(life, &settled);
}

fn forget_statuses(life: &Life) {
    let at = life.world.now();
    let mut inner = life.world.inner();
    let keys: Vec<Key> = removals(&inner.cluster.now).map(|(key, _)| key.clone()).collect();
    for key in keys {
        inner.cluster.change(at, &key, false, |object| {
            let status = json!({ "observedGeneration": -1 });
            object.map(|object| Object {
                status,
                finished_for: None,
                asked: None,
                edited: at,
                has_ended: false,
                ..object
            })
        });
    }
}

fn classes(life: &Life) -> BTreeMap<Key, Class> {
    let inner = life.world.inner();
    removals(&inner.cluster.now).map(|(key, object)| (key.clone(), class(object))).collect()
}

fn class(object: &Object) -> Class {
    match object.ready().map_or("", |(_, reason)| reason) {
        "Removed" | "RemovedUnverified" | "AlreadyAbsent" | "SubjectGone" => Class::Gone,
        "WouldRemove" => Class::WouldRemove,
        "StillPresent" => Class::StillPresent,
        "SubjectNotFound" | "ItemNotFound" => Class::NotFound,
        "Expired" => Class::Expired,
        "NotReplayed" => Class::NotReplayed,
        "Scheduled" => Class::Scheduled,
        _ => Class::Other,
    }
}

fn compare(life: &Life, settled: &BTreeMap<Key, Class>) {
    let now = life.world.now();
    let mut differ = Vec::new();
    {
        let inner = life.world.inner();
        for (key, object) in removals(&inner.cluster.now).filter(|(key, object)| !fights(&inner, key, object)) {
            let (before, after) = (settled[key], class(object));
            if let Some(why) = differs(&inner, key, object, (before, after), now) {
                let status = &object.status;
                differ
                    .push(format!("{}/{}: {before:?} became {after:?}: {why}: {status} {}", key.1, key.2, object.spec));
            }
        }
    }
    differ.iter().for_each(|what| life.world.violated(9, what));
}

/// Why these verdicts do not agree with each other and with what Auth0 and the clocks say now.
fn differs(
    inner: &Inner,
    key: &Key,
    object: &Object,
    (before, after): (Class, Class),
    now: Millis,
) -> Option<&'static str> {
    let auth0 = auth0_of(inner, key, object)?;
    let (endpoint, items) = object.target.as_ref()?;
    let wall = inner.wall.at(now);
    let (end, is_observed) = (not_after(object), is_observed(&inner.cluster.now, key, object));
    let is_held = held(auth0, object).next().is_some();
    let is_listed = items.iter().any(|item| auth0.holds(endpoint, item));
    let is_sticky = items.iter().any(|item| auth0.sticky.contains(&(endpoint.clone(), item.clone())));
    // What Auth0 does not know any more it may still list, and then its lists say that it remains.
    let lists_unknown = items.iter().any(|item| auth0.holds(endpoint, item) && is_unknown(auth0, endpoint, item));
    let is_some_unknown = items.iter().any(|item| is_unknown(auth0, endpoint, item)) || !auth0.knows_subject(endpoint);
    let has_passed = end.is_some_and(|end| wall > end);
    let is_old = end.is_some_and(|end| true_time(object.created) > end);
    let is_wrong = match after {
        Class::Gone => is_held && !is_sticky,
        // Once looks once; others may remove it later.
        Class::WouldRemove => !is_observed || (!is_listed && is_continuous(object)),
        Class::StillPresent => !is_sticky && !lists_unknown,
        Class::NotFound => !is_some_unknown,
        Class::Expired => !has_passed,
        Class::NotReplayed => !is_old,
        Class::Scheduled => not_before(object).is_none_or(|at| at <= wall),
        Class::Other => true,
    };
    if is_wrong {
        return Some("that is not so");
    }
    let agrees = match (before, after) {
        _ if before == after => true,
        // What another version wrote, and what no process of this one can know any more.
        (Class::Other, _) | (_, Class::Expired | Class::NotReplayed | Class::Scheduled) => true,
        (Class::NotReplayed, _) => false,
        (Class::Expired, _) => !has_passed,
        // The user or the item went after the verdict.
        (_, Class::NotFound) => true,
        // What was given back after the verdict, or taken away.
        (Class::WouldRemove | Class::Gone | Class::StillPresent, _) => true,
        // Of several items one may be unknown and another still there. A list without an item does not say either that
        // Auth0 does not know it. A 404 can also mean that the user was no member of the organization while it was judged.
        (Class::NotFound, Class::Gone | Class::StillPresent | Class::WouldRemove) => {
            is_some_unknown || became_member(auth0, endpoint, object.created)
        }
        (Class::NotFound | Class::Scheduled, _) => false,
    };
    (!agrees).then_some("nothing has changed that would say so")
}

/// Whether the user of this endpoint has become a member of its organization since then.
fn became_member(auth0: &Tenant, endpoint: &Endpoint, since: Millis) -> bool {
    let Endpoint::OrganizationMemberRoles { organization, user } = endpoint else { return false };
    let members = Endpoint::OrganizationMembers { organization: organization.clone() };
    auth0.held_since(&members, &Item::Id(user.clone())).is_some_and(|given| given >= since)
}
