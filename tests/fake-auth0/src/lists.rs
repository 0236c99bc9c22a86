//! The reads: one object by its id, or a page of a list, from the state and the lag of the lists.

use std::{collections::BTreeSet, ops::Bound, time::Instant};

use serde_json::Value;

use crate::{
    answers::Problem,
    changes::{MEMBERSHIP, member_key, permission_key},
    cursor::Key,
    effective::View,
    endpoints::{FIELD_ROLES_SCOPE, ListRule, USER_FIELDS},
    kinds::Kind,
    lag::Overlay,
    log::Call,
    paging::{Fields, Page, PageQuery, Start, only, required},
    search::{self, Search},
    show,
    state::State,
    switches::{Switches, Total},
    tenant::Tenant,
    tokens::Issued,
};

fn user(call: &Call) -> &str {
    call.user.as_deref().unwrap_or("")
}

fn organization(call: &Call) -> &str {
    call.organization.as_deref().unwrap_or("")
}

/// One object by its id.
pub(crate) fn one(tenant: &Tenant, call: &Call) -> Result<Value, Problem> {
    let switches = tenant.quirks().switches;
    let state = tenant.state();
    match call.kind {
        Kind::GetUser => {
            only(&call.query, &["fields", "include_fields"])?;
            let fields = Fields::parse(&call.query, &USER_FIELDS)?;
            let shown = show::user(&state, user(call), &switches).ok_or(Problem::NO_USER)?;
            Ok(fields.narrow(shown))
        }
        Kind::GetOrganization => {
            only(&call.query, &[])?;
            let id = organization(call);
            state.organization(id).map(|_| show::organization(&state, id)).ok_or(Problem::NO_ORGANIZATION)
        }
        Kind::GetOrganizationByName => {
            only(&call.query, &[])?;
            let found = state.organization_named(organization(call));
            found.map(|id| show::organization(&state, id)).ok_or(Problem::NO_ORGANIZATION)
        }
        Kind::GetUsersByEmail => {
            only(&call.query, &["email", "fields", "include_fields"])?;
            let fields = Fields::parse(&call.query, &USER_FIELDS)?;
            let email = required(&call.query, "email")?;
            let found = state.users().filter(|(_, user)| search::has_email(user, email, switches.email_case));
            Ok(found.filter_map(|(id, _)| show::user(&state, id, &switches)).map(|user| fields.narrow(user)).collect())
        }
        Kind::GetResourceServer => {
            only(&call.query, &["include_fields"])?;
            let named = call.resource_server.as_deref().unwrap_or("");
            let by_id =
                || state.resource_servers().find(|(identifier, _)| show::resource_server_id(identifier) == named);
            let found = state.resource_server(named).map(|api| (named, api)).or_else(by_id);
            found.map(|(identifier, api)| show::resource_server(identifier, api)).ok_or(Problem::NO_RESOURCE_SERVER)
        }
        _ => {
            only(&call.query, &[])?;
            let id = call.role.as_deref().unwrap_or("");
            state.role(id).map(|_| show::role(&state, id)).ok_or(Problem::NO_ROLE)
        }
    }
}

/// One page of a list.
pub(crate) fn page(tenant: &Tenant, call: &Call, rule: ListRule, token: &Issued) -> Result<Value, Problem> {
    let quirks = tenant.quirks();
    let query = PageQuery::parse(&call.query, rule, &quirks)?;
    if query.fields.asks_for("roles") && !token.has(FIELD_ROLES_SCOPE) {
        return Err(Problem::scope("any", &[FIELD_ROLES_SCOPE]));
    }
    let state = tenant.state();
    let overlay = tenant.lags().overlay(call.kind, &list_key(call), query.begins(), Instant::now());
    let list = List { state: &state, call, switches: &quirks.switches };
    let permissions = list.permission_keys();
    let after = if let Start::After(after) = &query.start { after.as_ref() } else { None };
    let overlay = list.without_the_shown(overlay);
    let ghosts = overlay.ghosts.iter().map(|(time, item)| (*time, item.as_str()));
    let late: BTreeSet<(u64, &str)> = ghosts.filter(|(_, item)| *item != MEMBERSHIP).collect();
    let real = list.keys(after, &permissions, &overlay)?;
    let after_key = after.map(|(time, item)| (*time, item.as_str()));
    let from = after_key.map_or(Bound::Unbounded, Bound::Excluded);
    let hidden = overlay.hidden.iter().filter(|key| list.has(key)).count();
    let shown = real.keys.filter(|key| after_key.is_none_or(|after| *key > after) && !overlay.hides(*key));
    let skip = if let Start::Offset(start) = query.start { start } else { 0 };
    let mut found = merged(shown, late.range((from, Bound::Unbounded)).copied()).skip(skip);
    let keys: Vec<(u64, &str)> = found.by_ref().take(query.serve).collect();
    let wrong_total =
        call.kind == Kind::GetUserOrganizations && quirks.switches.user_organizations_total == Total::Zero;
    let page = Page {
        last: keys.last().copied(),
        items: keys.iter().map(|(_, key)| query.fields.narrow(list.show(key, &query.fields))).collect(),
        total: if wrong_total { 0 } else { (real.total + late.len()).saturating_sub(hidden) },
        more: found.next().is_some(),
    };
    let length = page.items.len();
    let mut wrapped = query.wrap(page, rule, &quirks);
    if call.kind == Kind::GetUsers && wrapped.is_object() {
        wrapped["length"] = length.into();
    }
    if let Some(next) = wrapped.get("next").and_then(Value::as_str) {
        tenant.remember_page(next, call.page.unwrap_or(0) + 1);
    }
    Ok(wrapped)
}

/// The key of this list among the lags.
fn list_key(call: &Call) -> String {
    match call.kind {
        Kind::GetMembers | Kind::GetConnections => organization(call).to_owned(),
        Kind::GetMemberRoles => member_key(organization(call), user(call)),
        Kind::GetRoleUsers => call.role.clone().unwrap_or_default(),
        _ => user(call).to_owned(),
    }
}

impl Overlay {
    fn hides(&self, (time, item): (u64, &str)) -> bool {
        // No allocation for the many lists that hide nothing.
        !self.hidden.is_empty() && self.hidden.contains(&(time, item.to_owned()))
    }
}

struct Keys<'a> {
    keys: Box<dyn Iterator<Item = (u64, &'a str)> + 'a>,
    total: usize,
}

impl<'a> Keys<'a> {
    fn of(keys: impl ExactSizeIterator<Item = &'a String> + 'a) -> Self {
        Self { total: keys.len(), keys: Box::new(keys.map(|key| (0, key.as_str()))) }
    }

    fn ids(ids: impl Iterator<Item = &'a str>) -> Self {
        let keys: Vec<(u64, &str)> = ids.map(|id| (0, id)).collect();
        Self { total: keys.len(), keys: Box::new(keys.into_iter()) }
    }
}

/// A list as the state has it.
#[derive(Clone, Copy)]
struct List<'a> {
    state: &'a State,
    call: &'a Call,
    switches: &'a Switches,
}

impl<'a> List<'a> {
    /// The keys of a list in its order; for members only those after `after`, found without walking the rest.
    fn keys(self, after: Option<&Key>, permissions: &'a [String], overlay: &Overlay) -> Result<Keys<'a>, Problem> {
        let Self { state, call, .. } = self;
        if let Some(view) = View::of(state, call) {
            return view.keys().map(|keys| Keys::ids(keys.into_iter()));
        }
        let of_user = || state.user(user(call)).ok_or(Problem::NO_USER);
        let role = call.role.as_deref().unwrap_or("");
        let of_role = || state.role(role).map(|_| role).ok_or(Problem::NO_ROLE);
        let of_organization = || state.organization(organization(call)).ok_or(Problem::NO_ORGANIZATION);
        let holds_membership = |keys: &BTreeSet<Key>| keys.contains(&(0, MEMBERSHIP.to_owned()));
        match call.kind {
            Kind::GetUserPermissions => of_user().map(|_| Keys::of(permissions.iter())),
            Kind::GetUserRoles => Ok(Keys::of(of_user()?.roles.iter())),
            Kind::GetUserOrganizations => {
                of_user()?;
                Ok(Keys::ids(state.organizations_of(user(call))))
            }
            Kind::GetMembers => {
                let total = of_organization()?.members.len();
                let keys = state.members_after(organization(call), after.map(|(time, _)| *time));
                Ok(Keys { total, keys: Box::new(keys) })
            }
            Kind::GetConnections => Ok(Keys::of(of_organization()?.connections.keys())),
            Kind::GetRoleUsers => {
                let role = of_role()?;
                Ok(Keys::ids(state.users().filter(|(_, user)| user.roles.contains(role)).map(|(id, _)| id)))
            }
            Kind::GetUsers => {
                let search = Search::parse(&call.query)?;
                Ok(Keys::ids(state.users().filter(|(id, user)| search.finds(id, user)).map(|(id, _)| id)))
            }
            Kind::GetRoles => {
                let part = call.query("name_filter").unwrap_or("").to_lowercase();
                let named = state.roles().filter(|(_, role)| role.name.to_lowercase().contains(&part));
                Ok(Keys::ids(named.map(|(id, _)| id)))
            }
            Kind::GetRolePermissions => of_role().map(|_| Keys::of(permissions.iter())),
            Kind::GetOrganizations => Ok(Keys::ids(state.organizations().map(|(id, _)| id))),
            Kind::GetResourceServers => Ok(Keys::ids(state.resource_servers().map(|(identifier, _)| identifier))),
            _ => match of_organization()?.members.get(user(call)) {
                Some(roles) if !holds_membership(&overlay.hidden) => Ok(Keys::of(roles.iter())),
                None if holds_membership(&overlay.ghosts) => Ok(Keys::of([].iter())),
                _ if state.user(user(call)).is_none() => Err(Problem::NO_USER),
                _ => Err(Problem::NOT_A_MEMBER),
            },
        }
    }

    fn permission_keys(self) -> Vec<String> {
        if self.call.kind == Kind::GetRolePermissions {
            let given = self.state.role_permissions(self.call.role.as_deref().unwrap_or(""));
            return given.into_iter().map(|(api, name)| permission_key(api, name)).collect();
        }
        let wanted = self.call.kind == Kind::GetUserPermissions;
        let user = if wanted { self.state.user(user(self.call)) } else { None };
        let apis = user.into_iter().flat_map(|user| &user.permissions);
        let listed = apis.flat_map(|(api, names)| names.iter().map(move |(name, sources)| (api, name, sources)));
        listed
            .filter(|(_, _, sources)| show::lists_permission(sources, self.switches))
            .map(|(api, name, _)| permission_key(api, name))
            .collect()
    }

    /// Whether the state has this item.
    fn has(self, (time, item): &Key) -> bool {
        let Self { state, call, .. } = self;
        match call.kind {
            Kind::GetUserPermissions => {
                item.split_once('\0').is_some_and(|(api, name)| state.has_permission(user(call), api, name))
            }
            Kind::GetUserRoles => state.has_role(user(call), item),
            Kind::GetUserOrganizations => state.is_member(item, user(call)),
            Kind::GetRoleUsers => state.has_role(item, call.role.as_deref().unwrap_or("")),
            Kind::GetMemberRoles => state.has_member_role(organization(call), user(call), item),
            Kind::GetMembers => state.joined(organization(call), item) == Some(*time),
            // No other list lags.
            _ => true,
        }
    }

    /// Drops the ghosts of items that are back and already shown, so that nothing is listed twice.
    fn without_the_shown(self, mut overlay: Overlay) -> Overlay {
        let hidden = &overlay.hidden;
        overlay.ghosts.retain(|ghost| {
            let now = match self.call.kind {
                Kind::GetMembers => self.state.joined(organization(self.call), &ghost.1),
                _ => self.has(ghost).then_some(0),
            };
            now.is_none_or(|time| hidden.contains(&(time, ghost.1.clone())))
        });
        overlay
    }

    fn show(self, key: &str, fields: &Fields) -> Value {
        let Self { state, call, switches } = self;
        if let Some(view) = View::of(state, call) {
            return view.show(key);
        }
        match call.kind {
            Kind::GetUserPermissions => show::permission(state, user(call), key, switches),
            Kind::GetRolePermissions => {
                let (api, name) = key.split_once('\0').unwrap_or((key, ""));
                show::api_permission(state, api, name)
            }
            Kind::GetUserOrganizations | Kind::GetOrganizations => show::organization(state, key),
            Kind::GetResourceServers => {
                state.resource_server(key).map(|api| show::resource_server(key, api)).unwrap_or_default()
            }
            Kind::GetUsers => show::user(state, key, switches).unwrap_or_default(),
            Kind::GetConnections => {
                let connections = state.organization(organization(call)).map(|found| &found.connections);
                let assigns = connections.and_then(|connections| connections.get(key)).copied().unwrap_or_default();
                show::connection(organization(call), key, assigns)
            }
            Kind::GetRoleUsers => show::member(state, "", key, false, switches),
            Kind::GetMembers => show::member(state, organization(call), key, fields.asks_for("roles"), switches),
            _ => show::role(state, key),
        }
    }
}

/// Merges two sorted sequences without duplicates.
fn merged<'a>(
    one: impl Iterator<Item = (u64, &'a str)>,
    other: impl Iterator<Item = (u64, &'a str)>,
) -> impl Iterator<Item = (u64, &'a str)> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(a), Some(b)) if a == b => {
            other.next();
            one.next()
        }
        (Some(a), Some(b)) if b < a => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}
