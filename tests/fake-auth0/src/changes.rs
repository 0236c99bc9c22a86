//! Gives and takes relations and records the lag of the lists: for removals, and for what an administrator does
//! elsewhere while a test runs.

use crate::{
    Relation,
    kinds::Kind,
    lag::{Change, Lags},
    state::{Source, State},
    switches::LaggingLists,
};

/// The key of a permission in lists: identifier and name, in the order the state sorts them.
pub(crate) fn permission_key(identifier: &str, name: &str) -> String {
    format!("{identifier}\0{name}")
}

/// The key of the list of a member's roles.
pub(crate) fn member_key(organization: &str, user: &str) -> String {
    format!("{organization}\0{user}")
}

/// Stands for the membership itself among the roles of a member.
pub(crate) const MEMBERSHIP: &str = "";

/// A state in the middle of a change, and the lags to record.
pub(crate) struct Changing<'a> {
    pub state: &'a mut State,
    pub lags: &'a mut Lags,
    pub lagging: LaggingLists,
}

impl Changing<'_> {
    fn note(&mut self, change: Change, list: (Kind, &str), item: &str) {
        self.lags.note(change, list, (0, item.to_owned()), false);
    }

    /// Says whether there was something to take.
    pub(crate) fn take_user_role(&mut self, user: &str, role: &str) -> bool {
        let taken = self.state.remove_user_role(user, role);
        if taken {
            self.note(Change::Taken, (Kind::GetUserRoles, user), role);
        }
        taken
    }

    /// Says whether there was something to take.
    pub(crate) fn take_user_permission(&mut self, user: &str, identifier: &str, name: &str) -> bool {
        let taken = self.state.remove_user_permission(user, identifier, name);
        if taken {
            self.note(Change::Taken, (Kind::GetUserPermissions, user), &permission_key(identifier, name));
        }
        taken
    }

    /// Says whether there was something to take.
    pub(crate) fn take_member_role(&mut self, organization: &str, user: &str, role: &str) -> bool {
        let taken = self.state.remove_member_role(organization, user, role);
        if taken {
            self.note(Change::Taken, (Kind::GetMemberRoles, &member_key(organization, user)), role);
        }
        taken
    }

    /// Says whether there was something to take.
    pub(crate) fn take_member(&mut self, organization: &str, user: &str) -> bool {
        let joined = self.state.joined(organization, user).unwrap_or_default();
        let Some(roles) = self.state.remove_member(organization, user) else { return false };
        self.note_membership(Change::Taken, organization, user, joined);
        for role in roles {
            self.note_of_membership(Change::Taken, (Kind::GetMemberRoles, &member_key(organization, user)), &role);
        }
        true
    }

    fn note_membership(&mut self, change: Change, organization: &str, user: &str, joined: u64) {
        self.lags.note(change, (Kind::GetMembers, organization), (joined, user.to_owned()), false);
        self.note_of_membership(change, (Kind::GetUserOrganizations, user), organization);
        self.note_of_membership(change, (Kind::GetMemberRoles, &member_key(organization, user)), MEMBERSHIP);
    }

    fn note_of_membership(&mut self, change: Change, list: (Kind, &str), item: &str) {
        self.lags.note(change, list, (0, item.to_owned()), self.lagging == LaggingLists::AllThree);
    }

    /// Removes a relation. Lists show the removal as late as that by a call.
    pub(crate) fn take(&mut self, relation: &Relation) {
        match relation {
            Relation::UserRole { user, role } => {
                self.take_user_role(user, role);
            }
            Relation::UserPermission { user, identifier, permission, source: Source::Direct } => {
                self.take_user_permission(user, identifier, permission);
            }
            Relation::Member { organization, user } => {
                self.take_member(organization, user);
            }
            Relation::MemberRole { organization, user, role } => {
                self.take_member_role(organization, user, role);
            }
            other => self.state.edit(|edit| edit.remove(other)),
        }
    }

    /// Adds a relation, which lists show as late as a removal.
    pub(crate) fn give(&mut self, relation: &Relation) {
        let joins = match relation {
            Relation::Member { organization, user } | Relation::MemberRole { organization, user, .. } => {
                (!self.state.is_member(organization, user)).then_some((organization, user))
            }
            _ => None,
        };
        let new = !self.holds(relation);
        self.state.edit(|edit| edit.add(relation));
        if let Some((organization, user)) = joins {
            let joined = self.state.joined(organization, user).unwrap_or_default();
            self.note_membership(Change::Given, organization, user, joined);
        }
        match relation {
            Relation::UserRole { user, role } if new => self.note(Change::Given, (Kind::GetUserRoles, user), role),
            Relation::UserPermission { user, identifier, permission, .. } if new => {
                let key = permission_key(identifier, permission);
                self.note(Change::Given, (Kind::GetUserPermissions, user), &key);
            }
            Relation::MemberRole { organization, user, role } if new => {
                self.note(Change::Given, (Kind::GetMemberRoles, &member_key(organization, user)), role);
            }
            _ => {}
        }
    }

    fn holds(&self, relation: &Relation) -> bool {
        match relation {
            Relation::UserRole { user, role } => self.state.has_role(user, role),
            Relation::UserPermission { user, identifier, permission, .. } => {
                self.state.has_permission(user, identifier, permission)
            }
            Relation::MemberRole { organization, user, role } => self.state.has_member_role(organization, user, role),
            _ => false,
        }
    }
}
