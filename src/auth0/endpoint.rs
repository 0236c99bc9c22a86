//! The table of endpoints: where items are removed, how the DELETE is written, and which list shows what is left.
//!
//! All removals have the same shape: at an endpoint, some items must be absent. The endpoints differ only in what their
//! table rows say; another endpoint is another row.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::api::{is_organization_id, is_user_id};

use super::item::{Item, ItemKind};

/// In a path segment everything is percent-encoded but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What distinguishes an endpoint from the others.
#[derive(Debug)]
pub struct EndpointRow {
    /// The only key in the body of the DELETE; its value is the array of items.
    pub body_key: &'static str,
    /// The most items that one DELETE may name: Auth0's documented maximum if there is one, otherwise a cautious 50.
    pub max_items: usize,
    /// The scopes that the DELETE needs, all of them.
    pub removal_scopes: &'static [&'static str],
    /// The scopes of which any source says that it is enough for the DELETE. A token with none of them is not tried.
    pub sufficient_scopes: &'static [&'static str],
    /// What does not exist if Auth0 answers the DELETE with 404, as a noun for messages.
    pub subject: &'static str,
    /// Whether the list is strongly consistent. Only then does a complete read without an item make its DELETE
    /// unnecessary (docs/design.md, promise 4).
    pub strongly_consistent: bool,
    /// What Auth0's 404 to the DELETE is about.
    pub not_found: NotFound,
    /// Whether the list is that of an organization's members, which can be read user by user instead.
    pub per_user: bool,
    /// The list at the same path, which shows what is there.
    pub list: ListRow,
}

/// What a 404 to a DELETE can be about. Lists are read to find out which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// The subject in the path, unless the endpoint's list can be read: then an item.
    SubjectOrItem,
    /// The organization in the path, unless its list of members can be read: then a user, who is therefore no member.
    OrganizationOrUser,
    /// The organization or the user in the path, the membership, or an item.
    MembershipOrItem,
}

/// An id in the path of an endpoint.
#[derive(Debug)]
pub struct PathId {
    /// What it identifies.
    pub of: &'static str,
    /// Whether a text can be such an id, by the rule of the schema.
    pub is_valid: fn(&str) -> bool,
    /// The message for users if it cannot.
    pub invalid: &'static str,
}

/// What distinguishes a list from the others.
#[derive(Debug)]
pub struct ListRow {
    /// The path below `/api/v2/` with placeholders instead of ids, for logs and metrics.
    pub template: &'static str,
    /// The key of the array of entries if the response is an object.
    pub key: &'static str,
    /// The kind of its items.
    pub items: ItemKind,
    /// How it is paged.
    pub paging: Paging,
    /// The scopes that reading it needs, all of them.
    pub scopes: &'static [&'static str],
}

/// How a list is paged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// With `page` and `per_page`. Auth0 serves only the first 1,000 records this way.
    Offset,
    /// With `from` and `take`, without a limit on the number of records.
    Checkpoint,
    /// Not at all: it is one object.
    Single,
    /// Not at all: it is an array of all entries.
    Whole,
}

/// Declares the endpoints. A row consists of the variant's name, the ids in its path in the order of the path, each
/// with its `PathId`, and its `EndpointRow`. The attributes of a row go to everything that is made from it.
macro_rules! endpoints {
    ($($(#[$attribute:meta])* $name:ident { $($id:ident: $path_id:ident),+ } => $row:expr;)+) => {
        /// An endpoint: the place where items are removed.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Endpoint {
            $($(#[$attribute])* $name {
                $(#[doc = concat!("Auth0's id of the ", stringify!($id), ".")] $id: Arc<str>),+
            }),+
        }

        #[allow(unused_doc_comments, reason = "the attributes of a row begin with its documentation")]
        impl Endpoint {
            /// Every endpoint in the order of the table, with these ids.
            pub fn all(user: &str, organization: &str) -> Vec<Self> {
                let id = |of: &str| if of == "organization" { organization.into() } else { user.into() };
                Vec::from([$($(#[$attribute])* Self::$name { $($id: id(stringify!($id))),+ }),+])
            }

            /// The endpoint's row in the table.
            pub const fn row(&self) -> &'static EndpointRow {
                match self {
                    $($(#[$attribute])* Self::$name { .. } => const { &$row }),+
                }
            }

            /// The ids in the path, in its order.
            pub fn ids(&self) -> Vec<(&'static PathId, &Arc<str>)> {
                match self {
                    $($(#[$attribute])* Self::$name { $($id),+ } => vec![$((&$path_id, $id)),+]),+
                }
            }
        }
    };
}

static USER: PathId = PathId {
    of: "user",
    is_valid: is_user_id,
    invalid: "spec.userId is not an Auth0 user id such as auth0|5f7c8ec7c33c6c004bbafe82",
};

static ORGANIZATION: PathId = PathId {
    of: "organization",
    is_valid: is_organization_id,
    invalid: "spec.organizationId is not an Auth0 organization id such as org_9ybsU1dN2dKfDkBi",
};

#[cfg(test)]
static GROUP: PathId = PathId {
    of: "group",
    is_valid: crate::api::is_group_id,
    invalid: "spec.groupId is not an Auth0 group id such as grp_3kVbq8Yw1mZr7TnC",
};

endpoints! {
    /// The permissions that a user holds directly.
    UserPermissions { user: USER } => EndpointRow {
        body_key: "permissions",
        max_items: 50,
        removal_scopes: &["update:users"],
        sufficient_scopes: &["update:users"],
        subject: "user",
        strongly_consistent: true,
        not_found: NotFound::SubjectOrItem,
        per_user: false,
        list: ListRow {
            template: "users/{id}/permissions",
            key: "permissions",
            items: ItemKind::Permission,
            paging: Paging::Offset,
            scopes: &["read:users"],
        },
    };
    /// The tenant-wide roles of a user.
    UserRoles { user: USER } => EndpointRow {
        body_key: "roles",
        max_items: 50,
        // Auth0's documentation also lists delete:role_members, but its 403 names only this scope.
        removal_scopes: &["update:users"],
        sufficient_scopes: &["update:users", "delete:role_members"],
        subject: "user",
        strongly_consistent: true,
        not_found: NotFound::SubjectOrItem,
        per_user: false,
        list: ListRow {
            template: "users/{id}/roles",
            key: "roles",
            items: ItemKind::Role,
            paging: Paging::Offset,
            scopes: &["read:users", "read:roles", "read:role_members"],
        },
    };
    /// The members of an organization. Their list lags by some seconds. It is paged by checkpoint, the only way to read
    /// beyond the first 1,000 members.
    OrganizationMembers { organization: ORGANIZATION } => EndpointRow {
        body_key: "members",
        max_items: 10,
        removal_scopes: &["delete:organization_members"],
        sufficient_scopes: &["delete:organization_members"],
        subject: "organization or user",
        strongly_consistent: false,
        not_found: NotFound::OrganizationOrUser,
        per_user: true,
        list: ListRow {
            template: "organizations/{id}/members",
            key: "members",
            items: ItemKind::Member,
            paging: Paging::Checkpoint,
            scopes: &["read:organization_members"],
        },
    };
    /// The roles of a member inside an organization.
    OrganizationMemberRoles { organization: ORGANIZATION, user: USER } => EndpointRow {
        body_key: "roles",
        max_items: 50,
        removal_scopes: &["delete:organization_member_roles"],
        sufficient_scopes: &["delete:organization_member_roles"],
        subject: "organization or user",
        strongly_consistent: false,
        not_found: NotFound::MembershipOrItem,
        per_user: false,
        list: ListRow {
            template: "organizations/{id}/members/{user_id}/roles",
            key: "roles",
            items: ItemKind::Role,
            paging: Paging::Offset,
            scopes: &["read:organization_member_roles"],
        },
    };
    /// The roles that a group gives to its members.
    #[cfg(test)]
    GroupRoles { group: GROUP } => EndpointRow {
        body_key: "roles",
        max_items: 50,
        removal_scopes: &["delete:group_roles"],
        sufficient_scopes: &["delete:group_roles"],
        subject: "group",
        strongly_consistent: false,
        not_found: NotFound::SubjectOrItem,
        per_user: false,
        list: ListRow {
            template: "groups/{id}/roles",
            key: "roles",
            items: ItemKind::Role,
            paging: Paging::Offset,
            scopes: &["read:group_roles"],
        },
    };
}

/// The organizations of one user, read to find out whether the user is a member of a certain one.
pub(super) static USER_ORGANIZATIONS: ListRow = ListRow {
    template: "users/{id}/organizations",
    key: "organizations",
    items: ItemKind::Organization,
    paging: Paging::Offset,
    scopes: &["read:organizations"],
};

impl EndpointRow {
    /// The scope to ask for if these, which are all that a token has, are not enough for the DELETE.
    pub fn lacking(&self, held: &[String]) -> Option<&'static str> {
        let has = |scope: &&str| held.iter().any(|own| own == scope);
        if self.sufficient_scopes.iter().any(has) { None } else { self.removal_scopes.first().copied() }
    }

    /// The scope to ask for if these, which are all that a token has, let it read nothing of the list.
    pub fn lacking_to_read(&self, held: &[String]) -> Option<&'static str> {
        let has = |scope: &'static str| held.iter().any(|own| own == scope);
        if self.reads().any(has) { None } else { self.list.scopes.first().copied() }
    }

    /// The scopes that verifying a removal can need.
    pub fn reads(&self) -> impl Iterator<Item = &'static str> {
        let per_user = if self.per_user { USER_ORGANIZATIONS.scopes } else { &[] };
        self.list.scopes.iter().chain(per_user).copied()
    }
}

impl Endpoint {
    /// The id of the user in the path, if the path has one.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.id(&USER)
    }

    /// The id of the organization in the path, if the path has one.
    pub fn organization(&self) -> Option<&Arc<str>> {
        self.id(&ORGANIZATION)
    }

    fn id(&self, of: &PathId) -> Option<&Arc<str>> {
        self.ids().into_iter().find(|(path_id, _)| path_id.of == of.of).map(|(_, id)| id)
    }

    /// The ids in the path that identify neither a user nor an organization.
    pub fn other_ids(&self) -> impl Iterator<Item = (&'static PathId, &Arc<str>)> {
        self.ids().into_iter().filter(|(path_id, _)| ![USER.of, ORGANIZATION.of].contains(&path_id.of))
    }

    /// The path of the DELETE, from `/api/v2` on, with its ids percent-encoded.
    pub fn path(&self) -> String {
        path(self.template(), self.ids().into_iter().map(|(_, id)| &**id))
    }

    /// The path below `/api/v2/` with placeholders instead of ids, for logs and metrics.
    pub const fn template(&self) -> &'static str {
        self.row().list.template
    }

    /// The most items that one DELETE may name.
    pub const fn max_items(&self) -> usize {
        self.row().max_items
    }

    /// What does not exist if Auth0 answers the DELETE with 404, as a noun for messages.
    pub const fn subject(&self) -> &'static str {
        self.row().subject
    }

    /// The kind of its items.
    pub const fn items(&self) -> ItemKind {
        self.row().list.items
    }

    /// The body of a DELETE of `items`. Ids are not percent-encoded there.
    pub fn body(&self, items: &[Item]) -> Value {
        json!({ self.row().body_key: items.iter().map(Item::to_json).collect::<Vec<_>>() })
    }
}

/// Fills the placeholders of `template` with `ids`, in their order.
pub(super) fn path<'a>(template: &str, mut ids: impl Iterator<Item = &'a str>) -> String {
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
mod tests;
