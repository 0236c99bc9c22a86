//! The questions that are answered by one read and concern no removal: how an API is set up, who becomes a member on
//! login, how many members an organization has, who holds a role. Another question is another row.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::endpoint::{Paging, path};
use super::error::CallError;
use super::item::Unreadable;

/// The most connections that a fact names. Auth0 allows an organization ten.
const MAX_CONNECTIONS: usize = 20;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// The settings of an API.
    ApiSettings {
        /// Its identifier (audience).
        identifier: Arc<str>,
    },
    /// The connections of an organization that make whoever logs in through them a member.
    LoginMembership {
        /// Auth0's id of the organization.
        organization: Arc<str>,
    },
    /// How many members an organization has, at least.
    MemberCount {
        /// Auth0's id of the organization.
        organization: Arc<str>,
    },
    /// The users who hold a tenant-wide role directly.
    RoleHolders {
        /// Auth0's id of the role.
        role: Arc<str>,
    },
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// See [`Question::ApiSettings`].
    ApiSettings(ApiSettings),
    /// The names of the connections, see [`Question::LoginMembership`]. They are text from Auth0.
    LoginMembership(Arc<BTreeSet<Arc<str>>>),
    /// The largest of Auth0's total and the number of members seen, see [`Question::MemberCount`].
    MemberCount(u64),
    /// The ids of the users, see [`Question::RoleHolders`].
    RoleHolders(Arc<BTreeSet<Arc<str>>>),
    /// It could not be found out.
    Unknown {
        /// Why. [`CallError::InsufficientScope`] names the scope.
        why: CallError,
    },
}

/// The settings of an API, as far as they could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiSettings {
    /// Whether RBAC is on: only then do permissions limit what a token may do.
    pub enforces_policies: Option<bool>,
    /// How long the access tokens for this API are valid, in seconds.
    pub token_lifetime: Option<u32>,
}

/// What distinguishes a question from the others.
#[derive(Debug)]
pub struct QuestionRow {
    /// The path below `/api/v2/` with placeholders instead of ids, for logs and metrics.
    pub template: &'static str,
    /// The key of the array of entries; empty if the response is one object.
    pub key: &'static str,
    /// How it is paged.
    pub paging: Paging,
    /// The scopes that Auth0 documents for it. A token with none of them is not tried.
    pub scopes: &'static [&'static str],
}

static API_SETTINGS: QuestionRow = QuestionRow {
    template: "resource-servers/{id}",
    key: "",
    paging: Paging::Single,
    scopes: &["read:resource_servers"],
};

static LOGIN_MEMBERSHIP: QuestionRow = QuestionRow {
    template: "organizations/{id}/enabled_connections",
    key: "enabled_connections",
    paging: Paging::Offset,
    scopes: &["read:organization_connections"],
};

/// By offset, because no page by checkpoint has a total. The first page is all that is read.
static MEMBER_COUNT: QuestionRow = QuestionRow {
    template: "organizations/{id}/members",
    key: "members",
    paging: Paging::Offset,
    scopes: &["read:organization_members"],
};

/// By checkpoint, the only way to read beyond the first 1,000 holders.
static ROLE_HOLDERS: QuestionRow = QuestionRow {
    template: "roles/{id}/users",
    key: "users",
    paging: Paging::Checkpoint,
    scopes: &["read:users", "read:roles", "read:role_members"],
};

impl Question {
    /// The question about the settings of this API. None if its identifier cannot stand in a path: every client takes
    /// `.` and `..` for something else, however they are encoded.
    pub fn api_settings(identifier: &Arc<str>) -> Option<Self> {
        let is_dots = matches!(&**identifier, "" | "." | "..");
        (!is_dots).then(|| Self::ApiSettings { identifier: identifier.clone() })
    }

    /// The question's row in the table.
    pub const fn row(&self) -> &'static QuestionRow {
        match self {
            Self::ApiSettings { .. } => &API_SETTINGS,
            Self::LoginMembership { .. } => &LOGIN_MEMBERSHIP,
            Self::MemberCount { .. } => &MEMBER_COUNT,
            Self::RoleHolders { .. } => &ROLE_HOLDERS,
        }
    }

    /// The path of the GET, from `/api/v2` on, with its id percent-encoded.
    pub(super) fn path(&self) -> String {
        let (Self::ApiSettings { identifier: id }
        | Self::LoginMembership { organization: id }
        | Self::MemberCount { organization: id }
        | Self::RoleHolders { role: id }) = self;
        path(self.row().template, [&**id].into_iter())
    }

    /// The scope to ask for if these, which are all that a token has, are not enough to ask.
    pub fn lacking(&self, held: &[String]) -> Option<&'static str> {
        let scopes = self.row().scopes;
        let has_one = scopes.iter().any(|scope| held.iter().any(|own| own == scope));
        if has_one { None } else { scopes.first().copied() }
    }

    /// Whether the first page answers it.
    pub(super) const fn needs_one_page(&self) -> bool {
        matches!(self, Self::MemberCount { .. })
    }

    /// What an entry of the list contributes to the answer, if anything.
    pub(super) fn entry(&self, entry: &Value) -> Result<Option<Arc<str>>, Unreadable> {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(Arc::from).ok_or(Unreadable);
        match self {
            Self::ApiSettings { .. } | Self::MemberCount { .. } => Ok(None),
            Self::RoleHolders { .. } => text(entry, "user_id").map(Some),
            Self::LoginMembership { .. } => match entry.get("assign_membership_on_login").and_then(Value::as_bool) {
                Some(true) => {
                    let name = entry.get("connection").and_then(|connection| text(connection, "name").ok());
                    name.map_or_else(|| text(entry, "connection_id"), Ok).map(Some)
                }
                Some(false) => Ok(None),
                None => Err(Unreadable),
            },
        }
    }

    /// The answer that one object gives. It has to be about the API that was asked about: Auth0 also finds an API by
    /// its internal id.
    pub(super) fn object(&self, object: &Value) -> Result<Fact, Unreadable> {
        let Self::ApiSettings { identifier } = self else { return Err(Unreadable) };
        if object.get("identifier").and_then(Value::as_str) != Some(&**identifier) {
            return Err(Unreadable);
        }
        let lifetime = object.get("token_lifetime").and_then(Value::as_u64);
        Ok(Fact::ApiSettings(ApiSettings {
            enforces_policies: object.get("enforce_policies").and_then(Value::as_bool),
            token_lifetime: lifetime.and_then(|seconds| u32::try_from(seconds).ok()),
        }))
    }

    /// The answer that a list gives that was read as far as needed: what its entries contributed, and its length.
    pub(super) fn answer(&self, entries: BTreeSet<Arc<str>>, seen: usize, total: Option<u64>) -> Option<Fact> {
        match self {
            Self::ApiSettings { .. } => None,
            Self::LoginMembership { .. } => {
                Some(Fact::LoginMembership(Arc::new(entries.into_iter().take(MAX_CONNECTIONS).collect())))
            }
            Self::MemberCount { .. } => Some(Fact::MemberCount(total.unwrap_or_default().max(seen as u64))),
            Self::RoleHolders { .. } => Some(Fact::RoleHolders(Arc::new(entries))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_identifier_is_one_segment_of_the_path() {
        let path = |identifier: &str| Question::api_settings(&identifier.into()).map(|question| question.path());
        let expected = "/api/v2/resource-servers/https%3A%2F%2Fapi.example.com%2Fa%20b%3Fc%23d";
        assert_eq!(path("https://api.example.com/a b?c#d").as_deref(), Some(expected));
        assert_eq!(path("../../users").as_deref(), Some("/api/v2/resource-servers/..%2F..%2Fusers"));
        assert_eq!([path("."), path(".."), path("")], [None, None, None], "no encoding keeps these as they are");
    }

    #[test]
    fn settings_of_another_api_are_no_answer() {
        let question = Question::api_settings(&"https://a/".into()).unwrap();
        let read = |object: Value| question.object(&object);
        let both = json!({"identifier": "https://a/", "enforce_policies": false, "token_lifetime": 60});
        let settings =
            |on, lifetime| Fact::ApiSettings(ApiSettings { enforces_policies: on, token_lifetime: lifetime });
        assert_eq!(read(both), Ok(settings(Some(false), Some(60))));
        let odd = json!({"identifier": "https://a/", "enforce_policies": "no", "token_lifetime": -1});
        assert_eq!(read(odd), Ok(settings(None, None)), "what cannot be read is not known");
        assert_eq!(read(json!({"identifier": "https://b/", "enforce_policies": true})), Err(Unreadable));
        assert_eq!(read(json!({"ok": true})), Err(Unreadable));
    }

    #[test]
    fn only_connections_that_assign_membership_are_named() {
        let question = Question::LoginMembership { organization: "org_1".into() };
        let read = |entry: Value| question.entry(&entry);
        let named = json!({"connection_id": "con_1", "assign_membership_on_login": true, "connection": {"name": "db"}});
        assert_eq!(read(named), Ok(Some("db".into())));
        assert_eq!(read(json!({"connection_id": "c", "assign_membership_on_login": true})), Ok(Some("c".into())));
        assert_eq!(read(json!({"connection_id": "c", "assign_membership_on_login": false})), Ok(None));
        assert_eq!(read(json!({"connection_id": "c"})), Err(Unreadable), "what is not said is not taken for no");
    }

    #[test]
    fn a_token_is_tried_if_it_has_one_of_the_scopes() {
        let held = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>();
        let holders = Question::RoleHolders { role: "rol_1".into() };
        assert_eq!(holders.lacking(&held(&["read:roles"])), None);
        assert_eq!(holders.lacking(&held(&["read:clients"])), Some("read:users"));
        let settings = Question::api_settings(&"a".into()).unwrap();
        assert_eq!(settings.lacking(&held(&["read:users"])), Some("read:resource_servers"));
    }
}
