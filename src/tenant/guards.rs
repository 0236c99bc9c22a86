//! What the guards of a tenant keep from being removed. Pure.

use std::time::Duration;

use crate::api::{KeepHolders, Protected, RELEASE_BRAKE_ANNOTATION, TenantObject};
use crate::auth0::{Endpoint, Item, ItemKind, Question};
use crate::dispatch::Removal;

use super::brake::{Group, GroupRefusal, GroupRules, HOLDERS_TTL};
use super::key::TenantKey;

/// What of a removal the tenant protects, for users: the first protected user, organization or role that it names. Then
/// nothing of it is sent: a list with a break-glass account in it is the wrong list.
pub fn protected_target(protected: &Protected, removal: &Removal) -> Option<String> {
    let Protected { user_ids, role_ids, organization_ids, .. } = protected;
    let is_user = |id: &str| user_ids.iter().any(|user| user.as_str() == id);
    let is_role = |id: &str| role_ids.iter().any(|role| role.as_str() == id);
    let is_organization = |id: &str| organization_ids.iter().any(|organization| organization.as_str() == id);
    let endpoint = &removal.endpoint;
    let named = |what: &str, id: &str| format!("{what} {id}");
    let of_path = || {
        let organization = endpoint.organization().filter(|id| is_organization(id)).map(|id| named("organization", id));
        organization.or_else(|| endpoint.user().filter(|id| is_user(id)).map(|id| named("user", id)))
    };
    let of_item = |item: &Item| match (endpoint.items(), item) {
        (ItemKind::Role, Item::Id(id)) if is_role(id) => Some(named("role", id)),
        (ItemKind::Member, Item::Id(id)) if is_user(id) => Some(named("user", id)),
        (ItemKind::Organization, Item::Id(id)) if is_organization(id) => Some(named("organization", id)),
        (ItemKind::Role | ItemKind::Member | ItemKind::Organization | ItemKind::Permission, _) => None,
    };
    of_path().or_else(|| removal.items.iter().find_map(of_item))
}

/// Why the brake of this tenant keeps a removal from being sent, for users. The numbers that change are in the status of
/// the tenant: with them, the statuses of all the objects would have to be written again and again.
pub(super) fn braked(key: &TenantKey, tenant: &dyn TenantObject) -> String {
    let (brake, total) = tenant.brake();
    let (kind, name, max, window) = (key.kind(), &key.name, brake.max_removals, brake.window.as_str());
    let limit = match total {
        None => format!("spec.brake allows {max} within {window}"),
        Some(total) => format!("spec.brake allows {max} of a namespace and {total} of all namespaces within {window}"),
    };
    format!(
        "The brake of {kind} {name} is engaged: more items would be removed than it lets through ({limit}), so nothing \
         is sent. Its status.brake and its condition BrakeEngaged give the number. Remove the objects that are a \
         mistake; or have the tenant's owner release them with the annotation {RELEASE_BRAKE_ANNOTATION}, whose value \
         is the id in status.brake."
    )
}

/// Why too large a share of an organization would be removed, for users. `is_known`: it is known how many members it
/// has.
pub(super) fn braked_share(key: &TenantKey, tenant: &dyn TenantObject, removal: &Removal, is_known: bool) -> String {
    let (brake, _) = tenant.brake();
    let (kind, name, window) = (key.kind(), &key.name, brake.window.as_str());
    let organization = removal.endpoint.organization().map_or("", |id| id);
    let share = brake.max_share_of_organization;
    let why = if is_known {
        format!(
            "more than {share} % of the members of organization {organization} would be removed within {window} \
             (spec.brake.maxShareOfOrganization), so nothing more is sent there. Remove the objects that are a mistake, \
             or have the share raised; 100 allows all"
        )
    } else {
        format!(
            "how many members organization {organization} has cannot be read, so one person within {window} is removed \
             there and no more. Grant the token read:organization_members, or have \
             spec.brake.maxShareOfOrganization set to 100, which asks for no number"
        )
    };
    format!("The brake of {kind} {name} is engaged: {why}.")
}

/// What of a removal must keep its last holders, for users.
pub(super) fn kept_role(protected: &Protected, removal: &Removal, refusal: &GroupRefusal) -> Option<String> {
    let GroupRefusal::Holders { at_least, is_known } = refusal else { return None };
    let is_named = |keep: &&KeepHolders| {
        let names = |item: &Item| matches!(item, Item::Id(id) if **id == *keep.role_id.as_str());
        removal.items.iter().any(names)
    };
    let role = protected.keep_holders.iter().find(is_named)?.role_id.as_str();
    let unknown =
        if *is_known { "" } else { " (who holds it cannot be read: grant the token read:users and read:roles)" };
    Some(format!("the last {at_least} holders of role {role}{unknown}"))
}

/// What the guards have to know before something of a removal is removed, and how old that may be.
pub(super) fn questions(tenant: &dyn TenantObject, removal: &Removal) -> Vec<(Question, Duration)> {
    let (brake, _) = tenant.brake();
    match removal.endpoint.items() {
        ItemKind::Member if brake.max_share_of_organization < 100 => {
            let Some(organization) = removal.endpoint.organization() else { return Vec::new() };
            let window = brake.window.duration().unwrap_or(Duration::MAX);
            vec![(Question::MemberCount { organization: organization.clone() }, window)]
        }
        ItemKind::Role if matches!(removal.endpoint, Endpoint::UserRoles { .. }) => {
            let keep = &tenant.tenant_spec().protected.keep_holders;
            let is_kept = |role: &str| keep.iter().any(|keep| keep.role_id.as_str() == role);
            let kept = removal.items.iter().filter_map(|item| match item {
                Item::Id(role) if is_kept(role) => Some((Question::RoleHolders { role: role.clone() }, HOLDERS_TTL)),
                Item::Id(_) | Item::Permission { .. } => None,
            });
            kept.collect()
        }
        ItemKind::Member | ItemKind::Role | ItemKind::Permission | ItemKind::Organization => Vec::new(),
    }
}

/// What the guards of groups allow.
pub(super) fn group_rules(tenant: &dyn TenantObject) -> GroupRules {
    let size = |number: i32| usize::try_from(number).unwrap_or(0);
    let keep = &tenant.tenant_spec().protected.keep_holders;
    GroupRules {
        share: size(tenant.brake().0.max_share_of_organization),
        keep: keep.iter().map(|keep| (Group::of_role(keep.role_id.as_str()), size(keep.at_least))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth0::Endpoint;

    #[test]
    fn what_is_protected_is_named() {
        let protected: Protected = serde_json::from_value(json!({
            "userIds": ["auth0|safe"], "roleIds": ["rol_safe"], "organizationIds": ["org_safe"], "keepHolders": [],
        }))
        .unwrap();
        let member_roles = |organization: &str, user: &str| Endpoint::OrganizationMemberRoles {
            organization: organization.into(),
            user: user.into(),
        };
        let members = |organization: &str| Endpoint::OrganizationMembers { organization: organization.into() };
        let roles = |user: &str| Endpoint::UserRoles { user: user.into() };
        let permissions = |user: &str| Endpoint::UserPermissions { user: user.into() };
        let rows: &[(Endpoint, &[&str], Option<&str>)] = &[
            (roles("auth0|safe"), &["rol_a"], Some("user auth0|safe")),
            (roles("auth0|a"), &["rol_a", "rol_safe"], Some("role rol_safe")),
            (roles("auth0|a"), &["rol_a"], None),
            // An id of another kind is not meant.
            (roles("auth0|a"), &["auth0|safe"], None),
            (members("org_a"), &["auth0|a", "auth0|safe"], Some("user auth0|safe")),
            (members("org_a"), &["auth0|a"], None),
            (members("org_safe"), &["auth0|a"], Some("organization org_safe")),
            (member_roles("org_safe", "auth0|a"), &["rol_a"], Some("organization org_safe")),
            (member_roles("org_a", "auth0|safe"), &["rol_a"], Some("user auth0|safe")),
            (member_roles("org_a", "auth0|a"), &["rol_safe"], Some("role rol_safe")),
            (permissions("auth0|safe"), &["read:x"], Some("user auth0|safe")),
            (permissions("auth0|a"), &["read:x"], None),
        ];
        for (endpoint, items, expected) in rows {
            let item = |id: &&str| match endpoint.items() {
                ItemKind::Permission => Item::Permission { resource_server: "rol_safe".into(), name: (*id).into() },
                ItemKind::Role | ItemKind::Member | ItemKind::Organization => Item::Id((*id).into()),
            };
            let removal = Removal { endpoint: endpoint.clone(), items: items.iter().map(item).collect() };
            assert_eq!(protected_target(&protected, &removal).as_deref(), *expected, "{removal:?}");
            assert_eq!(protected_target(&Protected::default(), &removal), None);
        }
    }
}
