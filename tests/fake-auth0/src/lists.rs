//! The reads: one thing by its id, or a page of a list, from the state and what still haunts it.

use std::{collections::BTreeSet, ops::Bound, time::Instant};

use serde_json::{Value, json};

use crate::{
    answers::Problem,
    endpoints::{FIELD_ROLES_SCOPE, Kind, ListRule},
    log::Call,
    paging::{Fields, Page, PageQuery, Start, only},
    removals::{MEMBERSHIP, member_key, permission_key},
    state::{Source, State},
    tenant::Tenant,
    tokens::Issued,
};

fn user(call: &Call) -> &str {
    call.user.as_deref().unwrap_or("")
}

fn organization(call: &Call) -> &str {
    call.organization.as_deref().unwrap_or("")
}

/// One thing by its id.
pub(crate) fn one(tenant: &Tenant, call: &Call) -> Result<Value, Problem> {
    let state = tenant.state();
    match call.kind {
        Kind::GetUser => {
            only(&call.query, &["fields", "include_fields"])?;
            let fields = Fields::parse(&call.query)?;
            show_user(&state, user(call)).map(|shown| fields.narrow(shown)).ok_or(Problem::NO_USER)
        }
        Kind::GetOrganization => {
            only(&call.query, &[])?;
            let id = organization(call);
            state.organization(id).map(|_| show_organization(&state, id)).ok_or(Problem::NO_ORGANIZATION)
        }
        _ => {
            only(&call.query, &["fields", "include_fields"])?;
            let id = call.role.as_deref().unwrap_or("");
            state.role(id).map(|_| show_role(&state, id)).ok_or(Problem::NO_ROLE)
        }
    }
}

/// One page of a list.
pub(crate) fn page(tenant: &Tenant, call: &Call, rule: ListRule, token: &Issued) -> Result<Value, Problem> {
    let quirks = tenant.quirks().paging;
    let query = PageQuery::parse(&call.query, rule, &quirks)?;
    if query.fields.asks_for("roles") && !token.has(FIELD_ROLES_SCOPE) {
        return Err(Problem::scope("any", &[FIELD_ROLES_SCOPE]));
    }
    let state = tenant.state();
    let ghosts = tenant.ghosts().visible(call.kind, &list_key(call), query.begins(), Instant::now());
    let after = if let Start::After(after) = &query.start { after.as_deref() } else { None };
    let permissions = permission_keys(&state, call);
    let real = keys(&state, call, after, &permissions, &ghosts)?;
    let haunting: Vec<&str> = ghosts
        .range::<str, _>((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
        .map(String::as_str)
        .filter(|item| *item != MEMBERSHIP)
        .collect();
    let skip = if let Start::Offset(start) = query.start { start } else { 0 };
    let mut found = merged(real.keys, haunting.into_iter()).skip(skip);
    let keys: Vec<&str> = found.by_ref().take(query.serve).collect();
    let page = Page {
        last: keys.last().copied(),
        items: keys.iter().map(|key| query.fields.narrow(show(&state, call, key, &query.fields))).collect(),
        total: real.total + ghosts.iter().filter(|item| !real_has(&state, call, item)).count(),
        more: found.next().is_some(),
    };
    Ok(query.wrap(page, rule, &quirks))
}

/// The key under which the ghosts of this list are kept.
fn list_key(call: &Call) -> String {
    match call.kind {
        Kind::GetMembers => organization(call).to_owned(),
        Kind::GetMemberRoles => member_key(organization(call), user(call)),
        _ => user(call).to_owned(),
    }
}

struct Keys<'a> {
    keys: Box<dyn Iterator<Item = &'a str> + 'a>,
    total: usize,
}

impl<'a> Keys<'a> {
    fn of(keys: impl ExactSizeIterator<Item = &'a String> + 'a) -> Self {
        Self { total: keys.len(), keys: Box::new(keys.map(String::as_str)) }
    }
}

/// The keys of a list, sorted; for members those after `after` only, found without walking the rest.
fn keys<'a>(
    state: &'a State,
    call: &Call,
    after: Option<&str>,
    permissions: &'a [String],
    ghosts: &BTreeSet<String>,
) -> Result<Keys<'a>, Problem> {
    let of_user = || state.user(user(call)).ok_or(Problem::NO_USER);
    let of_organization = || state.organization(organization(call)).ok_or(Problem::NO_ORGANIZATION);
    match call.kind {
        Kind::GetUserPermissions => of_user().map(|_| Keys::of(permissions.iter())),
        Kind::GetUserRoles => Ok(Keys::of(of_user()?.roles.iter())),
        Kind::GetUserOrganizations => {
            of_user()?;
            let ids: Vec<&str> = state.organizations_of(user(call)).collect();
            Ok(Keys { total: ids.len(), keys: Box::new(ids.into_iter()) })
        }
        Kind::GetMembers => {
            let members = &of_organization()?.members;
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let keys = members.range::<str, _>((from, Bound::Unbounded)).map(|(id, _)| id.as_str());
            Ok(Keys { total: members.len(), keys: Box::new(keys) })
        }
        _ => match of_organization()?.members.get(user(call)) {
            Some(roles) => Ok(Keys::of(roles.iter())),
            None if ghosts.contains(MEMBERSHIP) => Ok(Keys::of([].iter())),
            None => Err(Problem::NOT_A_MEMBER),
        },
    }
}

fn permission_keys(state: &State, call: &Call) -> Vec<String> {
    let user = if call.kind == Kind::GetUserPermissions { state.user(user(call)) } else { None };
    let apis = user.into_iter().flat_map(|user| &user.permissions);
    apis.flat_map(|(api, names)| names.keys().map(move |name| permission_key(api, name))).collect()
}

/// Whether a ghost is (again) real, so that it is not counted twice.
fn real_has(state: &State, call: &Call, item: &str) -> bool {
    match call.kind {
        Kind::GetUserPermissions => {
            item.split_once('\0').is_some_and(|(api, name)| state.has_permission(user(call), api, name))
        }
        Kind::GetUserRoles => state.has_role(user(call), item),
        Kind::GetUserOrganizations => state.is_member(item, user(call)),
        Kind::GetMembers => state.is_member(organization(call), item),
        _ => item == MEMBERSHIP || state.has_member_role(organization(call), user(call), item),
    }
}

/// Two sorted sequences as one, without doubles.
fn merged<'a>(
    one: impl Iterator<Item = &'a str>,
    other: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = &'a str> {
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

fn show(state: &State, call: &Call, key: &str, fields: &Fields) -> Value {
    match call.kind {
        Kind::GetUserPermissions => show_permission(state, user(call), key),
        Kind::GetUserOrganizations => show_organization(state, key),
        Kind::GetMembers => show_member(state, organization(call), key, fields),
        _ => show_role(state, key),
    }
}

fn show_role(state: &State, id: &str) -> Value {
    let role = state.role(id);
    json!({
        "id": id,
        "name": role.map_or(id, |role| &role.name),
        "description": role.map_or("", |role| &role.description),
    })
}

fn show_organization(state: &State, id: &str) -> Value {
    let organization = state.organization(id);
    json!({
        "id": id,
        "name": organization.map_or(id, |organization| &organization.name),
        "display_name": organization.map_or("", |organization| &organization.display_name),
    })
}

const PICTURE: &str = "https://pictures.example/avatar.png";

fn show_member(state: &State, organization: &str, id: &str, fields: &Fields) -> Value {
    let user = state.user(id);
    let mut shown = json!({
        "user_id": id,
        "email": user.and_then(|user| user.email.as_deref()),
        "name": user.and_then(|user| user.name.as_deref()).unwrap_or(id),
        "picture": PICTURE,
    });
    if fields.asks_for("roles") {
        let roles = state.organization(organization).and_then(|organization| organization.members.get(id));
        let named = roles
            .into_iter()
            .flatten()
            .map(|role| json!({"id": role, "name": state.role(role).map_or(role.as_str(), |role| &role.name)}));
        shown["roles"] = named.collect();
    }
    shown
}

fn show_user(state: &State, id: &str) -> Option<Value> {
    let user = state.user(id)?;
    let (provider, rest) = id.split_once('|').unwrap_or(("", id));
    Some(json!({
        "user_id": id,
        "email": user.email,
        "email_verified": user.email.is_some(),
        "name": user.name.as_deref().unwrap_or(id),
        "picture": PICTURE,
        "identities": [{"provider": provider, "user_id": rest, "connection": provider, "isSocial": false}],
        "created_at": "2026-01-01T00:00:00.000Z",
        "updated_at": "2026-01-01T00:00:00.000Z",
    }))
}

fn show_permission(state: &State, user: &str, key: &str) -> Value {
    let (api, name) = key.split_once('\0').unwrap_or((key, ""));
    let server = state.resource_server(api);
    let sources = state.user(user).and_then(|user| user.permissions.get(api)).and_then(|names| names.get(name));
    let direct = BTreeSet::from([Source::Direct]);
    let sources = sources.unwrap_or(&direct).iter().map(|source| match source {
        Source::Direct => json!({"source_id": "", "source_name": "", "source_type": "DIRECT"}),
        Source::Role(id) => {
            let name = state.role(id).map_or(id.as_str(), |role| &role.name);
            json!({"source_id": id, "source_name": name, "source_type": "ROLE"})
        }
    });
    json!({
        "permission_name": name,
        "description": server.and_then(|server| server.permissions.get(name)),
        "resource_server_identifier": api,
        "resource_server_name": server.map_or(api, |server| &server.name),
        "sources": sources.collect::<Value>(),
    })
}
