//! What is removed: the items, how they are spelt in a body, and how they are found in a list.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

/// One thing that must be absent at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// A role id, a user id or an organization id.
    Id(Arc<str>),
    /// A permission of an API.
    Permission {
        /// Identifier (audience) of the API.
        resource_server: Arc<str>,
        /// Name of the permission.
        name: Arc<str>,
    },
}

/// What the items of a list are.
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

/// An entry of a list that is not of the documented shape.
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
    /// As it stands in the body of a DELETE, where ids are raw.
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
    /// The word for one of them.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Role => "role",
            Self::Member => "member",
            Self::Organization => "organization",
        }
    }

    /// The item an entry of a list stands for: `Ok(None)` for an entry that is not ours to remove (a permission that
    /// comes through a role only), `Err` for an entry that cannot be read.
    pub(super) fn read(self, entry: &Value) -> Result<Option<Item>, Unreadable> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(Arc::from).ok_or(Unreadable);
        Ok(match self {
            Self::Permission => {
                let item = Item::Permission {
                    resource_server: text("resource_server_identifier")?,
                    name: text("permission_name")?,
                };
                is_direct(entry).then_some(item)
            }
            Self::Member => Some(Item::Id(text("user_id")?)),
            Self::Role | Self::Organization => Some(Item::Id(text("id")?)),
        })
    }
}

/// Whether a permission is held directly. Whether the list also holds those that come through a role is documented
/// nowhere: no sources, or sources we do not know, count as direct.
fn is_direct(entry: &Value) -> bool {
    match entry.get("sources").and_then(Value::as_array) {
        Some(sources) if !sources.is_empty() => {
            !sources.iter().all(|s| s.get("source_type").and_then(Value::as_str) == Some("ROLE"))
        }
        _ => true,
    }
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
}
