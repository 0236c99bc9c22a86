//! Names of calls: the endpoint of a call, and the rate limit it draws from.

use serde::{Deserialize, Serialize};

/// The endpoint of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(usize)]
pub enum Kind {
    /// `DELETE /api/v2/users/{id}/permissions`
    DeleteUserPermissions,
    /// `DELETE /api/v2/users/{id}/roles`
    DeleteUserRoles,
    /// `DELETE /api/v2/organizations/{id}/members`
    DeleteMembers,
    /// `DELETE /api/v2/organizations/{id}/members/{user_id}/roles`
    DeleteMemberRoles,
    /// `GET /api/v2/users/{id}`
    GetUser,
    /// `GET /api/v2/users/{id}/permissions`
    GetUserPermissions,
    /// `GET /api/v2/users/{id}/roles`
    GetUserRoles,
    /// `GET /api/v2/users/{id}/organizations`
    GetUserOrganizations,
    /// `GET /api/v2/organizations/{id}`
    GetOrganization,
    /// `GET /api/v2/organizations/name/{name}`
    GetOrganizationByName,
    /// `GET /api/v2/organizations/{id}/members`
    GetMembers,
    /// `GET /api/v2/organizations/{id}/members/{user_id}/roles`
    GetMemberRoles,
    /// `GET /api/v2/roles/{id}`
    GetRole,
    /// `GET /api/v2/roles/{id}/users`
    GetRoleUsers,
    /// `GET /api/v2/organizations/{id}/enabled_connections`
    GetConnections,
    /// `GET /api/v2/resource-servers/{id}`
    GetResourceServer,
    /// `GET /api/v2/users-by-email`
    GetUsersByEmail,
    /// `GET /api/v2/users`
    GetUsers,
    /// `GET /api/v2/roles`
    GetRoles,
    /// `GET /api/v2/roles/{id}/permissions`
    GetRolePermissions,
    /// `GET /api/v2/organizations`
    GetOrganizations,
    /// `GET /api/v2/resource-servers`
    GetResourceServers,
    /// `GET /api/v2/users/{id}/effective-roles`
    GetEffectiveRoles,
    /// `GET /api/v2/users/{id}/effective-roles/sources/groups`
    GetEffectiveRoleGroups,
    /// `GET /api/v2/users/{id}/effective-permissions`
    GetEffectivePermissions,
    /// `GET /api/v2/users/{id}/effective-permissions/sources/effective-roles`
    GetEffectivePermissionRoles,
    /// `GET /api/v2/organizations/{id}/members/{user_id}/effective-roles`
    GetMemberEffectiveRoles,
    /// `POST /oauth/token`
    Token,
    /// Anything else.
    Other,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 29] = [
        Self::DeleteUserPermissions,
        Self::DeleteUserRoles,
        Self::DeleteMembers,
        Self::DeleteMemberRoles,
        Self::GetUser,
        Self::GetUserPermissions,
        Self::GetUserRoles,
        Self::GetUserOrganizations,
        Self::GetOrganization,
        Self::GetOrganizationByName,
        Self::GetMembers,
        Self::GetMemberRoles,
        Self::GetRole,
        Self::GetRoleUsers,
        Self::GetConnections,
        Self::GetResourceServer,
        Self::GetUsersByEmail,
        Self::GetUsers,
        Self::GetRoles,
        Self::GetRolePermissions,
        Self::GetOrganizations,
        Self::GetResourceServers,
        Self::GetEffectiveRoles,
        Self::GetEffectiveRoleGroups,
        Self::GetEffectivePermissions,
        Self::GetEffectivePermissionRoles,
        Self::GetMemberEffectiveRoles,
        Self::Token,
        Self::Other,
    ];

    /// Whether it is one of the four removals.
    #[must_use]
    pub fn is_delete(self) -> bool {
        self <= Self::DeleteMemberRoles
    }

    /// Whether it only reads.
    #[must_use]
    pub fn is_read(self) -> bool {
        (Self::GetUser..Self::Token).contains(&self)
    }

    /// Whether it is one of the effective views.
    pub(crate) fn is_effective(self) -> bool {
        (Self::GetEffectiveRoles..Self::Token).contains(&self)
    }
}

/// The rate limit a call draws from, as in Auth0's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(usize)]
pub enum Group {
    /// All calls to the Management API together; checked before the group of the endpoint.
    Global,
    /// Removing roles and permissions of users.
    UsersWrite,
    /// Removing members of organizations.
    MembersWrite,
    /// Removing roles of members.
    MemberRolesWrite,
    /// Listing members.
    MembersRead,
    /// Listing roles of members.
    MemberRolesRead,
    /// Listing the organizations of a user.
    UserOrgsRead,
    /// Finding users; reading a user, their roles, their permissions.
    UsersRead,
    /// The token endpoint, which is outside the global limit.
    Token,
}

impl Group {
    /// Every group, in order.
    pub const ALL: [Self; 9] = [
        Self::Global,
        Self::UsersWrite,
        Self::MembersWrite,
        Self::MemberRolesWrite,
        Self::MembersRead,
        Self::MemberRolesRead,
        Self::UserOrgsRead,
        Self::UsersRead,
        Self::Token,
    ];

    /// The name of the group in the text of a 429, by the only such text that is known.
    pub(crate) fn wording(self) -> Option<&'static str> {
        match self {
            Self::Global | Self::Token => None,
            Self::UsersWrite => Some("users_write"),
            Self::MembersWrite => Some("organization_members_write"),
            Self::MemberRolesWrite => Some("organization_member_roles_write"),
            Self::MembersRead => Some("organization_members_read"),
            Self::MemberRolesRead => Some("organization_member_roles_read"),
            Self::UserOrgsRead => Some("user_organizations_read"),
            Self::UsersRead => Some("users_read"),
        }
    }
}
