//! The content of a tenant: users, roles, APIs, organizations, and their relations.
//!
//! Plain data; the operations that change it are in `state/change.rs`, the convenient way to fill it in `edit.rs`, and
//! the comparison of two states in `diff.rs`. Nothing here knows HTTP, lag or faults.
//!
//! Everything is in `Arc`s that are copied on write, so a snapshot ([`Clone`]) costs a few pointers however large the
//! tenant is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::joining::{Joined, Joining};

mod change;

/// A map that is shared between snapshots until one of them changes.
type Table<T> = Arc<BTreeMap<String, Arc<T>>>;

/// Permissions as `resource server identifier -> permission name -> where they come from`.
pub type Permissions = BTreeMap<String, BTreeMap<String, BTreeSet<Source>>>;

/// The content of one tenant.
///
/// Its serde form is the state file of the `fake-auth0` program; the README of this crate describes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "StateDocument")]
pub struct State {
    users: Table<User>,
    roles: Table<Role>,
    resource_servers: Table<ResourceServer>,
    organizations: Table<Organization>,
    groups: Table<UserGroup>,
    /// user -> organizations: derived from `organizations`, kept so that "the user's organizations" is O(log n).
    #[serde(skip)]
    memberships: Table<BTreeSet<String>>,
    /// organization -> when its members joined: the order in which they are listed.
    #[serde(skip)]
    joining: Table<Joining>,
    /// The time of the latest joining.
    #[serde(skip)]
    latest: Joined,
}

/// Two states are equal if they hold the same, whatever the order in which people joined.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.users == other.users
            && self.roles == other.roles
            && self.resource_servers == other.resource_servers
            && self.organizations == other.organizations
            && self.groups == other.groups
    }
}

impl Eq for State {}

/// One user, with their roles and permissions on the tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// The e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Role ids assigned on the tenant (not within an organization).
    pub roles: BTreeSet<String>,
    /// Permissions and where each comes from.
    pub permissions: Permissions,
    /// Ids of accounts that were linked to this one. They are shown as its identities and are not users any more.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub linked: BTreeSet<String>,
    /// Whether it is blocked; not shown unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<bool>,
    /// How often it has logged in, if not once. Who never has is shown without the fields of a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logins_count: Option<u32>,
    /// The time of its last login, if not the beginning of 2026.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_login: Option<String>,
    /// When it was created, if not at the beginning of 2026.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
}

/// The source of a permission of a user. Serialized as `DIRECT` or as the id of the role.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Source {
    /// Given to the user directly: what `DELETE users/{id}/permissions` removes.
    #[default]
    Direct,
    /// Through this role: goes away with the role.
    Role(String),
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        if text == "DIRECT" { Self::Direct } else { Self::Role(text) }
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        match source {
            Source::Direct => "DIRECT".into(),
            Source::Role(id) => id,
        }
    }
}

/// A role definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Role {
    /// The role's name.
    pub name: String,
    /// The role's description.
    pub description: String,
    /// The organization the role belongs to, unless it belongs to the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// The permissions that it gives: identifier of the API -> names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub permissions: BTreeMap<String, BTreeSet<String>>,
}

/// An API (resource server) and the permissions it defines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceServer {
    /// The API's name.
    pub name: String,
    /// permission name -> description.
    pub permissions: BTreeMap<String, String>,
    /// Whether RBAC is on: whether permissions limit what tokens may do.
    pub enforce_policies: bool,
    /// How long its access tokens are valid, in seconds.
    pub token_lifetime: u32,
}

impl Default for ResourceServer {
    fn default() -> Self {
        Self { name: String::new(), permissions: BTreeMap::new(), enforce_policies: true, token_lifetime: 86_400 }
    }
}

/// An organization and its members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Organization {
    /// The organization's name.
    pub name: String,
    /// The organization's display name.
    pub display_name: String,
    /// user id -> ids of the roles held within this organization.
    pub members: BTreeMap<String, BTreeSet<String>>,
    /// connection name -> whether who logs in through it becomes a member.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub connections: BTreeMap<String, bool>,
}

/// A group of users that an enterprise's directory keeps, and the roles that its members have through it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserGroup {
    /// The group's name.
    pub name: String,
    /// Ids of the users in it.
    pub members: BTreeSet<String>,
    /// Ids of the roles that it gives on the tenant.
    pub roles: BTreeSet<String>,
    /// organization id -> ids of the roles that it gives there, to those who are members.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub organization_roles: BTreeMap<String, BTreeSet<String>>,
}

/// The serialized form, from which the derived indices are rebuilt.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StateDocument {
    users: Table<User>,
    roles: Table<Role>,
    resource_servers: Table<ResourceServer>,
    organizations: Table<Organization>,
    groups: Table<UserGroup>,
}

impl From<StateDocument> for State {
    fn from(document: StateDocument) -> Self {
        let mut state = Self {
            users: document.users,
            roles: document.roles,
            resource_servers: document.resource_servers,
            organizations: document.organizations,
            groups: document.groups,
            ..Self::default()
        };
        let organizations = Arc::clone(&state.organizations);
        for (id, organization) in organizations.iter() {
            // In an order that has nothing to do with the ids, as it is in Auth0.
            let mut members: Vec<&String> = organization.members.keys().collect();
            members.sort_by_cached_key(|user| crate::fingerprint(user));
            members.into_iter().for_each(|user| state.index_member(id, user));
        }
        state
    }
}

/// Reading.
impl State {
    /// The user of this id.
    #[must_use]
    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id).map(Arc::as_ref)
    }

    /// The role definition of this id.
    #[must_use]
    pub fn role(&self, id: &str) -> Option<&Role> {
        self.roles.get(id).map(Arc::as_ref)
    }

    /// The API of this identifier.
    #[must_use]
    pub fn resource_server(&self, identifier: &str) -> Option<&ResourceServer> {
        self.resource_servers.get(identifier).map(Arc::as_ref)
    }

    /// The organization of this id.
    #[must_use]
    pub fn organization(&self, id: &str) -> Option<&Organization> {
        self.organizations.get(id).map(Arc::as_ref)
    }

    /// The ids of the organizations this user is a member of.
    pub fn organizations_of(&self, user: &str) -> impl Iterator<Item = &str> {
        self.memberships.get(user).into_iter().flat_map(|ids| ids.iter().map(String::as_str))
    }

    /// The members of an organization who joined after a time, in the order of joining.
    pub(crate) fn members_after(
        &self,
        organization: &str,
        time: Option<Joined>,
    ) -> impl Iterator<Item = (Joined, &str)> {
        self.joining.get(organization).into_iter().flat_map(move |joining| joining.after(time))
    }

    /// When a member joined.
    pub(crate) fn joined(&self, organization: &str, user: &str) -> Option<Joined> {
        self.joining.get(organization).and_then(|joining| joining.time_of(user))
    }

    /// The organization of this name.
    pub(crate) fn organization_named(&self, name: &str) -> Option<&str> {
        self.organizations().find(|(_, organization)| organization.name == name).map(|(id, _)| id)
    }

    /// All users, by id.
    pub fn users(&self) -> impl Iterator<Item = (&str, &User)> {
        self.users.iter().map(|(id, user)| (id.as_str(), user.as_ref()))
    }

    /// All role definitions, by id.
    pub fn roles(&self) -> impl Iterator<Item = (&str, &Role)> {
        self.roles.iter().map(|(id, role)| (id.as_str(), role.as_ref()))
    }

    /// All APIs, by identifier.
    pub fn resource_servers(&self) -> impl Iterator<Item = (&str, &ResourceServer)> {
        self.resource_servers.iter().map(|(id, api)| (id.as_str(), api.as_ref()))
    }

    /// All organizations, by id.
    pub fn organizations(&self) -> impl Iterator<Item = (&str, &Organization)> {
        self.organizations.iter().map(|(id, organization)| (id.as_str(), organization.as_ref()))
    }

    /// All groups, by id.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &UserGroup)> {
        self.groups.iter().map(|(id, group)| (id.as_str(), group.as_ref()))
    }

    /// Whether the user holds the role on the tenant.
    #[must_use]
    pub fn has_role(&self, user: &str, role: &str) -> bool {
        self.user(user).is_some_and(|user| user.roles.contains(role))
    }

    /// Whether the user holds the permission, from whatever source.
    #[must_use]
    pub fn has_permission(&self, user: &str, identifier: &str, permission: &str) -> bool {
        self.user(user)
            .and_then(|user| user.permissions.get(identifier))
            .is_some_and(|names| names.contains_key(permission))
    }

    /// The permissions that a role gives, as (identifier of the API, name): those that it defines, and those that
    /// somebody has through it.
    #[must_use]
    pub fn role_permissions(&self, role: &str) -> BTreeSet<(&str, &str)> {
        let defined = self.role(role).into_iter().flat_map(|role| &role.permissions);
        let defined = defined.flat_map(|(api, names)| names.iter().map(|name| (api.as_str(), name.as_str())));
        let source = Source::Role(role.to_owned());
        let held = self.users.values().flat_map(|user| &user.permissions);
        let held = held.flat_map(|(api, names)| names.iter().map(move |(name, sources)| (api, name, sources)));
        let through = held.filter(|(_, _, sources)| sources.contains(&source));
        defined.chain(through.map(|(api, name, _)| (api.as_str(), name.as_str()))).collect()
    }

    /// Whether the user is a member of the organization.
    #[must_use]
    pub fn is_member(&self, organization: &str, user: &str) -> bool {
        self.organization(organization).is_some_and(|organization| organization.members.contains_key(user))
    }

    /// Whether the member holds the role within the organization.
    #[must_use]
    pub fn has_member_role(&self, organization: &str, user: &str, role: &str) -> bool {
        self.organization(organization)
            .and_then(|organization| organization.members.get(user))
            .is_some_and(|roles| roles.contains(role))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::State;
    use crate::Relation;

    fn sample() -> State {
        State::build(|s| {
            s.user("auth0|jane").role("rol_a").permission("api", "read").permission_via("api", "read", "rol_a");
            s.organization("org_1").member_role("auth0|jane", "rol_b");
        })
    }

    #[test]
    fn the_index_of_memberships_survives_serde_and_removal() {
        let mut state = sample();
        let copy: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        assert_eq!(copy, state);
        assert_eq!(copy.organizations_of("auth0|jane").collect::<Vec<_>>(), ["org_1"]);
        assert_eq!(copy.members_after("org_1", None).map(|(_, user)| user).collect::<Vec<_>>(), ["auth0|jane"]);
        assert!(state.remove_member("org_1", "auth0|jane").unwrap().contains("rol_b"));
        assert_eq!(state.organizations_of("auth0|jane").count(), 0);
        assert!(state.remove_member("org_1", "auth0|jane").is_none());
    }

    #[test]
    fn a_direct_permission_goes_alone_and_a_role_takes_its_own_along() {
        let mut state = sample();
        assert!(state.remove_user_permission("auth0|jane", "api", "read"));
        assert!(!state.remove_user_permission("auth0|jane", "api", "read"));
        assert!(state.has_permission("auth0|jane", "api", "read"));
        assert!(state.remove_user_role("auth0|jane", "rol_a"));
        assert!(!state.has_permission("auth0|jane", "api", "read"));
    }

    #[test]
    fn members_are_in_the_order_of_joining_and_whoever_comes_back_is_the_last() {
        let mut state = State::build(|s| {
            s.organization("org_1").members(["auth0|b", "auth0|a", "auth0|c"]);
        });
        let order = |state: &State| state.members_after("org_1", None).map(|(_, id)| id.to_owned()).collect::<String>();
        assert_eq!(order(&state), "auth0|bauth0|aauth0|c");
        state.remove_member("org_1", "auth0|b");
        state.edit(|s| drop(s.organization("org_1").members(["auth0|b", "auth0|a"])));
        assert_eq!(order(&state), "auth0|aauth0|cauth0|b");
        let a = state.joined("org_1", "auth0|a");
        assert_eq!(state.members_after("org_1", a).count(), 2);
    }

    #[test]
    fn a_snapshot_does_not_see_later_changes() {
        let mut state = sample();
        let before = state.clone();
        state.remove_member_role("org_1", "auth0|jane", "rol_b");
        assert!(before.has_member_role("org_1", "auth0|jane", "rol_b"));
        assert_eq!(
            before.diff(&state).iter().map(ToString::to_string).collect::<Vec<_>>(),
            [format!("- {}", Relation::member_role("org_1", "auth0|jane", "rol_b"))]
        );
    }
}
