//! The four endpoints, as data: where the items of a removal live, how the call is spelt, what may read it back.
//!
//! All four removals are the same thing: at an endpoint some items must be absent. A fifth kind is a fifth variant.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// An entry of a list that is not of the documented shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Everything but RFC 3986's unreserved characters is encoded in a path segment (auth0-api.md 1.4).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where items are removed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// The permissions a user holds directly.
    UserPermissions {
        /// Auth0 user id.
        user: Arc<str>,
    },
    /// The tenant-wide roles of a user.
    UserRoles {
        /// Auth0 user id.
        user: Arc<str>,
    },
    /// The members of an organization.
    OrganizationMembers {
        /// Organization id.
        organization: Arc<str>,
    },
    /// The roles of a member inside an organization.
    OrganizationMemberRoles {
        /// Organization id.
        organization: Arc<str>,
        /// Auth0 user id.
        user: Arc<str>,
    },
}

/// One thing that must be absent at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// A role id or a user id.
    Id(Arc<str>),
    /// A permission of an API.
    Permission {
        /// Identifier (audience) of the API.
        resource_server: Arc<str>,
        /// Name of the permission.
        name: Arc<str>,
    },
}

/// A list that shows what is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Read {
    /// The list of the endpoint itself, read to its end.
    List(Endpoint),
    /// The organizations of one user: tells whether that user is a member of any (auth0-api.md 2.1).
    UserOrganizations {
        /// Auth0 user id.
        user: Arc<str>,
    },
}

/// How a list is paged (auth0-api.md 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// `page` and `per_page`; ends at 1000 records.
    Offset,
    /// `from` and `take`; no end but its own.
    Checkpoint,
}

impl Endpoint {
    /// Path of the DELETE, percent-encoded, below the tenant's root.
    pub fn path(&self) -> String {
        match self {
            Self::UserPermissions { user } => format!("/api/v2/users/{}/permissions", segment(user)),
            Self::UserRoles { user } => format!("/api/v2/users/{}/roles", segment(user)),
            Self::OrganizationMembers { organization } => {
                format!("/api/v2/organizations/{}/members", segment(organization))
            }
            Self::OrganizationMemberRoles { organization, user } => {
                format!("/api/v2/organizations/{}/members/{}/roles", segment(organization), segment(user))
            }
        }
    }

    /// The body's one key.
    pub const fn body_key(&self) -> &'static str {
        match self {
            Self::UserPermissions { .. } => "permissions",
            Self::UserRoles { .. } | Self::OrganizationMemberRoles { .. } => "roles",
            Self::OrganizationMembers { .. } => "members",
        }
    }

    /// Most items in one call: 10 members is Auth0's limit, 50 is the suggested ceiling elsewhere (auth0-api.md 1.3).
    pub const fn max_items(&self) -> usize {
        match self {
            Self::OrganizationMembers { .. } => 10,
            _ => 50,
        }
    }

    /// The endpoint with its ids left out, for logs and metrics.
    pub const fn template(&self) -> &'static str {
        match self {
            Self::UserPermissions { .. } => "users/{id}/permissions",
            Self::UserRoles { .. } => "users/{id}/roles",
            Self::OrganizationMembers { .. } => "organizations/{id}/members",
            Self::OrganizationMemberRoles { .. } => "organizations/{id}/members/{user_id}/roles",
        }
    }

    /// The scope a removal here needs (auth0-api.md 1.2); shown when Auth0 does not name one.
    pub const fn removal_scope(&self) -> &'static str {
        match self {
            Self::UserPermissions { .. } | Self::UserRoles { .. } => "update:users",
            Self::OrganizationMembers { .. } => "delete:organization_members",
            Self::OrganizationMemberRoles { .. } => "delete:organization_member_roles",
        }
    }

    /// What a 404 of the removal says does not exist (auth0-api.md 1.7).
    pub const fn subject(&self) -> &'static str {
        match self {
            Self::UserPermissions { .. } | Self::UserRoles { .. } => "user",
            Self::OrganizationMembers { .. } | Self::OrganizationMemberRoles { .. } => "organization or user",
        }
    }

    /// The DELETE's body for `items`. In bodies ids are raw.
    pub fn body(&self, items: &[Item]) -> Value {
        json!({ self.body_key(): items.iter().map(Item::to_json).collect::<Vec<_>>() })
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Permission { resource_server, name } => write!(f, "{name} of {resource_server}"),
        }
    }
}

impl Item {
    fn to_json(&self) -> Value {
        match self {
            Self::Id(id) => json!(**id),
            Self::Permission { resource_server, name } => {
                json!({ "resource_server_identifier": **resource_server, "permission_name": **name })
            }
        }
    }
}

impl Read {
    /// Path of the GET, percent-encoded.
    pub fn path(&self) -> String {
        match self {
            Self::List(endpoint) => endpoint.path(),
            Self::UserOrganizations { user } => format!("/api/v2/users/{}/organizations", segment(user)),
        }
    }

    /// The list with its ids left out, for logs and metrics.
    pub const fn template(&self) -> &'static str {
        match self {
            Self::List(endpoint) => endpoint.template(),
            Self::UserOrganizations { .. } => "users/{id}/organizations",
        }
    }

    /// How this list is paged. Members use the checkpoint form, the only one that reaches past 1000.
    pub const fn paging(&self) -> Paging {
        match self {
            Self::List(Endpoint::OrganizationMembers { .. }) => Paging::Checkpoint,
            _ => Paging::Offset,
        }
    }

    /// The key under which the items stand when the answer is an object.
    pub const fn list_key(&self) -> &'static str {
        match self {
            Self::List(endpoint) => endpoint.body_key(),
            Self::UserOrganizations { .. } => "organizations",
        }
    }

    /// The item an entry of this list stands for: `Ok(None)` for an entry that is not ours to remove (a permission that
    /// comes through a role only), `Err` for an entry that cannot be read.
    pub fn item(&self, entry: &Value) -> Result<Option<Item>, Unreadable> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(Arc::from).ok_or(Unreadable);
        Ok(match self {
            Self::List(Endpoint::UserPermissions { .. }) => {
                let item = Item::Permission {
                    resource_server: text("resource_server_identifier")?,
                    name: text("permission_name")?,
                };
                is_direct(entry).then_some(item)
            }
            Self::List(Endpoint::OrganizationMembers { .. }) => Some(Item::Id(text("user_id")?)),
            Self::List(Endpoint::UserRoles { .. } | Endpoint::OrganizationMemberRoles { .. })
            | Self::UserOrganizations { .. } => Some(Item::Id(text("id")?)),
        })
    }
}

/// Whether a permission is held directly. The list may also hold role-derived ones (auth0-api.md 2.1, UNSURE): no
/// sources, or sources we do not know, count as direct.
fn is_direct(entry: &Value) -> bool {
    match entry.get("sources").and_then(Value::as_array) {
        Some(sources) if !sources.is_empty() => {
            !sources.iter().all(|s| s.get("source_type").and_then(Value::as_str) == Some("ROLE"))
        }
        _ => true,
    }
}

fn segment(id: &str) -> String {
    utf8_percent_encode(id, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// F1: whatever the id, it stays one segment and decodes to itself.
        #[test]
        fn an_id_stays_one_segment(user in "\\PC{1,40}") {
            let path = Endpoint::UserRoles { user: user.as_str().into() }.path();
            let inner = path.strip_prefix("/api/v2/users/").and_then(|p| p.strip_suffix("/roles")).unwrap();
            prop_assert!(!inner.contains(['/', '?', '#', '|', '%']) || !inner.contains(['/', '?', '#', '|']));
            prop_assert_eq!(percent_encoding::percent_decode_str(inner).decode_utf8().unwrap(), user);
        }
    }

    #[test]
    fn bodies_hold_raw_ids() {
        let endpoint = Endpoint::OrganizationMembers { organization: "org_9ybsU1dN2dKfDkBi".into() };
        assert_eq!(endpoint.body(&[Item::Id("auth0|a/b".into())]).to_string(), r#"{"members":["auth0|a/b"]}"#);
        let endpoint = Endpoint::UserPermissions { user: "auth0|a".into() };
        let item = Item::Permission { resource_server: "https://api/".into(), name: "read:x".into() };
        assert_eq!(
            endpoint.body(&[item]),
            json!({"permissions": [{"resource_server_identifier": "https://api/", "permission_name": "read:x"}]})
        );
        assert_eq!(endpoint.path(), "/api/v2/users/auth0%7Ca/permissions");
    }

    #[test]
    fn a_permission_through_a_role_is_not_a_direct_one() {
        let read = Read::List(Endpoint::UserPermissions { user: "auth0|a".into() });
        let entry =
            |sources: Value| json!({"permission_name": "p", "resource_server_identifier": "r", "sources": sources});
        assert_eq!(read.item(&entry(json!([{"source_type": "ROLE"}]))), Ok(None));
        assert!(read.item(&entry(json!([{"source_type": "ROLE"}, {"source_type": "DIRECT"}]))).unwrap().is_some());
        assert!(read.item(&entry(json!([]))).unwrap().is_some());
        assert!(read.item(&entry(Value::Null)).unwrap().is_some());
        assert_eq!(read.item(&json!({"permission_name": 3})), Err(Unreadable));
    }
}
