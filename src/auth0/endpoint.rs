//! The endpoints, as a table: where the items of a removal live, how the call is spelt, what may read it back.
//!
//! All removals are the same thing: at an endpoint some items must be absent. What tells the endpoints apart stands in one
//! row each; a fifth one is a fifth row.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::item::{Item, ItemKind, Unreadable};

/// Everything but RFC 3986's unreserved characters is encoded in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What is known of an endpoint.
#[derive(Debug)]
pub struct EndpointRow {
    /// The one key of the DELETE's body.
    pub body_key: &'static str,
    /// Most items in one DELETE: Auth0's own limit where it names one, else a ceiling well below the limits of entities.
    pub max_items: usize,
    /// The scopes that a DELETE needs.
    pub removal_scopes: &'static [&'static str],
    /// What Auth0 may not know when it answers the DELETE with 404.
    pub subject: &'static str,
    /// Whether a complete read without the items may spare the DELETE: only where the list never lags.
    pub may_spare: bool,
    /// The list of what is there, at the same path.
    pub list: ListRow,
}

/// What is known of a list.
#[derive(Debug)]
pub struct ListRow {
    /// The path below `/api/v2/` with its ids left out, for logs and metrics.
    pub template: &'static str,
    /// The key under which the items stand when the answer is an object.
    pub key: &'static str,
    /// What the items are.
    pub items: ItemKind,
    /// How it is paged.
    pub paging: Paging,
    /// The scopes that reading it needs, all of them.
    pub scopes: &'static [&'static str],
}

/// How a list is paged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// `page` and `per_page`; ends at 1000 records.
    Offset,
    /// `from` and `take`; no end but its own.
    Checkpoint,
}

/// One line for each endpoint: its name, the ids in its path in their order there, and its row.
macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident { $($id:ident),+ } => $row:expr;)+) => {
        /// Where items are removed.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Endpoint {
            $($(#[$doc])* $name {
                $(#[doc = concat!("Auth0's id of the ", stringify!($id), ".")] $id: Arc<str>),+
            }),+
        }

        impl Endpoint {
            /// Every endpoint, in the order of the table, with these ids.
            pub fn all(user: &str, organization: &str) -> Vec<Self> {
                let id = |of: &str| if of == "organization" { organization.into() } else { user.into() };
                vec![$(Self::$name { $($id: id(stringify!($id))),+ }),+]
            }

            /// What is known of it.
            pub const fn row(&self) -> &'static EndpointRow {
                match self {
                    $(Self::$name { .. } => const { &$row }),+
                }
            }

            /// The ids in its path, each after what it is the id of.
            fn ids(&self) -> Vec<(&'static str, &Arc<str>)> {
                match self {
                    $(Self::$name { $($id),+ } => vec![$((stringify!($id), $id)),+]),+
                }
            }
        }
    };
}

endpoints! {
    /// The permissions a user holds directly.
    UserPermissions { user } => EndpointRow {
        body_key: "permissions",
        max_items: 50,
        removal_scopes: &["update:users"],
        subject: "user",
        may_spare: true,
        list: ListRow {
            template: "users/{id}/permissions",
            key: "permissions",
            items: ItemKind::Permission,
            paging: Paging::Offset,
            scopes: &["read:users"],
        },
    };
    /// The tenant-wide roles of a user.
    UserRoles { user } => EndpointRow {
        body_key: "roles",
        max_items: 50,
        // Auth0's description also lists delete:role_members, but its own refusal names only this one.
        removal_scopes: &["update:users"],
        subject: "user",
        may_spare: true,
        list: ListRow {
            template: "users/{id}/roles",
            key: "roles",
            items: ItemKind::Role,
            paging: Paging::Offset,
            scopes: &["read:users", "read:roles", "read:role_members"],
        },
    };
    /// The members of an organization. Their list lags some seconds behind; read by checkpoint, the only way past the
    /// first 1000.
    OrganizationMembers { organization } => EndpointRow {
        body_key: "members",
        max_items: 10,
        removal_scopes: &["delete:organization_members"],
        subject: "organization or user",
        may_spare: false,
        list: ListRow {
            template: "organizations/{id}/members",
            key: "members",
            items: ItemKind::Member,
            paging: Paging::Checkpoint,
            scopes: &["read:organization_members"],
        },
    };
    /// The roles of a member inside an organization.
    OrganizationMemberRoles { organization, user } => EndpointRow {
        body_key: "roles",
        max_items: 50,
        removal_scopes: &["delete:organization_member_roles"],
        subject: "organization or user",
        may_spare: false,
        list: ListRow {
            template: "organizations/{id}/members/{user_id}/roles",
            key: "roles",
            items: ItemKind::Role,
            paging: Paging::Offset,
            scopes: &["read:organization_member_roles"],
        },
    };
}

/// The organizations of one user tell whether that user is a member of any.
static USER_ORGANIZATIONS: ListRow = ListRow {
    template: "users/{id}/organizations",
    key: "organizations",
    items: ItemKind::Organization,
    paging: Paging::Offset,
    scopes: &["read:organizations"],
};

impl Endpoint {
    /// The user in its path.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.id("user")
    }

    /// The organization in its path.
    pub fn organization(&self) -> Option<&Arc<str>> {
        self.id("organization")
    }

    fn id(&self, of: &str) -> Option<&Arc<str>> {
        self.ids().into_iter().find(|(name, _)| *name == of).map(|(_, id)| id)
    }

    /// Path of the DELETE, percent-encoded, below the tenant's root.
    pub fn path(&self) -> String {
        path(self.template(), self.ids().into_iter().map(|(_, id)| &**id))
    }

    /// The endpoint with its ids left out, for logs and metrics.
    pub const fn template(&self) -> &'static str {
        self.row().list.template
    }

    /// Most items in one call.
    pub const fn max_items(&self) -> usize {
        self.row().max_items
    }

    /// What a 404 of the removal says does not exist.
    pub const fn subject(&self) -> &'static str {
        self.row().subject
    }

    /// What its items are.
    pub const fn items(&self) -> ItemKind {
        self.row().list.items
    }

    /// The DELETE's body for `items`. In bodies ids are raw.
    pub fn body(&self, items: &[Item]) -> Value {
        json!({ self.row().body_key: items.iter().map(Item::to_json).collect::<Vec<_>>() })
    }
}

/// A list that shows what is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Read {
    /// The list of the endpoint itself, read to its end.
    List(Endpoint),
    /// The organizations of one user: tells whether that user is a member of any.
    UserOrganizations {
        /// Auth0's id of the user.
        user: Arc<str>,
    },
}

impl Read {
    /// What is known of this list.
    pub const fn row(&self) -> &'static ListRow {
        match self {
            Self::List(endpoint) => &endpoint.row().list,
            Self::UserOrganizations { .. } => &USER_ORGANIZATIONS,
        }
    }

    /// Path of the GET, percent-encoded.
    pub fn path(&self) -> String {
        match self {
            Self::List(endpoint) => endpoint.path(),
            Self::UserOrganizations { user } => path(self.template(), [&**user].into_iter()),
        }
    }

    /// The list with its ids left out, for logs and metrics.
    pub const fn template(&self) -> &'static str {
        self.row().template
    }

    /// How this list is paged.
    pub const fn paging(&self) -> Paging {
        self.row().paging
    }

    /// The key under which the items stand when the answer is an object.
    pub const fn list_key(&self) -> &'static str {
        self.row().key
    }

    /// The item an entry of this list stands for: `Ok(None)` for an entry that is not ours to remove, `Err` for an entry
    /// that cannot be read.
    pub fn item(&self, entry: &Value) -> Result<Option<Item>, Unreadable> {
        self.row().items.read(entry)
    }
}

/// The path of `template`, whose placeholders are filled with `ids` in their order.
fn path<'a>(template: &str, mut ids: impl Iterator<Item = &'a str>) -> String {
    let mut path = String::from("/api/v2");
    for part in template.split('/') {
        path.push('/');
        match part.starts_with('{').then(|| ids.next()).flatten() {
            Some(id) => path.extend(utf8_percent_encode(id, SEGMENT)),
            None => path.push_str(part),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the ids, each stays one segment and decodes to itself.
        #[test]
        fn an_id_stays_one_segment(user in "\\PC{1,40}", organization in "\\PC{1,40}") {
            for endpoint in Endpoint::all(&user, &organization) {
                let path = endpoint.path();
                let inner: Vec<_> = path.strip_prefix("/api/v2/").unwrap().split('/').collect();
                let template: Vec<_> = endpoint.template().split('/').collect();
                prop_assert_eq!(inner.len(), template.len());
                let mut ids = endpoint.ids().into_iter();
                for (part, name) in inner.into_iter().zip(template) {
                    if name.starts_with('{') {
                        prop_assert!(!part.contains(['?', '#', '|', ' ']));
                        let id = percent_encoding::percent_decode_str(part).decode_utf8().unwrap();
                        prop_assert_eq!(&*id, &**ids.next().unwrap().1);
                    } else {
                        prop_assert_eq!(part, name);
                    }
                }
                prop_assert!(ids.next().is_none());
            }
        }
    }

    #[test]
    fn paths_and_bodies_are_as_documented() {
        let written: Vec<_> = Endpoint::all("auth0|a/b", "org_9ybsU1dN2dKfDkBi")
            .into_iter()
            .map(|endpoint| (endpoint.path(), endpoint.body(&[Item::Id("x|y".into())]).to_string()))
            .collect();
        let expected = [
            ("/api/v2/users/auth0%7Ca%2Fb/permissions", r#"{"permissions":["x|y"]}"#),
            ("/api/v2/users/auth0%7Ca%2Fb/roles", r#"{"roles":["x|y"]}"#),
            ("/api/v2/organizations/org_9ybsU1dN2dKfDkBi/members", r#"{"members":["x|y"]}"#),
            ("/api/v2/organizations/org_9ybsU1dN2dKfDkBi/members/auth0%7Ca%2Fb/roles", r#"{"roles":["x|y"]}"#),
        ];
        assert_eq!(written, expected.map(|(path, body)| (path.to_owned(), body.to_owned())));
        let organizations = Read::UserOrganizations { user: "auth0|a".into() };
        assert_eq!(organizations.path(), "/api/v2/users/auth0%7Ca/organizations");
        let item = Item::Permission { resource_server: "https://api/".into(), name: "read:x".into() };
        assert_eq!(
            Endpoint::UserPermissions { user: "auth0|a".into() }.body(&[item]),
            json!({"permissions": [{"resource_server_identifier": "https://api/", "permission_name": "read:x"}]})
        );
    }
}
