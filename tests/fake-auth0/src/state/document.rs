//! The state file: what of a state is written down, from which its indices are made anew.

use serde::Deserialize;

use super::{Organization, ResourceServer, Role, Table, User};

/// The serialized form of [`crate::State`].
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StateDocument {
    pub users: Table<User>,
    pub roles: Table<Role>,
    pub resource_servers: Table<ResourceServer>,
    pub organizations: Table<Organization>,
}
