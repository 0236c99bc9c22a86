//! The table of endpoints.
//!
//! Nothing else in this crate repeats a path, a scope or a body key.

use http::Method;

use super::{BodyRule, Endpoint, Format, ListRule, Paging, Scopes};
use crate::kinds::{Group, Kind};

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

const LIST: ListRule =
    ListRule { key: "", paging: Paging::Offset, fields: &[], ends: true, filters: &[], required: &[] };

const fn list(key: &'static str, ends: bool) -> Option<ListRule> {
    Some(ListRule { key, ends, ..LIST })
}

const fn view(kind: Kind, template: &'static str, scope: &'static [&'static str], list: ListRule) -> Endpoint {
    let list = ListRule { paging: Paging::Checkpoint, ..list };
    Endpoint { kind, template, scopes: Scopes::AnyOf(scope), list: Some(list), ..READ }
}

/// The table, in the order of [`Kind`].
pub(crate) static ENDPOINTS: [Endpoint; 28] = [
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
    // Before the other paths below organizations, since no organization has the id `name`.
    Endpoint {
        kind: Kind::GetOrganizationByName,
        template: "/api/v2/organizations/name/{name}",
        scopes: Scopes::AnyOf(&["read:organizations"]),
        ..READ
    },
    Endpoint {
        kind: Kind::GetMembers,
        template: "/api/v2/organizations/{organization}/members",
        group: Group::MembersRead,
        scopes: Scopes::AnyOf(&["read:organization_members", "read:organization_member_roles"]),
        list: Some(ListRule { key: "members", paging: Paging::Either, fields: &MEMBER_FIELDS, ..LIST }),
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
        list: Some(ListRule { key: "users", paging: Paging::Either, ..LIST }),
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
    Endpoint {
        kind: Kind::GetUsersByEmail,
        template: "/api/v2/users-by-email",
        group: Group::UsersRead,
        scopes: Scopes::AnyOf(&["read:users"]),
        ..READ
    },
    Endpoint {
        kind: Kind::GetUsers,
        template: "/api/v2/users",
        group: Group::UsersRead,
        scopes: Scopes::AnyOf(&["read:users"]),
        list: Some(ListRule { key: "users", fields: &USER_FIELDS, filters: &["q", "search_engine"], ..LIST }),
        ..READ
    },
    Endpoint {
        kind: Kind::GetRoles,
        template: "/api/v2/roles",
        scopes: Scopes::AnyOf(&["read:roles"]),
        list: Some(ListRule { key: "roles", filters: &["name_filter"], ends: false, ..LIST }),
        ..READ
    },
    Endpoint {
        kind: Kind::GetRolePermissions,
        template: "/api/v2/roles/{role}/permissions",
        scopes: Scopes::AnyOf(&["read:roles"]),
        list: list("permissions", false),
        ..READ
    },
    Endpoint {
        kind: Kind::GetOrganizations,
        template: "/api/v2/organizations",
        scopes: Scopes::AnyOf(&["read:organizations"]),
        list: Some(ListRule { key: "organizations", paging: Paging::Either, ..LIST }),
        ..READ
    },
    Endpoint {
        kind: Kind::GetResourceServers,
        template: "/api/v2/resource-servers",
        scopes: Scopes::AnyOf(&["read:resource_servers"]),
        list: list("resource_servers", false),
        ..READ
    },
    view(
        Kind::GetEffectiveRoles,
        "/api/v2/users/{user}/effective-roles",
        &["read:user_effective_roles"],
        ListRule { key: "roles", ..LIST },
    ),
    view(
        Kind::GetEffectiveRoleGroups,
        "/api/v2/users/{user}/effective-roles/sources/groups",
        &["read:user_role_source_groups"],
        ListRule { key: "groups", required: &["role_id"], ..LIST },
    ),
    view(
        Kind::GetEffectivePermissions,
        "/api/v2/users/{user}/effective-permissions",
        &["read:user_effective_permissions"],
        ListRule { key: "permissions", required: &["resource_server_identifier"], ..LIST },
    ),
    view(
        Kind::GetEffectivePermissionRoles,
        "/api/v2/users/{user}/effective-permissions/sources/effective-roles",
        &["read:user_permission_source_roles"],
        ListRule { key: "roles", required: &["resource_server_identifier", "permission_name"], ..LIST },
    ),
    view(
        Kind::GetMemberEffectiveRoles,
        "/api/v2/organizations/{organization}/members/{user}/effective-roles",
        &["read:organization_member_effective_roles"],
        ListRule { key: "roles", ..LIST },
    ),
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
