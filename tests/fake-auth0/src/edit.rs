//! Fills and changes a state by hand, as an administrator would: `s.user("auth0|jane").role("rol_…")`.
//!
//! Whatever a line mentions is created when absent, so a test seeds only what it is about. What the API itself does to
//! a state is in `state.rs`.

use crate::{
    Relation,
    state::{Source, State},
};

mod groups;

pub use groups::GroupEdit;

/// Changes to a [`State`], as handed to the closure of [`crate::FakeAuth0::edit`] and [`State::build`].
#[derive(Debug)]
pub struct Edit<'a> {
    state: &'a mut State,
}

impl State {
    /// Builds a state by one closure.
    pub fn build(fill: impl FnOnce(&mut Edit<'_>)) -> Self {
        let mut state = Self::default();
        state.edit(fill);
        state
    }

    /// Changes this state.
    pub fn edit<R>(&mut self, change: impl FnOnce(&mut Edit<'_>) -> R) -> R {
        change(&mut Edit { state: self })
    }

    fn define_role(&mut self, id: &str) {
        if self.role(id).is_none() {
            let role = self.role_entry(id);
            role.name = id.trim_start_matches("rol_").to_owned();
            role.description = format!("The role {id}");
        }
    }

    fn define_permission(&mut self, identifier: &str, permission: &str) {
        let known = self.resource_server(identifier).is_some_and(|api| api.permissions.contains_key(permission));
        if !known {
            let api = self.resource_server_entry(identifier);
            identifier.clone_into(&mut api.name);
            api.permissions.insert(permission.to_owned(), format!("The permission {permission}"));
        }
    }

    fn define_user(&mut self, id: &str) {
        if self.user(id).is_none() {
            self.user_entry(id);
        }
    }

    fn define_organization(&mut self, id: &str) {
        if self.organization(id).is_none() {
            let organization = self.organization_entry(id);
            organization.name = id.trim_start_matches("org_").to_lowercase();
            organization.display_name = format!("The organization {id}");
        }
    }
}

impl Edit<'_> {
    /// The current state, for edits that depend on it.
    #[must_use]
    pub fn state(&self) -> &State {
        self.state
    }

    /// A user, created when absent.
    pub fn user(&mut self, id: impl Into<String>) -> UserEdit<'_> {
        let id = id.into();
        self.state.define_user(&id);
        UserEdit { state: self.state, id }
    }

    /// Many users at once.
    pub fn users<I: Into<String>>(&mut self, ids: impl IntoIterator<Item = I>) {
        for id in ids {
            self.state.define_user(&id.into());
        }
    }

    /// A role definition, created when absent.
    pub fn role(&mut self, id: &str, name: &str) {
        self.state.define_role(id);
        name.clone_into(&mut self.state.role_entry(id).name);
    }

    /// Gives a role, created when absent, a permission, which its holders have from now on.
    pub fn role_permission(&mut self, role: &str, identifier: &str, permission: &str) {
        self.state.define_role(role);
        let permissions = &mut self.state.role_entry(role).permissions;
        permissions.entry(identifier.to_owned()).or_default().insert(permission.to_owned());
        self.state.define_permission(identifier, permission);
        let holders = self.state.users().filter(|(_, user)| user.roles.contains(role)).map(|(id, _)| id.to_owned());
        for holder in holders.collect::<Vec<_>>() {
            self.user(holder).role(role);
        }
    }

    /// A role of an organization, created when absent.
    pub fn organization_role(&mut self, id: &str, organization: &str) {
        self.state.define_role(id);
        self.state.role_entry(id).owner_id = Some(organization.to_owned());
    }

    /// A permission of an API, created when absent.
    pub fn resource_server(&mut self, identifier: &str, permission: &str) {
        self.state.define_permission(identifier, permission);
    }

    /// Sets up an API, created when absent: whether RBAC is on, and for how many seconds its tokens are valid.
    pub fn api(&mut self, identifier: &str, enforce_policies: bool, token_lifetime: u32) {
        let api = self.state.resource_server_entry(identifier);
        if api.name.is_empty() {
            identifier.clone_into(&mut api.name);
        }
        (api.enforce_policies, api.token_lifetime) = (enforce_policies, token_lifetime);
    }

    /// Names an API, created when absent.
    pub fn api_name(&mut self, identifier: &str, name: &str) {
        name.clone_into(&mut self.state.resource_server_entry(identifier).name);
    }

    /// An organization, created when absent.
    pub fn organization(&mut self, id: impl Into<String>) -> OrganizationEdit<'_> {
        let id = id.into();
        self.state.define_organization(&id);
        OrganizationEdit { state: self.state, id }
    }

    /// Deletes a user with all its relations.
    pub fn delete_user(&mut self, id: &str) {
        self.state.drop_user(id);
    }

    /// Deletes an organization with its memberships.
    pub fn delete_organization(&mut self, id: &str) {
        self.state.drop_organization(id);
    }

    /// Deletes a role and takes it from all who hold it.
    pub fn delete_role(&mut self, id: &str) {
        self.state.drop_role(id);
    }

    /// Adds one relation, and whatever it mentions.
    pub fn add(&mut self, relation: &Relation) {
        match relation {
            Relation::User { user } => drop(self.user(user)),
            Relation::Role { role } => self.state.define_role(role),
            Relation::ResourceServerPermission { identifier, permission } => {
                self.state.define_permission(identifier, permission);
            }
            Relation::Organization { organization } => drop(self.organization(organization)),
            Relation::UserRole { user, role } => drop(self.user(user).role(role)),
            Relation::UserPermission { user, identifier, permission, source: Source::Direct } => {
                drop(self.user(user).permission(identifier, permission));
            }
            Relation::UserPermission { user, identifier, permission, source: Source::Role(role) } => {
                drop(self.user(user).permission_via(identifier, permission, role));
            }
            Relation::Member { organization, user } => drop(self.organization(organization).member(user)),
            Relation::MemberRole { organization, user, role } => {
                drop(self.organization(organization).member_role(user, role));
            }
        }
    }

    /// Removes one relation, and whatever depends on it.
    pub fn remove(&mut self, relation: &Relation) {
        match relation {
            Relation::User { user } => self.delete_user(user),
            Relation::Role { role } => self.delete_role(role),
            Relation::Organization { organization } => self.delete_organization(organization),
            Relation::ResourceServerPermission { identifier, permission } => {
                self.state.resource_server_entry(identifier).permissions.remove(permission);
            }
            Relation::UserRole { user, role } => {
                self.state.remove_user_role(user, role);
            }
            Relation::UserPermission { user, identifier, permission, .. } => {
                self.state.remove_user_permission(user, identifier, permission);
            }
            Relation::Member { organization, user } => {
                self.state.remove_member(organization, user);
            }
            Relation::MemberRole { organization, user, role } => {
                self.state.remove_member_role(organization, user, role);
            }
        }
    }

    /// Replaces everything.
    pub fn replace(&mut self, state: State) {
        *self.state = state;
    }
}

/// Changes to one user; methods chain.
#[derive(Debug)]
pub struct UserEdit<'a> {
    state: &'a mut State,
    id: String,
}

impl UserEdit<'_> {
    /// Sets the e-mail address. Auth0 stores it in lower case where it is the identity provider itself.
    pub fn email(self, email: &str) -> Self {
        let own = self.id.starts_with("auth0|");
        self.state.user_entry(&self.id).email = Some(if own { email.to_lowercase() } else { email.to_owned() });
        self
    }

    /// Sets the name.
    pub fn name(self, name: &str) -> Self {
        self.state.user_entry(&self.id).name = Some(name.to_owned());
        self
    }

    /// Blocks or unblocks the account.
    pub fn blocked(self, blocked: bool) -> Self {
        self.state.user_entry(&self.id).blocked = Some(blocked);
        self
    }

    /// Sets the number of logins; with 0 the user has no login.
    pub fn logins_count(self, count: u32) -> Self {
        self.state.user_entry(&self.id).logins_count = Some(count);
        self
    }

    /// Sets the time of the last login, as `2026-01-31T12:00:00.000Z`.
    pub fn last_login(self, time: &str) -> Self {
        self.state.user_entry(&self.id).last_login = Some(time.to_owned());
        self
    }

    /// Sets the time of creation, as `2026-01-31T12:00:00.000Z`.
    pub fn created_at(self, time: &str) -> Self {
        self.state.user_entry(&self.id).created_at = Some(time.to_owned());
        self
    }

    /// Links another account to this one; the other id is not a user any more.
    pub fn linked(self, other: &str) -> Self {
        self.state.drop_user(other);
        self.state.user_entry(&self.id).linked.insert(other.to_owned());
        self
    }

    /// Assigns a tenant role, with the permissions that [`Edit::role_permission`] gave it.
    pub fn role(self, role: &str) -> Self {
        self.state.define_role(role);
        self.state.user_entry(&self.id).roles.insert(role.to_owned());
        let defined = self.state.role(role).map(|role| role.permissions.clone()).unwrap_or_default();
        let pairs = defined.iter().flat_map(|(api, names)| names.iter().map(move |name| (api, name)));
        pairs.fold(self, |edit, (api, name)| edit.permission_from(api, name, Source::Role(role.to_owned())))
    }

    /// Assigns many tenant roles.
    pub fn roles<I: AsRef<str>>(self, roles: impl IntoIterator<Item = I>) -> Self {
        roles.into_iter().fold(self, |edit, role| edit.role(role.as_ref()))
    }

    /// Gives a permission directly.
    pub fn permission(self, identifier: &str, permission: &str) -> Self {
        self.permission_from(identifier, permission, Source::Direct)
    }

    /// Gives a permission through a role, which is also assigned.
    pub fn permission_via(self, identifier: &str, permission: &str, role: &str) -> Self {
        self.role(role).permission_from(identifier, permission, Source::Role(role.to_owned()))
    }

    fn permission_from(self, identifier: &str, permission: &str, source: Source) -> Self {
        self.state.define_permission(identifier, permission);
        let permissions = &mut self.state.user_entry(&self.id).permissions;
        permissions.entry(identifier.to_owned()).or_default().entry(permission.to_owned()).or_default().insert(source);
        self
    }

    /// Takes a tenant role away without a call of the API.
    pub fn without_role(self, role: &str) -> Self {
        self.state.remove_user_role(&self.id, role);
        self
    }

    /// Takes a direct permission away without a call of the API.
    pub fn without_permission(self, identifier: &str, permission: &str) -> Self {
        self.state.remove_user_permission(&self.id, identifier, permission);
        self
    }
}

/// Changes to one organization; methods chain.
#[derive(Debug)]
pub struct OrganizationEdit<'a> {
    state: &'a mut State,
    id: String,
}

impl OrganizationEdit<'_> {
    /// Sets the name.
    pub fn name(self, name: &str) -> Self {
        name.clone_into(&mut self.state.organization_entry(&self.id).name);
        self
    }

    /// Sets the display name.
    pub fn display_name(self, name: &str) -> Self {
        name.clone_into(&mut self.state.organization_entry(&self.id).display_name);
        self
    }

    /// Enables a connection; with `assigns_membership` who logs in through it becomes a member.
    pub fn connection(self, name: &str, assigns_membership: bool) -> Self {
        self.state.organization_entry(&self.id).connections.insert(name.to_owned(), assigns_membership);
        self
    }

    /// Makes a user (created when absent) a member.
    pub fn member(self, user: &str) -> Self {
        self.state.define_user(user);
        self.state.add_member(&self.id, user);
        self
    }

    /// Makes many users members.
    pub fn members<I: AsRef<str>>(self, users: impl IntoIterator<Item = I>) -> Self {
        users.into_iter().fold(self, |edit, user| edit.member(user.as_ref()))
    }

    /// Makes `count` users members: `{prefix}00000`, `{prefix}00001`, …
    pub fn numbered_members(self, prefix: &str, count: usize) -> Self {
        self.members((0..count).map(|number| format!("{prefix}{number:05}")))
    }

    /// Gives a user, who becomes a member if necessary, a role within the organization.
    pub fn member_role(self, user: &str, role: &str) -> Self {
        let edit = self.member(user);
        edit.state.define_role(role);
        let members = &mut edit.state.organization_entry(&edit.id).members;
        members.entry(user.to_owned()).or_default().insert(role.to_owned());
        edit
    }

    /// Ends a membership without a call of the API.
    pub fn without_member(self, user: &str) -> Self {
        self.state.remove_member(&self.id, user);
        self
    }

    /// Takes a role within the organization away without a call of the API.
    pub fn without_member_role(self, user: &str, role: &str) -> Self {
        self.state.remove_member_role(&self.id, user, role);
        self
    }
}
