//! Reads what somebody holds, with the names. What cannot be read completely is not taken for nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::auth0::{Endpoint, Read};
use crate::cli::people::Named;
use crate::cli::reads::{ReadError, Reads};

use super::loss::{Holdings, Permission};

/// Everything that the user holds.
pub async fn read(reads: &mut Reads<'_>, user: &Arc<str>) -> Holdings {
    let mut held = Holdings::default();
    let roles = list(reads, Read::List(Endpoint::UserRoles { user: user.clone() }), Named::read).await;
    keep(&mut held.roles, &mut held.unread, "roles", roles);
    let permissions = permissions(reads, user).await;
    keep(&mut held.permissions, &mut held.unread, "permissions", permissions);
    let organizations = list(reads, Read::UserOrganizations { user: user.clone() }, Named::read).await;
    keep(&mut held.organizations, &mut held.unread, "organizations", organizations);
    for organization in held.organizations.clone() {
        let endpoint = Endpoint::OrganizationMemberRoles { organization: organization.id.clone(), user: user.clone() };
        let mut roles = BTreeSet::new();
        let found = list(reads, Read::List(endpoint), Named::read).await;
        keep(&mut roles, &mut held.unread, &format!("roles in {}", organization.id), found);
        if !roles.is_empty() {
            held.member_roles.insert(organization, roles);
        }
    }
    held
}

/// The permissions of the user, those through roles included as far as Auth0 shows them.
pub async fn permissions(reads: &mut Reads<'_>, user: &Arc<str>) -> Result<Vec<Permission>, ReadError> {
    list(reads, Read::List(Endpoint::UserPermissions { user: user.clone() }), permission).await
}

fn keep<T: Ord>(into: &mut BTreeSet<T>, unread: &mut Vec<String>, what: &str, found: Result<Vec<T>, ReadError>) {
    match found {
        Ok(found) => into.extend(found),
        Err(error) => unread.push(format!("{what} ({error})")),
    }
}

/// The entries of a list. One that cannot be read makes the list unreadable.
async fn list<T>(reads: &mut Reads<'_>, read: Read, entry: fn(&Value) -> Option<T>) -> Result<Vec<T>, ReadError> {
    let entries = reads.entries(read).await?;
    let unreadable = || ReadError::Failed("an entry of the list could not be read".to_owned());
    entries.iter().map(|value| entry(value).ok_or_else(unreadable)).collect()
}

fn text<'a>(entry: &'a Value, key: &str) -> Option<&'a str> {
    entry.get(key).and_then(Value::as_str)
}

fn permission(entry: &Value) -> Option<Permission> {
    let sources: Vec<&Value> = entry.get("sources").and_then(Value::as_array).into_iter().flatten().collect();
    let is_role = |source: &&&Value| text(source, "source_type") == Some("ROLE");
    let through = sources.iter().filter(is_role).map(|source| Named {
        id: text(source, "source_id").unwrap_or_default().into(),
        name: text(source, "source_name").map(str::to_owned),
    });
    let through: Vec<Named> = through.collect();
    Some(Permission {
        api: text(entry, "resource_server_identifier")?.into(),
        name: text(entry, "permission_name")?.into(),
        is_direct: sources.is_empty() || through.len() < sources.len(),
        through,
    })
}
