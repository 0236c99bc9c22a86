//! What was read about somebody, as plain data, and how Auth0's entries are understood. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::auth0::Item;
use crate::cli::people::{Named, OfApi};
use crate::cli::reads::ReadError;

use super::objects::Mention;

/// What a complete read showed, or why there was none.
pub type Known<T> = Result<T, ReadError>;

/// What is asked about somebody.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// Everything.
    All,
    /// One role, on the tenant and in organizations.
    Role(&'a Named),
    /// One permission.
    Permission(&'a OfApi),
    /// The membership in one organization.
    Organization(&'a Named),
}

/// A role that the effective views show, with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveRole {
    /// The role.
    pub role: Named,
    /// It was assigned to the user.
    pub direct: bool,
    /// It comes through groups.
    pub grouped: bool,
}

/// A permission in the user's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPermission {
    /// The permission.
    pub item: Item,
    /// It was given directly.
    pub direct: bool,
    /// The roles that Auth0 names as its sources.
    pub roles: Vec<Named>,
}

/// What was read about a member of an organization.
#[derive(Clone, Debug)]
pub struct Member {
    /// The roles that were assigned there.
    pub roles: Known<Vec<Named>>,
    /// The roles there, those through groups included.
    pub effective: Known<Vec<EffectiveRole>>,
    /// The connections that give membership at login.
    pub login: Known<BTreeSet<String>>,
}

/// What was read about somebody. What a question does not need is not read.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Auth0's id of the user.
    pub user: Arc<str>,
    /// The tenant-wide roles that were assigned.
    pub roles: Known<Vec<Named>>,
    /// The tenant-wide roles, those through groups included.
    pub effective: Known<Vec<EffectiveRole>>,
    /// The groups through which a tenant-wide role comes.
    pub groups: BTreeMap<Arc<str>, Known<Vec<Named>>>,
    /// The list of the user's permissions.
    pub permissions: Known<Vec<HeldPermission>>,
    /// The organizations of which the user is a member.
    pub organizations: Known<Vec<Named>>,
    /// What was read of each of them.
    pub members: BTreeMap<Arc<str>, Member>,
    /// The permissions that roles give.
    pub gives: BTreeMap<Arc<str>, Known<BTreeSet<Item>>>,
    /// What Rescind's objects say about this user.
    pub mentions: Vec<Mention>,
}

/// A role that somebody has somewhere, by one relation or by several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleHeld {
    /// The name, if it is known.
    pub name: Option<String>,
    /// It was assigned to the user.
    pub direct: bool,
    /// It comes through groups.
    pub grouped: bool,
}

/// Roles by their ids.
pub type RolesHeld = BTreeMap<Arc<str>, RoleHeld>;

impl Facts {
    /// Nothing is known of this user.
    pub fn unread(user: &Arc<str>) -> Self {
        Self {
            user: user.clone(),
            roles: Err(not_read()),
            effective: Err(not_read()),
            groups: BTreeMap::new(),
            permissions: Err(not_read()),
            organizations: Err(not_read()),
            members: BTreeMap::new(),
            gives: BTreeMap::new(),
            mentions: Vec::new(),
        }
    }

    /// The tenant-wide roles, as far as they are known.
    pub fn tenant_roles(&self) -> RolesHeld {
        let mut held = merged(&self.roles, &self.effective);
        for Named { id, name } in self.permissions.iter().flatten().flat_map(|permission| &permission.roles) {
            // A source of a permission. Whether it was assigned is for the lists of roles to say.
            held.entry(id.clone()).or_insert_with(|| RoleHeld { name: name.clone(), ..RoleHeld::default() });
        }
        held
    }

    /// The roles in an organization, as far as they are known.
    pub fn member_roles(&self, organization: &Arc<str>) -> RolesHeld {
        self.members.get(organization).map(|member| merged(&member.roles, &member.effective)).unwrap_or_default()
    }

    /// Whether a role gives a permission.
    pub fn role_gives(&self, role: &Arc<str>, item: &Item) -> Known<bool> {
        let is_source = |held: &HeldPermission| held.item == *item && held.roles.iter().any(|named| named.id == *role);
        if self.permissions.iter().flatten().any(is_source) {
            return Ok(true);
        }
        self.gives.get(role).cloned().unwrap_or_else(|| Err(not_read())).map(|given| given.contains(item))
    }

    /// Everything that is held as a permission, directly or through a role.
    pub fn every_permission(&self) -> BTreeSet<Item> {
        let listed = self.permissions.iter().flatten().map(|held| held.item.clone());
        let organizations = self.members.keys().flat_map(|id| self.member_roles(id).into_keys());
        let roles: BTreeSet<Arc<str>> = self.tenant_roles().into_keys().chain(organizations).collect();
        let given = roles.iter().filter_map(|role| self.gives.get(role)?.as_ref().ok()).flatten().cloned();
        listed.chain(given).collect()
    }
}

/// What [`Facts`] says of what no question needed.
pub fn not_read() -> ReadError {
    ReadError::Failed("it was not read".to_owned())
}

fn merged(assigned: &Known<Vec<Named>>, effective: &Known<Vec<EffectiveRole>>) -> RolesHeld {
    let mut held = RolesHeld::new();
    for Named { id, name } in assigned.iter().flatten() {
        held.insert(id.clone(), RoleHeld { name: name.clone(), direct: true, grouped: false });
    }
    for EffectiveRole { role, direct, grouped } in effective.iter().flatten() {
        let of = held.entry(role.id.clone()).or_default();
        of.name = of.name.take().or_else(|| role.name.clone());
        of.direct |= direct;
        of.grouped |= grouped;
    }
    held
}

/// Reads the entries of a list of roles, organizations or groups.
pub fn named(entries: &[Value]) -> Known<Vec<Named>> {
    each(entries, Named::read)
}

/// Reads the entries of an effective view of roles.
pub fn effective(entries: &[Value]) -> Known<Vec<EffectiveRole>> {
    each(entries, |entry| {
        let sources: Option<Vec<&str>> = entry.get("sources")?.as_array()?.iter().map(Value::as_str).collect();
        let sources = sources?;
        let (direct, grouped) = (sources.contains(&"direct"), sources.contains(&"groups"));
        (direct || grouped).then_some(())?;
        Some(EffectiveRole { role: Named::read(entry)?, direct, grouped })
    })
}

/// Reads the entries of a list of permissions, of a user or of a role.
pub fn permissions(entries: &[Value]) -> Known<Vec<HeldPermission>> {
    each(entries, |entry| {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(Arc::<str>::from);
        let item = Item::Permission {
            resource_server: text(entry, "resource_server_identifier")?,
            name: text(entry, "permission_name")?,
        };
        let sources = entry.get("sources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let is_role = |source: &&Value| source.get("source_type").and_then(Value::as_str) == Some("ROLE");
        let roles = sources.iter().filter(is_role).filter_map(|source| {
            let id = text(source, "source_id").filter(|id| !id.is_empty())?;
            Some(Named { id, name: text(source, "source_name").map(|name| name.to_string()) })
        });
        // As in a removal: it counts as direct unless all of its sources are roles.
        let direct = sources.is_empty() || !sources.iter().all(|source| is_role(&source));
        Some(HeldPermission { item, direct, roles: roles.collect() })
    })
}

/// An entry that cannot be read makes the list an unknown one: it could be the one that matters.
fn each<T>(entries: &[Value], read: impl Fn(&Value) -> Option<T>) -> Known<Vec<T>> {
    let read: Option<Vec<T>> = entries.iter().map(read).collect();
    read.ok_or_else(|| ReadError::Failed("an entry of Auth0's list could not be read".to_owned()))
}
