//! What the four DELETEs do once they are allowed to, and their answers when something does not exist.

use crate::{
    answers::{Answer, Problem},
    changes::Changing,
    kinds::Kind,
    log::Call,
    state::State,
    switches::{Missing, RestOfBatch, Switches, Unknown},
    tenant::Tenant,
    validate::Item,
};

/// Removes the items.
pub(crate) fn remove(tenant: &Tenant, call: &Call, items: &[Item]) -> Answer {
    let switches = tenant.quirks().switches;
    let (mut state, mut lags) = (tenant.state_mut(), tenant.lags());
    let place = Place::of(call);
    if let Some(problem) = place.missing(&state, &switches) {
        return problem.map_or_else(|| Answer::no_content(0), Answer::from);
    }
    let refusal = items.iter().find_map(|item| place.unknown(&state, item, &switches));
    if let Some(problem) = refusal.clone().filter(|_| switches.rest_of_batch == RestOfBatch::Untouched) {
        return problem.into();
    }
    let mut changing = Changing { state: &mut state, lags: &mut lags, lagging: switches.lagging_lists };
    let removed = items.iter().filter(|item| place.take(&mut changing, item)).count();
    let answer = refusal.map_or_else(|| Answer::no_content(0), Answer::from);
    Answer { removed, ..answer }
}

/// The place of a removal.
struct Place<'a> {
    kind: Kind,
    user: &'a str,
    organization: &'a str,
}

impl<'a> Place<'a> {
    fn of(call: &'a Call) -> Self {
        let id = |id: &'a Option<String>| id.as_deref().unwrap_or("");
        Self { kind: call.kind, user: id(&call.user), organization: id(&call.organization) }
    }

    /// The answer when what the path names does not exist; an inner `None` is a 204.
    fn missing(&self, state: &State, switches: &Switches) -> Option<Option<Problem>> {
        let told = |missing: Missing, problem| Some(Some(problem).filter(|_| missing == Missing::NotFound));
        let known = state.user(self.user).is_some();
        match self.kind {
            Kind::DeleteUserRoles | Kind::DeleteUserPermissions => (!known).then_some(Some(Problem::NO_USER)),
            _ if state.organization(self.organization).is_none() => {
                told(switches.unknown_organization, Problem::NO_ORGANIZATION)
            }
            Kind::DeleteMemberRoles if !known => told(switches.non_member, Problem::NO_USER),
            Kind::DeleteMemberRoles if !state.is_member(self.organization, self.user) => {
                told(switches.non_member, Problem::NOT_A_MEMBER)
            }
            _ => None,
        }
    }

    /// The refusal of an item that does not exist, if the switches want one.
    fn unknown(&self, state: &State, item: &Item, switches: &Switches) -> Option<Problem> {
        let (unknown, bad_request, not_found) = match (self.kind, item) {
            (Kind::DeleteMembers, Item::Id(user)) if state.user(user).is_none() => {
                (switches.unknown_member, Problem::body(format!("'Unknown user: {user}'.")), Problem::NO_USER)
            }
            (Kind::DeleteUserRoles | Kind::DeleteMemberRoles, Item::Id(role)) if !self.knows_role(state, role) => {
                let bad_request = Problem::bad_request("inexistent_role", "The role does not exist.");
                (switches.unknown_role, bad_request, Problem::NO_ROLE)
            }
            (_, Item::Permission { identifier, name }) if !self.knows_permission(state, identifier, name) => {
                let bad_request =
                    Problem::bad_request("inexistent_resource_server_permission", Problem::NO_PERMISSION.message);
                (switches.unknown_permission, bad_request, Problem::NO_PERMISSION)
            }
            _ => return None,
        };
        match unknown {
            Unknown::NoContent => None,
            Unknown::BadRequest => Some(bad_request),
            Unknown::NotFound => Some(not_found),
        }
    }

    /// Whether the role exists. A role that somebody has exists even if the state file does not define it.
    fn knows_role(&self, state: &State, role: &str) -> bool {
        state.role(role).is_some()
            || state.has_role(self.user, role)
            || state.has_member_role(self.organization, self.user, role)
    }

    fn knows_permission(&self, state: &State, identifier: &str, name: &str) -> bool {
        state.resource_server(identifier).is_some_and(|api| api.permissions.contains_key(name))
            || state.has_permission(self.user, identifier, name)
    }

    /// Returns whether there was something to take.
    fn take(&self, changing: &mut Changing<'_>, item: &Item) -> bool {
        match (self.kind, item) {
            (Kind::DeleteUserPermissions, Item::Permission { identifier, name }) => {
                changing.take_user_permission(self.user, identifier, name)
            }
            (Kind::DeleteUserRoles, Item::Id(role)) => changing.take_user_role(self.user, role),
            (Kind::DeleteMemberRoles, Item::Id(role)) => changing.take_member_role(self.organization, self.user, role),
            (Kind::DeleteMembers, Item::Id(user)) => changing.take_member(self.organization, user),
            _ => false,
        }
    }
}
