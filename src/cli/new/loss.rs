//! What one person is to lose, with the names that Auth0 shows. Plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::auth0::{Endpoint, Item};
use crate::cli::people::Named;
use crate::dispatch::Removal;
use crate::revocation::kind_at;

/// A permission of an API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The identifier (audience) of the API.
    pub api: Arc<str>,
    /// The name of the permission.
    pub name: Arc<str>,
    /// The roles through which the person has it, too, or only.
    pub through: Vec<Named>,
    /// Whether the person has it directly.
    pub is_direct: bool,
}

/// What a person holds, or is to lose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Tenant-wide roles, held directly.
    pub roles: BTreeSet<Named>,
    /// Permissions, held directly or through a role.
    pub permissions: BTreeSet<Permission>,
    /// Organizations of which the person is a member.
    pub organizations: BTreeSet<Named>,
    /// The roles inside each organization, held directly.
    pub member_roles: BTreeMap<Named, BTreeSet<Named>>,
    /// What could not be read, in a few words each.
    pub unread: Vec<String>,
}

/// What is removed with one object: where, which items, and the name of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRemoval {
    /// The endpoint and its items.
    pub removal: Removal,
    /// The names of the items, in the same order; empty where none is known.
    pub names: Vec<String>,
    /// The name of the organization, if it is about one and the name is known.
    pub place: String,
}

/// The most items of one object: what the schema allows.
const MAX_ITEMS: usize = 100;

impl Holdings {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        let direct = self.permissions.iter().any(|permission| permission.is_direct);
        self.roles.is_empty() && !direct && self.organizations.is_empty() && self.member_roles.is_empty()
    }

    /// `2 roles, 1 permission, 3 organizations, 4 roles in them`.
    pub fn summary(&self) -> String {
        if self.is_empty() {
            return "holds nothing".to_owned();
        }
        let count = crate::cli::texts::count;
        let in_them: usize = self.member_roles.values().map(BTreeSet::len).sum();
        let direct = self.permissions.iter().filter(|permission| permission.is_direct).count();
        let mut text = format!(
            "{}, {}, {}",
            count(self.roles.len(), "role"),
            count(direct, "permission"),
            count(self.organizations.len(), "organization"),
        );
        if in_them > 0 {
            text += &format!(", {} in them", count(in_them, "role"));
        }
        text
    }

    /// The removals that take all of it away from this user, one for each kind and place. A permission that only comes
    /// through a role is none: it goes with the role.
    pub fn removals(&self, user: &Arc<str>) -> Vec<NamedRemoval> {
        let user = || user.clone();
        let id = |named: &Named| (Item::Id(named.id.clone()), named.name.clone().unwrap_or_default());
        let mut all = Vec::new();
        let roles = self.roles.iter().map(id).collect();
        add(&mut all, Endpoint::UserRoles { user: user() }, roles, "");
        let permissions = self.permissions.iter().filter(|permission| permission.is_direct);
        let permissions = permissions.map(|permission| {
            let Permission { api, name, .. } = permission;
            (Item::Permission { resource_server: api.clone(), name: name.clone() }, String::new())
        });
        add(&mut all, Endpoint::UserPermissions { user: user() }, permissions.collect(), "");
        for (organization, roles) in &self.member_roles {
            let endpoint = Endpoint::OrganizationMemberRoles { organization: organization.id.clone(), user: user() };
            let place = organization.name.as_deref().unwrap_or_default();
            add(&mut all, endpoint, roles.iter().map(id).collect(), place);
        }
        for organization in &self.organizations {
            let endpoint = Endpoint::OrganizationMembers { organization: organization.id.clone() };
            let member = vec![(Item::Id(user()), String::new())];
            let place = organization.name.as_deref().unwrap_or_default();
            add(&mut all, endpoint, member, place);
        }
        all
    }
}

impl NamedRemoval {
    /// Removals of these items, whose names are not known.
    pub fn unnamed(endpoint: &Endpoint, items: &[Item]) -> Vec<Self> {
        let mut all = Vec::new();
        add(&mut all, endpoint.clone(), items.iter().map(|item| (item.clone(), String::new())).collect(), "");
        all
    }

    /// The name of its kind.
    pub const fn kind(&self) -> &'static str {
        kind_at(&self.removal.endpoint)
    }
}

fn add(all: &mut Vec<NamedRemoval>, endpoint: Endpoint, mut items: Vec<(Item, String)>, place: &str) {
    items.sort();
    for items in items.chunks(MAX_ITEMS) {
        let (items, names) = items.iter().cloned().unzip();
        let removal = Removal { endpoint: endpoint.clone(), items };
        all.push(NamedRemoval { removal, names, place: place.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: &str) -> Named {
        Named { id: id.into(), name: None }
    }

    #[test]
    fn one_object_for_each_kind_and_place() {
        let permission =
            |name: &str, is_direct| Permission { api: "a".into(), name: name.into(), through: vec![], is_direct };
        let held = Holdings {
            roles: (0..101).map(|n| named(&format!("rol_{n:03}"))).collect(),
            permissions: [permission("p", true), permission("q", false)].into(),
            organizations: [named("org_1"), named("org_2")].into(),
            member_roles: [(named("org_1"), [named("rol_1")].into())].into(),
            unread: vec![],
        };
        let removals = held.removals(&"auth0|x".into());
        let sizes: Vec<_> = removals.iter().map(|one| (one.kind(), one.removal.items.len())).collect();
        assert_eq!(
            sizes,
            [
                ("UserRoleRevocation", 100),
                ("UserRoleRevocation", 1),
                ("UserPermissionRevocation", 1),
                ("OrgMemberRoleRemoval", 1),
                ("OrgMembershipRemoval", 1),
                ("OrgMembershipRemoval", 1),
            ]
        );
        assert_eq!(held.summary(), "101 roles, 1 permission, 2 organizations, 1 role in them");
    }
}
