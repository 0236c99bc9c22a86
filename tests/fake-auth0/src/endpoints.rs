//! What the table of endpoints says of a call (name, path, rate limit, scopes, form of body or list), and the routing
//! over that table, which is in `endpoints/table.rs`.

use http::Method;

use crate::{
    kinds::{Group, Kind},
    switches::{Switches, Verdict},
};

mod table;

pub(crate) use table::{ENDPOINTS, USER_FIELDS};

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
    OrganizationName,
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

/// How a list is paged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paging {
    /// By `page` and `per_page`.
    Offset,
    /// By `from` and `take` as well.
    Either,
    /// By `from` and `take` only.
    Checkpoint,
}

/// How a list can be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListRule {
    /// The key of the items when the answer is an object.
    pub key: &'static str,
    pub paging: Paging,
    /// The names that `fields` accepts, if `fields`/`include_fields` work.
    pub fields: &'static [&'static str],
    /// Whether the end of offset paging at 1000 records is documented for it.
    pub ends: bool,
    /// The query parameters that it knows besides.
    pub filters: &'static [&'static str],
    /// The query parameters that it needs besides.
    pub required: &'static [&'static str],
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub kind: Kind,
    pub method: Method,
    /// Path parameters are `{user}`, `{organization}`, `{name}` (of an organization), `{role}` and `{resource_server}`,
    /// which stand for the [`Format`] they must have.
    pub template: &'static str,
    pub group: Group,
    pub scopes: Scopes,
    pub body: Option<BodyRule>,
    pub list: Option<ListRule>,
}

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
                (Some("{name}"), Some(raw)) if !raw.is_empty() => (Format::OrganizationName, raw),
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

/// The scopes of the effective views, which nobody needs to remove anything either.
pub const EFFECTIVE_SCOPES: [&str; 5] = [
    "read:user_effective_roles",
    "read:user_role_source_groups",
    "read:user_effective_permissions",
    "read:user_permission_source_roles",
    "read:organization_member_effective_roles",
];

/// Every scope that some call of the table needs, without [`SETTINGS_SCOPES`] and [`EFFECTIVE_SCOPES`], and without
/// those that only let users see themselves or the tokens of other identity providers.
#[must_use]
pub fn all_scopes() -> Vec<&'static str> {
    let mut scopes: Vec<_> = ENDPOINTS.iter().flat_map(|endpoint| endpoint.scopes.names()).copied().collect();
    scopes.retain(|scope| !["read:user_idp_tokens", "read:current_user"].contains(scope));
    scopes.retain(|scope| !SETTINGS_SCOPES.contains(scope) && !EFFECTIVE_SCOPES.contains(scope));
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
        let named = "/api/v2/organizations/name/members";
        assert_eq!(route(&Method::GET, named).unwrap().0.kind, Kind::GetOrganizationByName);
    }
}
