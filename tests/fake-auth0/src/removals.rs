//! What the four DELETEs do once they are allowed to, and what lists still show afterwards.

use std::time::Instant;

use crate::{
    answers::Problem,
    endpoints::Kind,
    lag::Ghosts,
    log::Call,
    state::State,
    tenant::{Tenant, UnknownMember},
    validate::Item,
};

/// The key of a permission in lists: identifier and name, in the order the state sorts them.
pub(crate) fn permission_key(identifier: &str, name: &str) -> String {
    format!("{identifier}\0{name}")
}

/// The key of the list of a member's roles.
pub(crate) fn member_key(organization: &str, user: &str) -> String {
    format!("{organization}\0{user}")
}

/// Stands for the membership itself among the ghosts of a member's roles.
pub(crate) const MEMBERSHIP: &str = "";

struct Removal<'a> {
    state: &'a mut State,
    ghosts: &'a mut Ghosts,
    user: &'a str,
    organization: &'a str,
    now: Instant,
}

/// Removes the items; says how many were there to remove.
pub(crate) fn remove(tenant: &Tenant, call: &Call, items: &[Item]) -> Result<usize, Problem> {
    let unknown_member = tenant.quirks().unknown_member;
    let (mut state, mut ghosts) = (tenant.state_mut(), tenant.ghosts());
    let (user, organization) = (call.user.as_deref().unwrap_or(""), call.organization.as_deref().unwrap_or(""));
    let known = state.organization(organization).is_some();
    match call.kind {
        Kind::DeleteUserRoles | Kind::DeleteUserPermissions if state.user(user).is_none() => {
            return Err(Problem::NO_USER);
        }
        Kind::DeleteMembers | Kind::DeleteMemberRoles if !known => return Err(Problem::NO_ORGANIZATION),
        Kind::DeleteMemberRoles if !state.is_member(organization, user) => return Err(Problem::NOT_A_MEMBER),
        Kind::DeleteMembers => all_known(&state, items, unknown_member)?,
        _ => {}
    }
    let mut removal = Removal { state: &mut state, ghosts: &mut ghosts, user, organization, now: Instant::now() };
    Ok(items.iter().filter(|item| removal.one(call.kind, item)).count())
}

fn all_known(state: &State, users: &[Item], unknown: UnknownMember) -> Result<(), Problem> {
    let stranger = users.iter().find_map(|item| match item {
        Item::Id(user) if state.user(user).is_none() => Some(user),
        _ => None,
    });
    match (stranger, unknown) {
        (None, _) | (_, UnknownMember::NoContent) => Ok(()),
        (Some(user), UnknownMember::BadRequest) => Err(Problem::body(format!("'Unknown user: {user}'."))),
        (Some(_), UnknownMember::NotFound) => Err(Problem::NO_USER),
    }
}

impl Removal<'_> {
    fn one(&mut self, kind: Kind, item: &Item) -> bool {
        match (kind, item) {
            (Kind::DeleteUserPermissions, Item::Permission { identifier, name }) => {
                let removed = self.state.remove_user_permission(self.user, identifier, name);
                self.haunt(removed, Kind::GetUserPermissions, self.user, &permission_key(identifier, name))
            }
            (Kind::DeleteUserRoles, Item::Id(role)) => {
                let removed = self.state.remove_user_role(self.user, role);
                self.haunt(removed, Kind::GetUserRoles, self.user, role)
            }
            (Kind::DeleteMemberRoles, Item::Id(role)) => {
                let removed = self.state.remove_member_role(self.organization, self.user, role);
                let list = member_key(self.organization, self.user);
                self.haunt(removed, Kind::GetMemberRoles, &list, role)
            }
            (Kind::DeleteMembers, Item::Id(user)) => self.member(user),
            _ => false,
        }
    }

    fn member(&mut self, user: &str) -> bool {
        let Some(roles) = self.state.remove_member(self.organization, user) else { return false };
        self.haunt(true, Kind::GetMembers, self.organization, user);
        self.haunt(true, Kind::GetUserOrganizations, user, self.organization);
        let list = member_key(self.organization, user);
        for item in roles.iter().map(String::as_str).chain([MEMBERSHIP]) {
            self.haunt(true, Kind::GetMemberRoles, &list, item);
        }
        true
    }

    fn haunt(&mut self, removed: bool, list: Kind, key: &str, item: &str) -> bool {
        if removed {
            self.ghosts.add(list, key, item, self.now);
        }
        removed
    }
}
