//! Groups of an enterprise's directory.

use super::Edit;
use crate::state::State;

impl Edit<'_> {
    /// A group of users, created when absent.
    pub fn group(&mut self, id: impl Into<String>) -> GroupEdit<'_> {
        let id = id.into();
        let group = self.state.group_entry(&id);
        if group.name.is_empty() {
            id.trim_start_matches("grp_").clone_into(&mut group.name);
        }
        GroupEdit { state: self.state, id }
    }

    /// Deletes a group, and with it the roles that came through it.
    pub fn delete_group(&mut self, id: &str) {
        self.state.drop_group(id);
    }
}

/// Changes to one group; methods chain.
#[derive(Debug)]
pub struct GroupEdit<'a> {
    state: &'a mut State,
    id: String,
}

impl GroupEdit<'_> {
    /// Sets the name.
    pub fn name(self, name: &str) -> Self {
        name.clone_into(&mut self.state.group_entry(&self.id).name);
        self
    }

    /// Puts a user, created when absent, into the group.
    pub fn member(self, user: &str) -> Self {
        self.state.define_user(user);
        self.state.group_entry(&self.id).members.insert(user.to_owned());
        self
    }

    /// Takes a user out of the group.
    pub fn without_member(self, user: &str) -> Self {
        self.state.group_entry(&self.id).members.remove(user);
        self
    }

    /// Gives the group a role on the tenant.
    pub fn role(self, role: &str) -> Self {
        self.state.define_role(role);
        self.state.group_entry(&self.id).roles.insert(role.to_owned());
        self
    }

    /// Gives the group a role within an organization, which those in the group have who are members there.
    pub fn organization_role(self, organization: &str, role: &str) -> Self {
        self.state.define_role(role);
        self.state.define_organization(organization);
        let roles = &mut self.state.group_entry(&self.id).organization_roles;
        roles.entry(organization.to_owned()).or_default().insert(role.to_owned());
        self
    }
}
