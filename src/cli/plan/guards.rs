//! The guards that count: the brake, the share of an organization, and the last holders of a role. They are computed as
//! the operator would for these objects alone, without those that wait for a time or a person; what other objects ask
//! for at the same time is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::TenantObject;
use crate::auth0::{Endpoint, Fact, Item, Question};
use crate::cli::look::{self, Seen};
use crate::cli::object::Object;
use crate::cli::reads::{ReadError, Reads};
use crate::cli::texts::{count, thousands};
use crate::tenant::{ItemId, share_limit};

use super::planned::Planned;
use super::verdict::{Act, Judged, Presence};

/// What the guards would do.
#[derive(Debug, Default)]
pub struct Counted {
    /// Why an object, by its place in the plan, would be refused.
    pub refused: BTreeMap<usize, String>,
    /// What is to be said of the numbers.
    pub lines: Vec<String>,
}

/// What the guards of the tenant would do with these objects.
pub async fn guard(
    reads: &mut Reads<'_>,
    seen: &mut Seen,
    tenant: Option<&dyn TenantObject>,
    planned: &[Planned],
    judged: &[Judged],
) -> Counted {
    let mut counted = Counted::default();
    let Some(tenant) = tenant else { return counted };
    let removing: Vec<(usize, &Object)> = planned
        .iter()
        .zip(judged)
        .enumerate()
        .filter(|(_, (_, judged))| judged.act == Act::Remove && judged.wait.is_none())
        .map(|(at, (planned, _))| (at, &planned.object))
        .collect();
    holders(reads, seen, tenant, &removing, &mut counted).await;
    shares(reads, seen, tenant, &removing, &mut counted).await;
    brake(tenant, &removing, &mut counted);
    counted
}

/// The brake counts every item that an object asks for, held or not, once.
fn brake(tenant: &dyn TenantObject, removing: &[(usize, &Object)], counted: &mut Counted) {
    let (brake, total) = tenant.brake();
    let mut by_namespace: BTreeMap<&str, BTreeSet<ItemId>> = BTreeMap::new();
    for (_, object) in removing {
        by_namespace.entry(object.namespace()).or_default().extend(ItemId::of(&object.removal));
    }
    let limit = |limit: i32| usize::try_from(limit).unwrap_or(0);
    let window = brake.window.as_str();
    for (namespace, items) in &by_namespace {
        let (asked, max) = (items.len(), limit(brake.max_removals));
        let numbers =
            format!("{} of {} items within {window} in namespace {namespace}", thousands(asked), thousands(max));
        counted.lines.push(if asked > max {
            format!("Brake: {numbers}: it would engage before the first removal, and wait for a release")
        } else {
            format!("Brake: {numbers}")
        });
    }
    let all: usize = by_namespace.values().map(BTreeSet::len).sum();
    if let Some(total) = total.map(limit).filter(|total| all > *total) {
        let (all, total) = (thousands(all), thousands(total));
        counted.lines.push(format!("Brake: {all} of {total} items within {window} in all namespaces: it would engage"));
    }
}

/// Too large a share of an organization.
async fn shares(
    reads: &mut Reads<'_>,
    seen: &mut Seen,
    tenant: &dyn TenantObject,
    removing: &[(usize, &Object)],
    counted: &mut Counted,
) {
    let share = usize::try_from(tenant.brake().0.max_share_of_organization).unwrap_or(0);
    let mut leaving: BTreeMap<Arc<str>, (BTreeSet<&Item>, Vec<usize>)> = BTreeMap::new();
    for (at, object) in removing {
        if let Endpoint::OrganizationMembers { organization } = &object.removal.endpoint {
            let (people, objects) = leaving.entry(organization.clone()).or_default();
            people.extend(&object.removal.items);
            objects.push(*at);
        }
    }
    if share >= 100 {
        return;
    }
    let mut largest: Option<(usize, String)> = None;
    for (organization, (people, objects)) in leaving {
        let members = look::count(reads, seen, &organization).await;
        let known = members.as_ref().ok().and_then(|members| usize::try_from(*members).ok());
        let people = people.len();
        let of = |members: usize| format!("{organization} {people} of {} members", thousands(members));
        if share_limit(share, known).is_some_and(|limit| people > limit) {
            let numbers = known.map_or_else(|| unknown(&organization, &members), of);
            let why = format!("BrakeEngaged: more than {share} % of an organization ({numbers})");
            counted.refused.extend(objects.into_iter().map(|at| (at, why.clone())));
        }
        if let Some(members) = known.filter(|members| *members > 0) {
            let percent = (people * 100).div_ceil(members);
            if largest.as_ref().is_none_or(|(most, _)| percent > *most) {
                largest = Some((percent, format!("{} ({percent} %)", of(members))));
            }
        }
    }
    counted.lines.extend(largest.map(|(_, text)| format!("Largest share of an organization: {text}")));
}

fn unknown(organization: &str, members: &Result<u64, ReadError>) -> String {
    let why = members.as_ref().err().map(ToString::to_string).unwrap_or_default();
    format!("how many members {organization} has is not known: {why}")
}

/// Roles that must keep some holders.
async fn holders(
    reads: &mut Reads<'_>,
    seen: &Seen,
    tenant: &dyn TenantObject,
    removing: &[(usize, &Object)],
    counted: &mut Counted,
) {
    for keep in &tenant.tenant_spec().protected.keep_holders {
        let role: Arc<str> = keep.role_id.as_str().into();
        let item = Item::Id(role.clone());
        let takes = |object: &Object| {
            matches!(object.removal.endpoint, Endpoint::UserRoles { .. }) && object.removal.items.contains(&item)
        };
        let taking: Vec<&(usize, &Object)> = removing.iter().filter(|(_, object)| takes(object)).collect();
        if taking.is_empty() {
            continue;
        }
        let at_least = usize::try_from(keep.at_least).unwrap_or(0);
        let why = match reads.fact(Question::RoleHolders { role: role.clone() }).await {
            Ok(Fact::RoleHolders(holders)) => {
                let is_held = |object: &Object| seen.presence(&object.removal.endpoint, &item) != Presence::Absent;
                let losing: BTreeSet<&Arc<str>> = taking
                    .iter()
                    .filter(|(_, object)| is_held(object))
                    .filter_map(|(_, object)| object.removal.endpoint.user())
                    .collect();
                let left = holders.iter().filter(|holder| !losing.contains(holder)).count();
                (left < at_least)
                    .then(|| format!("it has {}, and {left} would be left", count(holders.len(), "holder")))
            }
            Ok(_) => Some("who holds it is not known".to_owned()),
            Err(error) => Some(format!("who holds it is not known: {error}")),
        };
        if let Some(why) = why {
            let text = format!("Protected: the last {at_least} holders of role {role} ({why})");
            counted.refused.extend(taking.iter().map(|(at, _)| (*at, text.clone())));
        }
    }
}
