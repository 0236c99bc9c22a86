//! The JSON of objects in answers, as in documents and recordings, newer fields included.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    state::{ResourceServer, Source, State, User},
    switches::{MissingEmail, RolePermissions, Switches},
};

pub(crate) fn role(state: &State, id: &str) -> Value {
    let role = state.role(id);
    let mut shown = json!({
        "id": id,
        "name": role.map_or(id, |role| &role.name),
        "description": role.map_or("", |role| &role.description),
    });
    if let Some(owner) = role.and_then(|role| role.owner_id.as_deref()) {
        shown["type"] = "organization".into();
        shown["owner_id"] = owner.into();
    }
    shown
}

pub(crate) fn organization(state: &State, id: &str) -> Value {
    let organization = state.organization(id);
    json!({
        "id": id,
        "name": organization.map_or(id, |organization| &organization.name),
        "display_name": organization.map_or("", |organization| &organization.display_name),
        "metadata": {},
        "third_party_client_access": "block",
        "is_app_entitlement_active": false,
    })
}

/// The internal id of an API.
pub(crate) fn resource_server_id(identifier: &str) -> String {
    crate::fingerprint(identifier).chars().filter(char::is_ascii_hexdigit).cycle().take(24).collect()
}

pub(crate) fn resource_server(identifier: &str, api: &ResourceServer) -> Value {
    let scopes = api.permissions.iter().map(|(name, about)| json!({"value": name, "description": about}));
    json!({
        "id": resource_server_id(identifier),
        "identifier": identifier,
        "name": api.name,
        "is_system": false,
        "allow_offline_access": false,
        "skip_consent_for_verifiable_first_party_clients": true,
        "signing_alg": "RS256",
        "token_dialect": "access_token",
        "token_lifetime": api.token_lifetime,
        "token_lifetime_for_web": api.token_lifetime.min(7200),
        "enforce_policies": api.enforce_policies,
        "scopes": scopes.collect::<Value>(),
    })
}

/// A connection of an organization.
pub(crate) fn connection(organization: &str, name: &str, assigns_membership: bool) -> Value {
    json!({
        "connection_id": format!("con_{}", crate::fingerprint(&format!("{organization} {name}"))),
        "assign_membership_on_login": assigns_membership,
        "show_as_button": true,
        "is_signup_enabled": false,
        "connection": {"name": name, "strategy": "auth0"},
    })
}

const BEGINNING: &str = "2026-01-01T00:00:00.000Z";

const PICTURE: &str = "https://pictures.example/avatar.png";

fn email(shown: &mut Value, user: Option<&User>, switches: &Switches) {
    let email = user.and_then(|user| user.email.as_deref());
    if email.is_some() || switches.missing_email == MissingEmail::Null {
        shown["email"] = email.into();
    }
}

/// A member of an organization, with the roles held there if they were asked for.
pub(crate) fn member(state: &State, organization: &str, id: &str, roles: bool, switches: &Switches) -> Value {
    let user = state.user(id);
    let mut shown = json!({
        "user_id": id,
        "name": user.and_then(|user| user.name.as_deref()).unwrap_or(id),
        "picture": PICTURE,
    });
    email(&mut shown, user, switches);
    if roles {
        let roles = state.organization(organization).and_then(|organization| organization.members.get(id));
        let named = roles
            .into_iter()
            .flatten()
            .map(|role| json!({"id": role, "name": state.role(role).map_or(role.as_str(), |role| &role.name)}));
        shown["roles"] = named.collect();
    }
    shown
}

fn identity(id: &str) -> Value {
    let (provider, rest) = id.split_once('|').unwrap_or(("", id));
    json!({"provider": provider, "user_id": rest, "connection": provider, "isSocial": provider != "auth0"})
}

pub(crate) fn user(state: &State, id: &str, switches: &Switches) -> Option<Value> {
    let user = state.user(id)?;
    let identities: Value = std::iter::once(id).chain(user.linked.iter().map(String::as_str)).map(identity).collect();
    let mut shown = json!({
        "user_id": id,
        "email_verified": user.email.is_some(),
        "name": user.name.as_deref().unwrap_or(id),
        "nickname": user.name.as_deref().unwrap_or(id),
        "picture": PICTURE,
        "identities": identities,
        "app_metadata": {},
        "user_metadata": {},
        "created_at": user.created_at.as_deref().unwrap_or(BEGINNING),
        "updated_at": BEGINNING,
    });
    let logins = user.logins_count.unwrap_or(1);
    if logins > 0 {
        shown["last_ip"] = "192.0.2.1".into();
        shown["last_login"] = user.last_login.as_deref().unwrap_or(BEGINNING).into();
        shown["logins_count"] = logins.into();
    }
    if let Some(blocked) = user.blocked {
        shown["blocked"] = blocked.into();
    }
    email(&mut shown, Some(user), switches);
    Some(shown)
}

/// Whether a permission from these sources is listed.
pub(crate) fn lists_permission(sources: &BTreeSet<Source>, switches: &Switches) -> bool {
    switches.role_permissions == RolePermissions::Listed || sources.contains(&Source::Direct)
}

/// A permission of an API.
pub(crate) fn api_permission(state: &State, api: &str, name: &str) -> Value {
    let server = state.resource_server(api);
    json!({
        "permission_name": name,
        "description": server.and_then(|server| server.permissions.get(name)),
        "resource_server_identifier": api,
        "resource_server_name": server.map_or(api, |server| &server.name),
    })
}

/// A permission of a user by its key in lists.
pub(crate) fn permission(state: &State, user: &str, key: &str, switches: &Switches) -> Value {
    let (api, name) = key.split_once('\0').unwrap_or((key, ""));
    let sources = state.user(user).and_then(|user| user.permissions.get(api)).and_then(|names| names.get(name));
    let direct = BTreeSet::from([Source::Direct]);
    let listed = |source: &&Source| switches.role_permissions == RolePermissions::Listed || **source == Source::Direct;
    let sources = sources.unwrap_or(&direct).iter().filter(listed).map(|source| match source {
        Source::Direct => json!({"source_id": "", "source_name": "", "source_type": "DIRECT"}),
        Source::Role(id) => {
            let name = state.role(id).map_or(id.as_str(), |role| &role.name);
            json!({"source_id": id, "source_name": name, "source_type": "ROLE"})
        }
    });
    let mut shown = api_permission(state, api, name);
    shown["sources"] = sources.collect();
    shown
}
