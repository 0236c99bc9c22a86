//! What can be read: the lists of endpoints, what answers a question, and what a person looks up.

use std::sync::Arc;

use serde_json::Value;

use super::endpoint::{Endpoint, Paging, USER_ORGANIZATIONS, path};
use super::item::{Item, Unreadable};
use super::lookup::Lookup;
use super::question::Question;

/// What can be read: a list, what answers a question, or what a person looks up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Read {
    /// The list of an endpoint.
    List(Endpoint),
    /// The organizations of one user: shows whether the user is a member of a certain one.
    UserOrganizations {
        /// Auth0's id of the user.
        user: Arc<str>,
    },
    /// What answers this question. It proves nothing.
    Answer(Question),
    /// What a person looks up. It proves nothing.
    Lookup(Lookup),
}

impl Read {
    /// The path of the GET, from `/api/v2` on, with its ids percent-encoded.
    pub fn path(&self) -> String {
        match self {
            Self::List(endpoint) => endpoint.path(),
            Self::UserOrganizations { user } => path(self.template(), [&**user].into_iter()),
            Self::Answer(question) => question.path(),
            Self::Lookup(lookup) => lookup.path(),
        }
    }

    /// The path below `/api/v2/` with placeholders instead of ids, for logs and metrics.
    pub const fn template(&self) -> &'static str {
        match self {
            Self::List(endpoint) => endpoint.row().list.template,
            Self::UserOrganizations { .. } => USER_ORGANIZATIONS.template,
            Self::Answer(question) => question.row().template,
            Self::Lookup(lookup) => lookup.row().template,
        }
    }

    /// The endpoint and the organization, if this is a list of members, which can be read user by user instead.
    pub fn per_user(&self) -> Option<(&Endpoint, &Arc<str>)> {
        match self {
            Self::List(endpoint) if endpoint.row().per_user => Some((endpoint, endpoint.organization()?)),
            Self::List(_) | Self::UserOrganizations { .. } | Self::Answer(_) | Self::Lookup(_) => None,
        }
    }

    /// How it is paged.
    pub const fn paging(&self) -> Paging {
        match self {
            Self::List(endpoint) => endpoint.row().list.paging,
            Self::UserOrganizations { .. } => USER_ORGANIZATIONS.paging,
            Self::Answer(question) => question.row().paging,
            Self::Lookup(lookup) => lookup.row().paging,
        }
    }

    /// The key of the array of entries if the response is an object; empty if the response is no list.
    pub const fn list_key(&self) -> &'static str {
        match self {
            Self::List(endpoint) => endpoint.row().list.key,
            Self::UserOrganizations { .. } => USER_ORGANIZATIONS.key,
            Self::Answer(question) => question.row().key,
            Self::Lookup(lookup) => lookup.row().key,
        }
    }

    /// The scopes that reading it needs.
    pub const fn scopes(&self) -> &'static [&'static str] {
        match self {
            Self::List(endpoint) => endpoint.row().list.scopes,
            Self::UserOrganizations { .. } => USER_ORGANIZATIONS.scopes,
            Self::Answer(question) => question.row().scopes,
            Self::Lookup(lookup) => lookup.row().scopes,
        }
    }

    /// Reads an entry of this list; see [`ItemKind`]. `Ok(None)` is an entry that no DELETE could remove here.
    pub fn item(&self, entry: &Value) -> Result<Option<Item>, Unreadable> {
        match self {
            Self::List(endpoint) => endpoint.items().read(entry),
            Self::UserOrganizations { .. } => USER_ORGANIZATIONS.items.read(entry),
            Self::Answer(_) | Self::Lookup(_) => Ok(None),
        }
    }

    /// The permission that this entry shows, and the roles through which the user has it, if there are any.
    pub(super) fn through_roles(&self, entry: &Value) -> Option<(Item, Vec<Arc<str>>)> {
        if let Self::List(endpoint) = self { endpoint.items().through_roles(entry) } else { None }
    }
}
