//! What people look up by name or by person: accounts of an e-mail address, roles and organizations by name, and every
//! way in which somebody has a role or a permission. Only the commands for people ask for these, never the operator.
//! Another one is another row.

use std::sync::Arc;

use super::endpoint::{Paging, path};

/// What can be looked up. All are lists of entries, or one object, which then counts as the only entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lookup {
    /// One user.
    User(Arc<str>),
    /// The users with this e-mail address. Several accounts can share one.
    UsersByEmail(Arc<str>),
    /// The users with exactly this name, by Auth0's search index, which lags.
    UsersByName(Arc<str>),
    /// The roles whose names contain this text.
    RolesByName(Arc<str>),
    /// One role.
    Role(Arc<str>),
    /// The permissions of a role.
    RolePermissions(Arc<str>),
    /// All organizations.
    Organizations,
    /// One organization by its id.
    Organization(Arc<str>),
    /// One organization by its name.
    OrganizationByName(Arc<str>),
    /// The tenant-wide roles of a user, those through groups included.
    EffectiveRoles(Arc<str>),
    /// The groups through which a user has a tenant-wide role.
    RoleGroups {
        /// Auth0's id of the user.
        user: Arc<str>,
        /// Auth0's id of the role.
        role: Arc<str>,
    },
    /// The permissions of a user at one API, those through roles included.
    EffectivePermissions {
        /// Auth0's id of the user.
        user: Arc<str>,
        /// The identifier (audience) of the API.
        api: Arc<str>,
    },
    /// The roles of a member inside an organization, those through groups included.
    EffectiveMemberRoles {
        /// Auth0's id of the organization.
        organization: Arc<str>,
        /// Auth0's id of the user.
        user: Arc<str>,
    },
}

/// What distinguishes a lookup from the others.
#[derive(Debug)]
pub struct LookupRow {
    /// The path below `/api/v2/` with placeholders instead of ids, for messages and the rate limiter.
    pub template: &'static str,
    /// The key of the array of entries; empty if the response is one object.
    pub key: &'static str,
    /// How it is paged.
    pub paging: Paging,
    /// The scopes that Auth0 documents for it.
    pub scopes: &'static [&'static str],
}

const fn row(template: &'static str, key: &'static str, paging: Paging, scopes: &'static [&'static str]) -> LookupRow {
    LookupRow { template, key, paging, scopes }
}

static USER: LookupRow = row("users/{id}", "", Paging::Single, &["read:users"]);
static USERS_BY_EMAIL: LookupRow = row("users-by-email", "users", Paging::Whole, &["read:users"]);
static USERS_BY_NAME: LookupRow = row("users", "users", Paging::Offset, &["read:users"]);
static ROLES: LookupRow = row("roles", "roles", Paging::Offset, &["read:roles"]);
static ROLE: LookupRow = row("roles/{id}", "", Paging::Single, &["read:roles"]);
static ROLE_PERMISSIONS: LookupRow = row("roles/{id}/permissions", "permissions", Paging::Offset, &["read:roles"]);
static ORGANIZATIONS: LookupRow = row("organizations", "organizations", Paging::Checkpoint, &["read:organizations"]);
static ORGANIZATION: LookupRow = row("organizations/{id}", "", Paging::Single, &["read:organizations"]);
static ORGANIZATION_BY_NAME: LookupRow = row("organizations/name/{name}", "", Paging::Single, &["read:organizations"]);
static EFFECTIVE_ROLES: LookupRow =
    row("users/{id}/effective-roles", "roles", Paging::Checkpoint, &["read:user_effective_roles"]);
static ROLE_GROUPS: LookupRow =
    row("users/{id}/effective-roles/sources/groups", "groups", Paging::Checkpoint, &["read:user_role_source_groups"]);
static EFFECTIVE_PERMISSIONS: LookupRow =
    row("users/{id}/effective-permissions", "permissions", Paging::Checkpoint, &["read:user_effective_permissions"]);
static EFFECTIVE_MEMBER_ROLES: LookupRow = row(
    "organizations/{id}/members/{user_id}/effective-roles",
    "roles",
    Paging::Checkpoint,
    &["read:organization_member_effective_roles"],
);

impl Lookup {
    /// The lookup's row in the table.
    pub const fn row(&self) -> &'static LookupRow {
        match self {
            Self::User(_) => &USER,
            Self::UsersByEmail(_) => &USERS_BY_EMAIL,
            Self::UsersByName(_) => &USERS_BY_NAME,
            Self::RolesByName(_) => &ROLES,
            Self::Role(_) => &ROLE,
            Self::RolePermissions(_) => &ROLE_PERMISSIONS,
            Self::Organizations => &ORGANIZATIONS,
            Self::Organization(_) => &ORGANIZATION,
            Self::OrganizationByName(_) => &ORGANIZATION_BY_NAME,
            Self::EffectiveRoles(_) => &EFFECTIVE_ROLES,
            Self::RoleGroups { .. } => &ROLE_GROUPS,
            Self::EffectivePermissions { .. } => &EFFECTIVE_PERMISSIONS,
            Self::EffectiveMemberRoles { .. } => &EFFECTIVE_MEMBER_ROLES,
        }
    }

    /// The path of the GET, from `/api/v2` on, with its ids percent-encoded.
    pub(super) fn path(&self) -> String {
        let ids: &[&str] = match self {
            Self::User(id) | Self::Role(id) | Self::RolePermissions(id) | Self::Organization(id) => &[id],
            Self::OrganizationByName(id) | Self::EffectiveRoles(id) => &[id],
            Self::RoleGroups { user, .. } | Self::EffectivePermissions { user, .. } => &[user],
            Self::EffectiveMemberRoles { organization, user } => &[organization, user],
            Self::UsersByEmail(_) | Self::UsersByName(_) | Self::RolesByName(_) | Self::Organizations => &[],
        };
        path(self.row().template, ids.iter().copied())
    }

    /// What its query has beside the paging.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::UsersByEmail(email) => vec![("email", email.to_string())],
            Self::UsersByName(name) => {
                // The query language of the search has no other special character inside quotes.
                let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
                vec![("q", format!("name:\"{quoted}\"")), ("search_engine", "v3".to_owned())]
            }
            Self::RolesByName(name) => vec![("name_filter", name.to_string())],
            Self::RoleGroups { role, .. } => vec![("role_id", role.to_string())],
            Self::EffectivePermissions { api, .. } => vec![("resource_server_identifier", api.to_string())],
            Self::User(_) | Self::Role(_) | Self::RolePermissions(_) | Self::Organizations => Vec::new(),
            Self::Organization(_) | Self::OrganizationByName(_) => Vec::new(),
            Self::EffectiveRoles(_) | Self::EffectiveMemberRoles { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_up_cannot_change_the_path_or_the_query() {
        let user: Arc<str> = "auth0|a/../b?c".into();
        assert_eq!(Lookup::User(user.clone()).path(), "/api/v2/users/auth0%7Ca%2F..%2Fb%3Fc");
        let of = Lookup::EffectiveMemberRoles { organization: "org_x".into(), user };
        assert_eq!(of.path(), "/api/v2/organizations/org_x/members/auth0%7Ca%2F..%2Fb%3Fc/effective-roles");
        let query = Lookup::UsersByName(r#"A" OR email:"*\"#.into()).query();
        assert_eq!(query[0], ("q", r#"name:"A\" OR email:\"*\\""#.to_owned()));
    }
}
