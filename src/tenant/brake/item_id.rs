//! Items as the guards count them: hashes, because there may be many.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::auth0::{Endpoint, Item};
use crate::dispatch::Removal;

/// Items that one more guard counts together: the members of an organization, or the holders of a role in the whole
/// Auth0 tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// No such guard counts it.
    None,
    /// The members of an organization.
    Organization(u64),
    /// The holders of a role.
    Role(u64),
}

impl Group {
    /// The members of an organization.
    pub fn of_organization(organization: &str) -> Self {
        Self::Organization(hash(organization))
    }

    /// The holders of a role.
    pub fn of_role(role: &str) -> Self {
        Self::Role(hash(role))
    }

    fn of(endpoint: &Endpoint, item: &Item) -> Self {
        match (endpoint, item) {
            (Endpoint::OrganizationMembers { organization }, _) => Self::of_organization(organization),
            (Endpoint::UserRoles { .. }, Item::Id(role)) => Self::of_role(role),
            _ => Self::None,
        }
    }
}

/// One item at one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId {
    hash: u64,
    pub(super) group: Group,
}

impl ItemId {
    /// A made-up one.
    #[cfg(test)]
    pub(super) const fn test(hash: u64, group: Group) -> Self {
        Self { hash, group }
    }

    /// Those of a removal.
    pub fn of(removal: &Removal) -> Vec<Self> {
        let Removal { endpoint, items } = removal;
        items.iter().map(|item| Self { hash: hash((endpoint, item)), group: Group::of(endpoint, item) }).collect()
    }

    /// That a user holds a role.
    pub fn of_holder(user: &Arc<str>, role: &Arc<str>) -> Self {
        let (endpoint, item) = (Endpoint::UserRoles { user: user.clone() }, Item::Id(role.clone()));
        Self { hash: hash((&endpoint, &item)), group: Group::of(&endpoint, &item) }
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(endpoint: Endpoint, items: &[&str]) -> Vec<ItemId> {
        ItemId::of(&Removal { endpoint, items: items.iter().map(|id| Item::Id((*id).into())).collect() })
    }

    fn roles(user: &str) -> Endpoint {
        Endpoint::UserRoles { user: user.into() }
    }

    fn members(organization: &str) -> Endpoint {
        Endpoint::OrganizationMembers { organization: organization.into() }
    }

    #[test]
    fn an_item_is_what_it_is_at_its_endpoint() {
        assert_eq!(of(roles("a"), &["r", "s"])[0], of(roles("a"), &["s", "r"])[1]);
        let member_roles = Endpoint::OrganizationMemberRoles { organization: "o".into(), user: "a".into() };
        let all = [
            of(roles("a"), &["r", "s"]),
            of(roles("b"), &["r"]),
            of(members("o"), &["a"]),
            of(members("p"), &["a"]),
            of(member_roles, &["r"]),
        ];
        let distinct: std::collections::BTreeSet<ItemId> = all.iter().flatten().copied().collect();
        assert_eq!(distinct.len(), 6);
    }

    #[test]
    fn the_guards_of_groups_count_members_and_direct_holders() {
        let member_roles = Endpoint::OrganizationMemberRoles { organization: "o".into(), user: "a".into() };
        assert_eq!(of(members("o"), &["a"])[0].group, Group::of_organization("o"));
        assert_eq!(of(roles("a"), &["r"])[0].group, Group::of_role("r"));
        assert_eq!(of(member_roles, &["r"])[0].group, Group::None);
        // A holder who was read is the one who is to lose the role.
        assert_eq!(ItemId::of_holder(&"a".into(), &"r".into()), of(roles("a"), &["r"])[0]);
    }
}
