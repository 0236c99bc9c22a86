//! The record of the brake in the status of a tenant: what is listed in it, and what is read from it. Pure.

use crate::api::{BrakeId, BrakeStatus, NamespaceBrake};

use super::engagement::Engagement;

/// The list cut to a fixed length; what is cut counts for every namespace that is not named. A namespace of which an
/// earlier leader did not give the name stays without one, unless the brake is engaged for it: what `others` counts may
/// have been sent there.
pub(super) fn cut(
    all: Vec<NamespaceBrake>,
    is_unlisted: impl Fn(&NamespaceBrake) -> bool,
    others: usize,
) -> Vec<NamespaceBrake> {
    let (mut rest, mut listed): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|one| one.id.is_none() && is_unlisted(one));
    if listed.len() > BrakeStatus::MAX_NAMESPACES {
        listed.sort_by_key(|one| (one.id.is_none(), std::cmp::Reverse(one.used.saturating_add(one.allotted))));
        rest.extend(listed.split_off(BrakeStatus::MAX_NAMESPACES));
        listed.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let used = rest.iter().fold(number(others), |used, one| used.saturating_add(one.used).saturating_add(one.allotted));
    if used > 0 {
        listed.push(NamespaceBrake { name: BrakeStatus::OTHERS.to_owned(), used, ..NamespaceBrake::default() });
    }
    listed
}

/// The engagements that a record names.
pub(super) fn ids(record: Option<&BrakeStatus>) -> Vec<(&str, &str)> {
    let Some(record) = record else { return Vec::new() };
    let own = record.id.iter().map(|id| ("", id.as_str()));
    own.chain(record.namespaces.iter().filter_map(|one| Some((one.name.as_str(), one.id.as_deref()?)))).collect()
}

/// The engagement that a record names. That it is still to begin is found out at the next decision.
pub(super) fn engagement_of(id: Option<&str>) -> Option<Engagement> {
    Some(Engagement { id: BrakeId::parse(id?)?, begins_at: None })
}

pub(super) fn size(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}

pub(super) fn number(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}
