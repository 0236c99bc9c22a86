//! The operations that change a state, each in O(log n).

use std::{collections::BTreeSet, sync::Arc};

use super::{Organization, ResourceServer, Role, Source, State, Table, User, UserGroup};

/// The entry of `id` for a change, created when absent.
fn entry<'a, T: Clone + Default>(table: &'a mut Table<T>, id: &str) -> &'a mut T {
    Arc::make_mut(Arc::make_mut(table).entry(id.to_owned()).or_default())
}

/// The entry of `id` for a change, if it exists.
fn existing<'a, T: Clone>(table: &'a mut Table<T>, id: &str) -> Option<&'a mut T> {
    Arc::make_mut(table).get_mut(id).map(Arc::make_mut)
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

    pub(crate) fn group_entry(&mut self, id: &str) -> &mut UserGroup {
        entry(&mut self.groups, id)
    }

    pub(crate) fn drop_group(&mut self, id: &str) {
        Arc::make_mut(&mut self.groups).remove(id);
    }

    /// Changes all groups, for what is deleted: nothing of it stays in them.
    fn every_group(&mut self, change: impl Fn(&mut UserGroup)) {
        Arc::make_mut(&mut self.groups).values_mut().map(Arc::make_mut).for_each(change);
    }

    pub(crate) fn add_member(&mut self, organization: &str, user: &str) {
        entry(&mut self.organizations, organization).members.entry(user.to_owned()).or_default();
        self.index_member(organization, user);
    }

    pub(super) fn index_member(&mut self, organization: &str, user: &str) {
        entry(&mut self.memberships, user).insert(organization.to_owned());
        self.latest += 1;
        entry(&mut self.joining, organization).join(user, self.latest);
    }

    pub(crate) fn drop_user(&mut self, id: &str) {
        let organizations: Vec<String> = self.organizations_of(id).map(str::to_owned).collect();
        for organization in organizations {
            self.remove_member(&organization, id);
        }
        self.every_group(|group| {
            group.members.remove(id);
        });
        Arc::make_mut(&mut self.users).remove(id);
    }

    pub(crate) fn drop_organization(&mut self, id: &str) {
        let Some(organization) = Arc::make_mut(&mut self.organizations).remove(id) else { return };
        self.every_group(|group| drop(group.organization_roles.remove(id)));
        Arc::make_mut(&mut self.joining).remove(id);
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
        self.every_group(|group| {
            group.roles.remove(id);
            group.organization_roles.values_mut().for_each(|roles| {
                roles.remove(id);
            });
        });
        for organization in Arc::make_mut(&mut self.organizations).values_mut() {
            if organization.members.values().any(|roles| roles.contains(id)) {
                Arc::make_mut(organization).members.values_mut().for_each(|roles| {
                    roles.remove(id);
                });
            }
        }
    }
}

/// Removing: what the four DELETE calls do. Each returns whether there was something to remove, and leaves a shared
/// snapshot alone if there was not.
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
        if let Some(joining) = existing(&mut self.joining, organization) {
            joining.leave(user);
        }
    }
}
