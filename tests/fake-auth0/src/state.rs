//! What a tenant holds: users, roles, APIs, organizations, and who has what.
//!
//! Plain data with the operations that change it, each O(log n). Nothing here knows HTTP, lag or faults; the
//! comfortable way to fill a state is in `edit.rs`, the comparison of two states in `diff.rs`.
//!
//! Everything sits behind `Arc`s that are copied on write, so a snapshot ([`Clone`]) costs a few pointers however
//! large the tenant is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

/// A map that is shared between snapshots until one of them changes.
type Table<T> = Arc<BTreeMap<String, Arc<T>>>;

/// Permissions as `resource server identifier -> permission name -> where they come from`.
pub type Permissions = BTreeMap<String, BTreeMap<String, BTreeSet<Source>>>;

/// Everything one tenant holds.
///
/// Its serde form is the state file of the `fake-auth0` program; the README of this crate describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StateDocument")]
pub struct State {
    users: Table<User>,
    roles: Table<Role>,
    resource_servers: Table<ResourceServer>,
    organizations: Table<Organization>,
    /// user -> organizations: derived from `organizations`, kept so that "the user's organizations" is O(log n).
    #[serde(skip)]
    memberships: Table<BTreeSet<String>>,
}

/// One user, with what was given to them directly.
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
}

/// Where a permission of a user comes from. Serialized as `DIRECT` or as the role's id.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Source {
    /// Given to the user directly: what `DELETE users/{id}/permissions` takes away.
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
}

/// An API (resource server) and the permissions it defines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceServer {
    /// The API's name.
    pub name: String,
    /// permission name -> description.
    pub permissions: BTreeMap<String, String>,
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
}

/// The serialized form, from which the derived index is rebuilt.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StateDocument {
    users: Table<User>,
    roles: Table<Role>,
    resource_servers: Table<ResourceServer>,
    organizations: Table<Organization>,
}

impl From<StateDocument> for State {
    fn from(document: StateDocument) -> Self {
        let mut memberships: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (id, organization) in document.organizations.iter() {
            for user in organization.members.keys() {
                memberships.entry(user.clone()).or_default().insert(id.clone());
            }
        }
        Self {
            users: document.users,
            roles: document.roles,
            resource_servers: document.resource_servers,
            organizations: document.organizations,
            memberships: Arc::new(memberships.into_iter().map(|(user, ids)| (user, Arc::new(ids))).collect()),
        }
    }
}

/// The entry of `id`, created when absent, ready to be changed.
fn entry<'a, T: Clone + Default>(table: &'a mut Table<T>, id: &str) -> &'a mut T {
    Arc::make_mut(Arc::make_mut(table).entry(id.to_owned()).or_default())
}

/// The entry of `id`, ready to be changed, if it exists.
fn existing<'a, T: Clone>(table: &'a mut Table<T>, id: &str) -> Option<&'a mut T> {
    Arc::make_mut(table).get_mut(id).map(Arc::make_mut)
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

/// Adding; used by `edit.rs` only, since no call of the API adds anything.
impl State {
    pub(crate) fn user_entry(&mut self, id: &str) -> &mut User {
        entry(&mut self.users, id)
    }

    pub(crate) fn role_entry(&mut self, id: &str) -> &mut Role {
        entry(&mut self.roles, id)
    }

    pub(crate) fn resource_server_entry(&mut self, identifier: &str) -> &mut ResourceServer {
        entry(&mut self.resource_servers, identifier)
    }

    pub(crate) fn organization_entry(&mut self, id: &str) -> &mut Organization {
        entry(&mut self.organizations, id)
    }

    pub(crate) fn add_member(&mut self, organization: &str, user: &str) {
        entry(&mut self.organizations, organization).members.entry(user.to_owned()).or_default();
        entry(&mut self.memberships, user).insert(organization.to_owned());
    }

    pub(crate) fn drop_user(&mut self, id: &str) {
        let organizations: Vec<String> = self.organizations_of(id).map(str::to_owned).collect();
        for organization in organizations {
            self.remove_member(&organization, id);
        }
        Arc::make_mut(&mut self.users).remove(id);
    }

    pub(crate) fn drop_organization(&mut self, id: &str) {
        let Some(organization) = Arc::make_mut(&mut self.organizations).remove(id) else { return };
        for user in organization.members.keys() {
            self.forget_membership(id, user);
        }
    }

    pub(crate) fn drop_role(&mut self, id: &str) {
        Arc::make_mut(&mut self.roles).remove(id);
        let holders: Vec<String> =
            self.users().filter(|(_, user)| user.roles.contains(id)).map(|(user, _)| user.to_owned()).collect();
        for user in holders {
            self.remove_user_role(&user, id);
        }
        for organization in Arc::make_mut(&mut self.organizations).values_mut() {
            if organization.members.values().any(|roles| roles.contains(id)) {
                Arc::make_mut(organization).members.values_mut().for_each(|roles| {
                    roles.remove(id);
                });
            }
        }
    }
}

/// Removing: what the four DELETE calls do. Each says whether there was something to remove, and leaves a shared
/// snapshot alone when there was not.
impl State {
    /// Takes a tenant role from a user, and with it the permissions that came through it.
    pub fn remove_user_role(&mut self, user: &str, role: &str) -> bool {
        if !self.has_role(user, role) {
            return false;
        }
        let Some(user) = existing(&mut self.users, user) else { return false };
        let source = Source::Role(role.to_owned());
        for names in user.permissions.values_mut() {
            names.retain(|_, sources| !sources.remove(&source) || !sources.is_empty());
        }
        user.permissions.retain(|_, names| !names.is_empty());
        user.roles.remove(role)
    }

    /// Takes a directly given permission from a user; what comes through a role stays.
    pub fn remove_user_permission(&mut self, user: &str, identifier: &str, permission: &str) -> bool {
        if !self.has_permission(user, identifier, permission) {
            return false;
        }
        let Some(user) = existing(&mut self.users, user) else { return false };
        let Some(names) = user.permissions.get_mut(identifier) else { return false };
        let Some(sources) = names.get_mut(permission) else { return false };
        let removed = sources.remove(&Source::Direct);
        if sources.is_empty() {
            names.remove(permission);
        }
        if names.is_empty() {
            user.permissions.remove(identifier);
        }
        removed
    }

    /// Ends a membership, and with it the roles held within that organization, which are returned.
    pub fn remove_member(&mut self, organization: &str, user: &str) -> Option<BTreeSet<String>> {
        if !self.is_member(organization, user) {
            return None;
        }
        let roles = existing(&mut self.organizations, organization)?.members.remove(user);
        self.forget_membership(organization, user);
        roles
    }

    /// Takes a role that a member holds within an organization.
    pub fn remove_member_role(&mut self, organization: &str, user: &str, role: &str) -> bool {
        self.has_member_role(organization, user, role)
            && existing(&mut self.organizations, organization)
                .and_then(|organization| organization.members.get_mut(user))
                .is_some_and(|roles| roles.remove(role))
    }

    fn forget_membership(&mut self, organization: &str, user: &str) {
        let left = existing(&mut self.memberships, user).map_or(0, |ids| {
            ids.remove(organization);
            ids.len()
        });
        if left == 0 {
            Arc::make_mut(&mut self.memberships).remove(user);
        }
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
