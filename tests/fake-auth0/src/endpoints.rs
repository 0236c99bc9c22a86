//! The table of endpoints (name, path, rate limit, scopes, form of body or list), and the routing over that table.
//!
//! Nothing else in this crate repeats a path, a scope or a body key.

use http::Method;

use crate::{
    kinds::{Group, Kind},
    switches::{Switches, Verdict},
};

/// Which scopes a call needs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scopes {
    None,
    AnyOf(&'static [&'static str]),
    AllOf(&'static [&'static str]),
}

impl Scopes {
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::AnyOf(names) | Self::AllOf(names) => names,
        }
    }
}

/// The format of an id or of an item of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    User,
    Role,
    /// A role, for which no document gives a format.
    AnyRole,
    Organization,
    Permission,
    /// The id or the identifier of an API.
    ResourceServer,
}

/// The body of a removal: `{key: [items]}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyRule {
    pub key: &'static str,
    /// Its description in the schema, which error texts repeat.
    pub about: &'static str,
    pub items: Format,
    pub max: usize,
    /// The switch that decides about more items than that.
    pub excess: fn(&Switches) -> Verdict,
    /// Whether unknown keys beside `key` are silently accepted.
    pub additional: bool,
}

/// How a list can be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListRule {
    /// The key of the items when the answer is an object.
    pub key: &'static str,
    /// Whether `from`/`take` work as well as `page`/`per_page`.
    pub checkpoint: bool,
    /// The names that `fields` accepts, if `fields`/`include_fields` work.
    pub fields: &'static [&'static str],
    /// Whether the end of offset paging at 1000 records is documented for it.
    pub ends: bool,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub kind: Kind,
    pub method: Method,
    /// Path parameters are `{user}`, `{organization}`, `{role}`, named after the [`Format`] they must have; an API is
    /// `{resource_server}`.
    pub template: &'static str,
    pub group: Group,
    pub scopes: Scopes,
    pub body: Option<BodyRule>,
    pub list: Option<ListRule>,
}

const READ: Endpoint = Endpoint {
    kind: Kind::Other,
    method: Method::GET,
    template: "",
    group: Group::Global,
    scopes: Scopes::None,
    body: None,
    list: None,
};

const fn body(key: &'static str, about: &'static str, items: Format) -> Option<BodyRule> {
    Some(BodyRule { key, about, items, max: 50, excess: |switches| switches.fifty_one_items, additional: false })
}

const fn list(key: &'static str, ends: bool) -> Option<ListRule> {
    Some(ListRule { key, checkpoint: false, fields: &[], ends })
}

/// The table, in the order of [`Kind`].
pub(crate) static ENDPOINTS: [Endpoint; 16] = [
    Endpoint {
        kind: Kind::DeleteUserPermissions,
        method: Method::DELETE,
        template: "/api/v2/users/{user}/permissions",
        group: Group::UsersWrite,
        scopes: Scopes::AnyOf(&["update:users"]),
        body: body("permissions", "List of permissions to remove from this user.", Format::Permission),
        list: None,
    },
    Endpoint {
        kind: Kind::DeleteUserRoles,
        method: Method::DELETE,
        template: "/api/v2/users/{user}/roles",
        group: Group::UsersWrite,
        scopes: Scopes::AnyOf(&["update:users"]),
        body: body("roles", "List of role IDs to remove from the user.", Format::AnyRole),
        list: None,
    },
    Endpoint {
        kind: Kind::DeleteMembers,
        method: Method::DELETE,
        template: "/api/v2/organizations/{organization}/members",
        group: Group::MembersWrite,
        scopes: Scopes::AnyOf(&["delete:organization_members"]),
        body: Some(BodyRule {
            key: "members",
            about: "List of user IDs to remove from the organization.",
            items: Format::User,
            max: 10,
            excess: |switches| switches.eleven_members,
            additional: true,
        }),
        list: None,
    },
    Endpoint {
        kind: Kind::DeleteMemberRoles,
        method: Method::DELETE,
        template: "/api/v2/organizations/{organization}/members/{user}/roles",
        group: Group::MemberRolesWrite,
        scopes: Scopes::AnyOf(&["delete:organization_member_roles"]),
        body: body("roles", "List of role IDs to remove from the organization member.", Format::Role),
        list: None,
    },
    Endpoint {
        kind: Kind::GetUser,
        template: "/api/v2/users/{user}",
        group: Group::UsersRead,
        scopes: Scopes::AnyOf(&["read:users", "read:user_idp_tokens", "read:current_user"]),
        ..READ
    },
    Endpoint {
        kind: Kind::GetUserPermissions,
        template: "/api/v2/users/{user}/permissions",
        group: Group::UsersRead,
        scopes: Scopes::AnyOf(&["read:users"]),
        list: list("permissions", false),
        ..READ
    },
    Endpoint {
        kind: Kind::GetUserRoles,
        template: "/api/v2/users/{user}/roles",
        group: Group::UsersRead,
        scopes: Scopes::AllOf(&["read:users", "read:roles", "read:role_members"]),
        list: list("roles", false),
        ..READ
    },
    Endpoint {
        kind: Kind::GetUserOrganizations,
        template: "/api/v2/users/{user}/organizations",
        group: Group::UserOrgsRead,
        scopes: Scopes::AnyOf(&["read:users", "read:organizations"]),
        list: list("organizations", true),
        ..READ
    },
    Endpoint {
        kind: Kind::GetOrganization,
        template: "/api/v2/organizations/{organization}",
        scopes: Scopes::AnyOf(&["read:organizations", "read:organizations_summary"]),
        ..READ
    },
    Endpoint {
        kind: Kind::GetMembers,
        template: "/api/v2/organizations/{organization}/members",
        group: Group::MembersRead,
        scopes: Scopes::AnyOf(&["read:organization_members", "read:organization_member_roles"]),
        list: Some(ListRule { key: "members", checkpoint: true, fields: &MEMBER_FIELDS, ends: true }),
        ..READ
    },
    Endpoint {
        kind: Kind::GetMemberRoles,
        template: "/api/v2/organizations/{organization}/members/{user}/roles",
        group: Group::MemberRolesRead,
        scopes: Scopes::AnyOf(&["read:organization_member_roles"]),
        list: list("roles", true),
        ..READ
    },
    Endpoint { kind: Kind::GetRole, template: "/api/v2/roles/{role}", scopes: Scopes::AnyOf(&["read:roles"]), ..READ },
    Endpoint {
        kind: Kind::GetRoleUsers,
        template: "/api/v2/roles/{role}/users",
        scopes: Scopes::AllOf(&["read:users", "read:roles"]),
        list: Some(ListRule { key: "users", checkpoint: true, fields: &[], ends: true }),
        ..READ
    },
    Endpoint {
        kind: Kind::GetConnections,
        template: "/api/v2/organizations/{organization}/enabled_connections",
        scopes: Scopes::AnyOf(&["read:organization_connections"]),
        list: list("enabled_connections", true),
        ..READ
    },
    Endpoint {
        kind: Kind::GetResourceServer,
        template: "/api/v2/resource-servers/{resource_server}",
        scopes: Scopes::AnyOf(&["read:resource_servers"]),
        ..READ
    },
    Endpoint { kind: Kind::Token, method: Method::POST, template: "/oauth/token", group: Group::Token, ..READ },
];

/// The fields of a member that can be chosen.
const MEMBER_FIELDS: [&str; 5] = ["user_id", "email", "picture", "name", "roles"];

/// The fields of a user that can be chosen.
pub(crate) const USER_FIELDS: [&str; 21] = [
    "user_id",
    "email",
    "email_verified",
    "username",
    "phone_number",
    "phone_verified",
    "created_at",
    "updated_at",
    "identities",
    "app_metadata",
    "user_metadata",
    "picture",
    "name",
    "nickname",
    "multifactor",
    "last_ip",
    "last_login",
    "logins_count",
    "blocked",
    "given_name",
    "family_name",
];

/// One path parameter, still as it was on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawId<'a> {
    pub format: Format,
    pub raw: &'a str,
}

impl Endpoint {
    /// The path parameters if `path` (without query) fits the template.
    fn matches<'a>(&self, path: &'a str) -> Option<Vec<RawId<'a>>> {
        let mut ids = Vec::new();
        let (mut wanted, mut given) = (self.template.split('/'), path.split('/'));
        loop {
            let format = match (wanted.next(), given.next()) {
                (None, None) => return Some(ids),
                (Some("{user}"), Some(raw)) if !raw.is_empty() => (Format::User, raw),
                (Some("{organization}"), Some(raw)) if !raw.is_empty() => (Format::Organization, raw),
                (Some("{role}"), Some(raw)) if !raw.is_empty() => (Format::Role, raw),
                (Some("{resource_server}"), Some(raw)) if !raw.is_empty() => (Format::ResourceServer, raw),
                (Some(wanted), Some(given)) if wanted == given => continue,
                _ => return None,
            };
            ids.push(RawId { format: format.0, raw: format.1 });
        }
    }
}

/// The row for a request line, with the path parameters.
pub(crate) fn route<'a>(method: &Method, path: &'a str) -> Option<(&'static Endpoint, Vec<RawId<'a>>)> {
    ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.method == *method)
        .find_map(|endpoint| endpoint.matches(path).map(|ids| (endpoint, ids)))
}

/// The scopes to read settings: of APIs, and of the connections of organizations. Nobody needs them to remove anything
/// or to prove that it is gone.
pub const SETTINGS_SCOPES: [&str; 2] = ["read:resource_servers", "read:organization_connections"];

/// Every scope that some call of the table needs, without [`SETTINGS_SCOPES`] and without those that only let users see
/// themselves or the tokens of other identity providers.
#[must_use]
pub fn all_scopes() -> Vec<&'static str> {
    let mut scopes: Vec<_> = ENDPOINTS.iter().flat_map(|endpoint| endpoint.scopes.names()).copied().collect();
    scopes.retain(|scope| !["read:user_idp_tokens", "read:current_user"].contains(scope));
    scopes.retain(|scope| !SETTINGS_SCOPES.contains(scope));
    scopes.extend([FIELD_ROLES_SCOPE, ROLE_MEMBERS_SCOPE]);
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

/// The scope that the documents name beside `update:users` for removing the roles of a user.
pub(crate) const ROLE_MEMBERS_SCOPE: &str = "delete:role_members";

/// The additional scope for listing members with `fields=roles`.
pub(crate) const FIELD_ROLES_SCOPE: &str = "read:organization_member_roles";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_kinds() {
        for (index, endpoint) in ENDPOINTS.iter().enumerate() {
            assert_eq!(endpoint.kind as usize, index);
            assert_eq!(Kind::ALL[index], endpoint.kind);
        }
        for (index, group) in Group::ALL.iter().enumerate() {
            assert_eq!(*group as usize, index);
        }
    }

    #[test]
    fn paths_are_told_apart_by_method_and_shape() {
        let path = "/api/v2/organizations/org_1/members/auth0%7C%2Fx/roles";
        let (endpoint, ids) = route(&Method::DELETE, path).unwrap();
        assert_eq!(endpoint.kind, Kind::DeleteMemberRoles);
        assert_eq!(ids[1], RawId { format: Format::User, raw: "auth0%7C%2Fx" });
        assert_eq!(route(&Method::GET, path).unwrap().0.kind, Kind::GetMemberRoles);
        for wrong in ["/api/v2/users//roles", "/api/v2/users/a/roles/", "/api/v2/users", "/users/a/roles"] {
            assert!(route(&Method::DELETE, wrong).is_none(), "{wrong}");
        }
        assert!(route(&Method::DELETE, "/api/v2/users/a").is_none());
    }
}
