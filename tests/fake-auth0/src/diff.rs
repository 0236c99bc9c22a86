//! The difference of two states, as relations: the oracle for "exactly this was removed, and nothing was added".

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::state::{Source, State};

/// One relation of a tenant: something exists, or somebody has something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the names of the fields say all there is to say")]
pub enum Relation {
    /// A user exists.
    User { user: String },
    /// A role is defined.
    Role { role: String },
    /// An API defines a permission.
    ResourceServerPermission { identifier: String, permission: String },
    /// An organization exists.
    Organization { organization: String },
    /// A user holds a role on the tenant.
    UserRole { user: String, role: String },
    /// A user holds a permission from one source.
    UserPermission {
        user: String,
        identifier: String,
        permission: String,
        #[serde(default)]
        source: Source,
    },
    /// A user is a member of an organization.
    Member { organization: String, user: String },
    /// A member holds a role within an organization.
    MemberRole { organization: String, user: String, role: String },
}

impl Relation {
    /// A user holds a role on the tenant.
    #[must_use]
    pub fn user_role(user: &str, role: &str) -> Self {
        Self::UserRole { user: user.into(), role: role.into() }
    }

    /// A user holds a permission that was given directly.
    #[must_use]
    pub fn user_permission(user: &str, identifier: &str, permission: &str) -> Self {
        Self::UserPermission {
            user: user.into(),
            identifier: identifier.into(),
            permission: permission.into(),
            source: Source::Direct,
        }
    }

    /// A user is a member of an organization.
    #[must_use]
    pub fn member(organization: &str, user: &str) -> Self {
        Self::Member { organization: organization.into(), user: user.into() }
    }

    /// A member holds a role within an organization.
    #[must_use]
    pub fn member_role(organization: &str, user: &str, role: &str) -> Self {
        Self::MemberRole { organization: organization.into(), user: user.into(), role: role.into() }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { user } => write!(f, "user {user}"),
            Self::Role { role } => write!(f, "role {role}"),
            Self::ResourceServerPermission { identifier, permission } => {
                write!(f, "permission {permission} of API {identifier}")
            }
            Self::Organization { organization } => write!(f, "organization {organization}"),
            Self::UserRole { user, role } => write!(f, "user {user}: role {role}"),
            Self::UserPermission { user, identifier, permission, source: Source::Direct } => {
                write!(f, "user {user}: permission {permission} of {identifier}")
            }
            Self::UserPermission { user, identifier, permission, source: Source::Role(role) } => {
                write!(f, "user {user}: permission {permission} of {identifier} through {role}")
            }
            Self::Member { organization, user } => write!(f, "organization {organization}: member {user}"),
            Self::MemberRole { organization, user, role } => {
                write!(f, "organization {organization}: member {user}: role {role}")
            }
        }
    }
}

/// One difference between two states.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// Only the earlier state has it.
    Removed(Relation),
    /// Only the later state has it.
    Added(Relation),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed(relation) => write!(f, "- {relation}"),
            Self::Added(relation) => write!(f, "+ {relation}"),
        }
    }
}

impl State {
    /// All relations of this state.
    #[must_use]
    pub fn relations(&self) -> BTreeSet<Relation> {
        let mut facts = BTreeSet::new();
        self.user_relations(&mut facts);
        self.definitions(&mut facts);
        for (organization, entry) in self.organizations() {
            for (user, roles) in &entry.members {
                facts.insert(Relation::member(organization, user));
                facts.extend(roles.iter().map(|role| Relation::member_role(organization, user, role)));
            }
        }
        facts
    }

    fn definitions(&self, facts: &mut BTreeSet<Relation>) {
        facts.extend(self.roles().map(|(role, _)| Relation::Role { role: role.into() }));
        facts.extend(
            self.organizations().map(|(organization, _)| Relation::Organization { organization: organization.into() }),
        );
        for (identifier, api) in self.resource_servers() {
            facts.extend(api.permissions.keys().map(|permission| Relation::ResourceServerPermission {
                identifier: identifier.into(),
                permission: permission.clone(),
            }));
        }
    }

    fn user_relations(&self, facts: &mut BTreeSet<Relation>) {
        for (id, user) in self.users() {
            facts.insert(Relation::User { user: id.into() });
            facts.extend(user.roles.iter().map(|role| Relation::user_role(id, role)));
            for (identifier, names) in &user.permissions {
                for (permission, sources) in names {
                    facts.extend(sources.iter().map(|source| Relation::UserPermission {
                        user: id.into(),
                        identifier: identifier.clone(),
                        permission: permission.clone(),
                        source: source.clone(),
                    }));
                }
            }
        }
    }

    /// The changes from this state to a later one: first removals, then additions.
    #[must_use]
    pub fn diff(&self, later: &Self) -> Vec<Change> {
        let (before, after) = (self.relations(), later.relations());
        let removed = before.difference(&after).cloned().map(Change::Removed);
        let added = after.difference(&before).cloned().map(Change::Added);
        removed.chain(added).collect()
    }
}
