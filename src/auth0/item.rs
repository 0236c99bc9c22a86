//! Items: what a removal removes, how it is written in the body of a DELETE, and how it is read from a list.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

/// One thing that a removal requires to be absent at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// The id of a role, a user or an organization.
    Id(Arc<str>),
    /// A permission of an API.
    Permission {
        /// The identifier (audience) of the API.
        resource_server: Arc<str>,
        /// The name of the permission.
        name: Arc<str>,
    },
}

/// The kind of the items in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// Permissions of APIs.
    Permission,
    /// Roles.
    Role,
    /// Members of an organization.
    Member,
    /// Organizations of a user.
    Organization,
}

/// An entry of a list does not have the documented shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Permission { resource_server, name } => write!(f, "{name} of {resource_server}"),
        }
    }
}

impl Item {
    /// The item as it is written in the body of a DELETE. Ids are not percent-encoded there.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Id(id) => json!(**id),
            Self::Permission { resource_server, name } => {
                json!({ "resource_server_identifier": **resource_server, "permission_name": **name })
            }
        }
    }
}

impl ItemKind {
    /// The singular noun for an item of this kind.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Role => "role",
            Self::Member => "member",
            Self::Organization => "organization",
        }
    }

    /// Reads an entry of a list. `Ok(None)` is an entry that no DELETE could remove here: a permission that the user
    /// has only through a role.
    pub(super) fn read(self, entry: &Value) -> Result<Option<Item>, Unreadable> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(Arc::from).ok_or(Unreadable);
        Ok(match self {
            Self::Permission => Some(permission(entry)?).filter(|_| is_direct(entry)),
            Self::Member => Some(Item::Id(text("user_id")?)),
            Self::Role | Self::Organization => Some(Item::Id(text("id")?)),
        })
    }

    /// The permission that this entry shows and the ids of the roles through which the user has it, if there are any.
    pub(super) fn through_roles(self, entry: &Value) -> Option<(Item, Vec<Arc<str>>)> {
        let sources = entry.get("sources").filter(|_| self == Self::Permission)?.as_array()?;
        let ids = sources.iter().filter(|source| is_role(source)).map(|source| source.get("source_id")?.as_str());
        let roles: Vec<Arc<str>> = ids.map(|id| id.unwrap_or_default().into()).collect();
        Some((permission(entry).ok()?, roles)).filter(|(_, roles)| !roles.is_empty())
    }
}

fn permission(entry: &Value) -> Result<Item, Unreadable> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(Arc::from).ok_or(Unreadable);
    Ok(Item::Permission { resource_server: text("resource_server_identifier")?, name: text("permission_name")? })
}

/// Whether the user holds this permission directly. Auth0 does not document whether the list also contains permissions
/// that come through a role, so a permission counts as direct unless all of its sources are roles.
fn is_direct(entry: &Value) -> bool {
    match entry.get("sources").and_then(Value::as_array) {
        Some(sources) if !sources.is_empty() => !sources.iter().all(is_role),
        _ => true,
    }
}

/// Whether this source of a permission is a role.
fn is_role(source: &Value) -> bool {
    source.get("source_type").and_then(Value::as_str) == Some("ROLE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_through_a_role_is_not_a_direct_one() {
        let read = |entry: Value| ItemKind::Permission.read(&entry);
        let entry =
            |sources: Value| json!({"permission_name": "p", "resource_server_identifier": "r", "sources": sources});
        assert_eq!(read(entry(json!([{"source_type": "ROLE"}]))), Ok(None));
        assert!(read(entry(json!([{"source_type": "ROLE"}, {"source_type": "DIRECT"}]))).unwrap().is_some());
        assert!(read(entry(json!([]))).unwrap().is_some());
        assert!(read(entry(Value::Null)).unwrap().is_some());
        assert_eq!(read(json!({"permission_name": 3})), Err(Unreadable));
    }

    #[test]
    fn the_roles_that_give_a_permission_are_named() {
        let read = |sources: Value| {
            let entry = json!({"permission_name": "p", "resource_server_identifier": "r", "sources": sources});
            ItemKind::Permission.through_roles(&entry).map(|(_, roles)| roles)
        };
        let sources =
            json!([{"source_type": "ROLE", "source_id": "rol_1"}, {"source_type": "DIRECT", "source_id": ""}]);
        assert_eq!(read(sources), Some(vec!["rol_1".into()]));
        assert_eq!(read(json!([{"source_type": "ROLE"}])), Some(vec!["".into()]), "a role without an id is one, too");
        assert_eq!([read(json!([{"source_type": "DIRECT"}])), read(json!([])), read(Value::Null)], [None, None, None]);
    }
}
