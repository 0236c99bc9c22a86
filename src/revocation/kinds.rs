//! The trait of the removal kinds, and the list of them. A kind only says which items must be absent at which endpoint;
//! everything else is shared. Unit tests have a fifth kind, which shows what one more takes (tests/fifth_kind.rs).

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::core::object::HasStatus;
use serde::de::DeserializeOwned;

#[cfg(test)]
use crate::api::GroupRoleRemoval;
use crate::api::{
    OrgMemberRoleRemoval, OrgMembershipRemoval, RemovalOptions, RemovalStatus, UserPermissionRevocation,
    UserRoleRevocation, is_organization_id, is_permission_name, is_resource_server_identifier, is_role_id, is_user_id,
};
use crate::auth0::{Endpoint, EndpointRow, Item, ItemKind};
use crate::dispatch::Removal;

/// A removal kind: its objects name items that must be absent at an endpoint.
pub trait Revocation:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + HasStatus<Status = RemovalStatus>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The name of the kind, as in manifests.
    const KIND: &'static str;

    /// The endpoint at which the items must be absent.
    fn endpoint(&self) -> Endpoint;

    /// The endpoint and the items that must be absent there, sorted and without duplicates.
    fn removal(&self) -> Removal;

    /// The row of its endpoint in the table.
    fn row() -> &'static EndpointRow;

    /// The fields of the spec that all kinds share.
    fn options(&self) -> &RemovalOptions;
}

/// Something that [`for_each_kind`] does for every removal kind.
pub trait ForEachKind {
    /// Called once for each kind `K`.
    fn visit<K: Revocation>(&mut self);
}

macro_rules! kinds {
    ($($(#[$attribute:meta])* $kind:ident: $spec:ident => $endpoint:ident { $($id:ident: $value:expr),+ $(,)? }, $items:expr;)+) => {
        $($(#[$attribute])* impl Revocation for $kind {
            const KIND: &'static str = stringify!($kind);

            fn endpoint(&self) -> Endpoint {
                let $spec = &self.spec;
                Endpoint::$endpoint { $($id: $value),+ }
            }

            fn removal(&self) -> Removal {
                let $spec = &self.spec;
                let mut items: Vec<Item> = $items.collect();
                // The schema makes the list a set, but an object that was stored under an older one may hold
                // duplicates.
                items.sort_unstable();
                items.dedup();
                Removal { endpoint: self.endpoint(), items }
            }

            fn row() -> &'static EndpointRow {
                Endpoint::$endpoint { $($id: Arc::default()),+ }.row()
            }

            fn options(&self) -> &RemovalOptions {
                &self.spec.options
            }
        })+

        /// The name of the kind whose objects name items at this endpoint.
        pub const fn kind_at(endpoint: &Endpoint) -> &'static str {
            match endpoint {
                $($(#[$attribute])* Endpoint::$endpoint { .. } => stringify!($kind)),+
            }
        }

        /// Visits every removal kind.
        pub fn for_each_kind(visitor: &mut impl ForEachKind) {
            $($(#[$attribute])* visitor.visit::<$kind>();)+
        }
    };
}

kinds! {
    UserPermissionRevocation: spec => UserPermissions { user: text(&spec.user_id) },
        spec.permissions.iter().map(|permission| Item::Permission {
            resource_server: text(&permission.resource_server_identifier),
            name: text(&permission.permission_name),
        });
    UserRoleRevocation: spec => UserRoles { user: text(&spec.user_id) },
        spec.roles.iter().map(|role| Item::Id(text(role)));
    OrgMembershipRemoval: spec => OrganizationMembers { organization: text(&spec.organization_id) },
        spec.members.iter().map(|member| Item::Id(text(member)));
    OrgMemberRoleRemoval: spec => OrganizationMemberRoles {
            organization: text(&spec.organization_id),
            user: text(&spec.user_id),
        },
        spec.roles.iter().map(|role| Item::Id(text(role)));
    #[cfg(test)]
    GroupRoleRemoval: spec => GroupRoles { group: text(&spec.group_id) },
        spec.roles.iter().map(|role| Item::Id(text(role)));
}

fn text(id: &impl ToString) -> Arc<str> {
    id.to_string().into()
}

/// Checks again what the schema refuses, for objects that were stored under another schema: neither an empty list nor
/// an id that could change a path may ever reach Auth0. The error is for users and says which field is wrong.
pub(super) fn validate(removal: &Removal) -> Result<(), &'static str> {
    let Removal { endpoint, items } = removal;
    let is_valid: fn(&Item) -> bool = match endpoint.items() {
        ItemKind::Permission => is_permission,
        ItemKind::Role => |item| is_id(item, is_role_id),
        ItemKind::Member => |item| is_id(item, is_user_id),
        ItemKind::Organization => |item| is_id(item, is_organization_id),
    };
    let invalid = endpoint.ids().into_iter().find(|(path_id, id)| !(path_id.is_valid)(id));
    if items.is_empty() {
        Err("the list of what to remove is empty; name at least one item")
    } else if let Some((path_id, _)) = invalid {
        Err(path_id.invalid)
    } else if !items.iter().all(is_valid) {
        Err("the list of what to remove contains an entry that is not a valid Auth0 id or permission for this kind")
    } else {
        Ok(())
    }
}

fn is_id(item: &Item, valid: fn(&str) -> bool) -> bool {
    matches!(item, Item::Id(id) if valid(id))
}

fn is_permission(item: &Item) -> bool {
    let Item::Permission { resource_server, name } = item else { return false };
    is_resource_server_identifier(resource_server) && is_permission_name(name)
}
