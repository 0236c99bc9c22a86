//! Auth0's identifiers as types, each with a schema that rejects what cannot be one.
//!
//! The rules are in CEL and not a `pattern`, because a CEL rule has a message that says what to write instead. The same
//! rules exist as functions, for objects that were stored under an older CRD. Each usual mistake has its own words: a
//! `messageExpression` picks them when a rule is broken.
//!
//! In CEL, `\s` matches ASCII only. What Rust calls white space is `\p{Z}` and some of the control characters,
//! `\p{Cc}`.

use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most characters that all ids of a list may have together. A request with 100 of the longest ids would be
/// rejected by Auth0, and such objects would make caches large.
const MAX_LIST_LENGTH: usize = 20_000;

/// The rule that limits a list to [`MAX_LIST_LENGTH`]. `sizes` is a CEL expression for the lengths of its items,
/// `remedy` says what to do if they are too long.
pub(super) fn together(sizes: &str, remedy: &str) -> Rule {
    Rule::new(format!("{sizes}.sum() <= {MAX_LIST_LENGTH}"))
        .message(format!("must have at most {MAX_LIST_LENGTH} characters in all its ids together: {remedy}").as_str())
}

/// A rule of CEL whose message begins with `say`; it goes on with the words of the first of `mistakes` whose condition
/// is true, or with `general`.
fn told_apart(rule: &str, say: &str, mistakes: &[(&str, &str)], general: &str) -> Value {
    let words = mistakes.iter().map(|(condition, words)| format!("{condition} ? {words:?} : ")).collect::<String>();
    json!([{
        "rule": rule, "message": format!("{say}{general}"), "messageExpression": format!("{say:?} + ({words}{general:?})"),
    }])
}

macro_rules! id {
    (
        $(#[$doc:meta])* $name:ident, max $max:literal, rule $rule:literal,
        say $say:literal, $(if $mistake:literal say $words:literal,)* else say $general:literal
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(extend(
            "x-kubernetes-validations" = told_apart($rule, $say, &[$(($mistake, $words)),*], $general)
        ))]
        pub struct $name(#[schemars(length(min = 1, max = $max))] String);

        impl $name {
            /// The identifier as Auth0 spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self(value.to_owned())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// An Auth0 user id: `provider|id`, for example `auth0|5f7c8ec7c33c6c004bbafe82`.
    UserId, max 1024,
    rule r"self.matches('^[^|\\p{Cc}\\p{Z}]+[|][^\\p{Cc}\\p{Z}]([^\\p{Cc}]*[^\\p{Cc}\\p{Z}])?$') && !self.matches('^(https?:|[\\x22\\x27])')",
    say "must be an Auth0 user id such as auth0|5f7c8ec7c33c6c004bbafe82 (provider, pipe, id)",
    if "self.matches('^https?:')"
    say ", not the address of the user's page: write the last part of it, with | for %7C",
    if "self.matches('^[\\x22\\x27]')"
    say ", without quotation marks as a part of it",
    if "!self.contains('|') && self.matches('%7[Cc]')"
    say ", not percent-encoded as in a URL: write | for %7C, and decode the rest as well",
    if "!self.contains('|') && self.contains('@')"
    say ", not an e-mail address: several accounts can have one, so find them by it in the Auth0 dashboard and copy the user_id of each",
    if "self.startsWith('rol_') || self.startsWith('org_')"
    say ", not the id of a role or an organization",
    if "self.matches('^[0-9a-f]{24}$')"
    say ": put the provider before it, as user_id on the user's page in the Auth0 dashboard shows it",
    else say ", not an e-mail address or a name: copy user_id from the user's page in the Auth0 dashboard"
}

id! {
    /// An Auth0 role id, for example `rol_bN1a2b3c4d5e6f7g`.
    RoleId, max 64,
    rule "self.matches('^rol_[A-Za-z0-9]{16}$')",
    say "must be an Auth0 role id such as rol_bN1a2b3c4d5e6f7g",
    if "self.startsWith('org_')" say ", not the id of an organization",
    if "self.contains('|')" say ", not the id of a user",
    else say ", not the role's name: copy it from User Management > Roles in the Auth0 dashboard"
}

id! {
    /// An Auth0 organization id, for example `org_9ybsU1dN2dKfDkBi`.
    OrganizationId, max 64,
    rule "self.matches('^org_[A-Za-z0-9]{16}$')",
    say "must be an Auth0 organization id such as org_9ybsU1dN2dKfDkBi",
    if "self.startsWith('rol_')" say ", not the id of a role",
    if "self.contains('|')" say ", not the id of a user",
    else say ", not the organization's name: copy it from the organization's page in the Auth0 dashboard"
}

id! {
    /// The identifier (audience) of an Auth0 API, for example `https://api.example.com/`. Every character counts, even
    /// a trailing slash.
    ResourceServerIdentifier, max 600,
    rule r"self.matches('^[^\\p{Cc}\\p{Z}]([^\\p{Cc}]*[^\\p{Cc}\\p{Z}])?$') && !self.matches('^([0-9a-f]{24}$|https?%3[Aa])')",
    say "must be the identifier (audience) of the API exactly as Auth0 shows it",
    if "self.matches('^[0-9a-f]{24}$')"
    say ", such as https://api.example.com/, not the API's internal id: copy Identifier from the API's settings in the Auth0 dashboard",
    if "self.matches('^https?%3[Aa]')"
    say ", not percent-encoded as in a URL: write : for %3A and / for %2F",
    else say ", with no white space around it and no control characters"
}

id! {
    /// The name of a permission (scope) of an Auth0 API, for example `read:reports`.
    PermissionName, max 600,
    rule r"self.matches('^[^\\p{Cc}\\p{Z}]([^\\p{Cc}]*[^\\p{Cc}\\p{Z}])?$') && !self.matches('%3[Aa]')",
    say "must be the permission's name exactly as Auth0 shows it, such as read:reports",
    if "self.matches('%3[Aa]')" say ", not percent-encoded as in a URL: write : for %3A",
    else say ", with no white space around it and no control characters"
}

#[cfg(test)]
id! {
    /// An Auth0 group id, for example `grp_3kVbq8Yw1mZr7TnC`.
    GroupId, max 64,
    rule "self.matches('^grp_[A-Za-z0-9]{16}$')",
    say "must be an Auth0 group id such as grp_3kVbq8Yw1mZr7TnC",
    else say ", not the group's name"
}

/// Whether `text` can be an Auth0 group id, by the rule of the schema.
#[cfg(test)]
pub fn is_group_id(text: &str) -> bool {
    is_prefixed(text, "grp_")
}

/// Whether `text` can be an Auth0 user id, by the rule of the schema.
pub fn is_user_id(text: &str) -> bool {
    let Some((provider, id)) = text.split_once('|') else {
        return false;
    };
    // The schema's maxLength counts characters, not bytes.
    text.chars().count() <= 1024
        && is_plain_text(id)
        && is_plain_text(provider)
        && !provider.contains(char::is_whitespace)
        && !["http:", "https:", "\"", "'"].iter().any(|begin| provider.starts_with(begin))
}

/// Whether `text` can be an Auth0 role id, by the rule of the schema.
pub fn is_role_id(text: &str) -> bool {
    is_prefixed(text, "rol_")
}

/// Whether `text` can be an Auth0 organization id, by the rule of the schema.
pub fn is_organization_id(text: &str) -> bool {
    is_prefixed(text, "org_")
}

/// Whether `text` can be the identifier of an API, by the rule of the schema.
pub fn is_resource_server_identifier(text: &str) -> bool {
    is_plain_text(text)
        && !is_internal_id(text)
        && !["http%3", "https%3"]
            .iter()
            .any(|url| text.strip_prefix(url).is_some_and(|rest| rest.starts_with(['A', 'a'])))
}

/// Whether `text` can be the name of a permission, by the rule of the schema.
pub fn is_permission_name(text: &str) -> bool {
    is_plain_text(text) && !text.contains("%3A") && !text.contains("%3a")
}

/// Auth0 knows APIs by such an id, too, but not where permissions are removed.
fn is_internal_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether `text` is not empty, contains no control characters and has no white space around it.
fn is_plain_text(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(char::is_control)
}

fn is_prefixed(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinguished_from_names() {
        for good in [
            "auth0|a",
            "samlp|acme|jane doe@example.com",
            "oauth2|x/y|z%2F",
            "sms|+4912",
            "ad|ümlaut",
            &format!("a|{}", "ü".repeat(1022)),
        ] {
            assert!(is_user_id(good), "{good}");
        }
        for bad in [
            "",
            "jane",
            "|x",
            "auth0|",
            "au th0|x",
            "auth0| x",
            "auth0|x\n",
            "auth0|\0",
            "auth0|a\u{7}b",
            "auth0|x\u{a0}",
            "https://manage.auth0.com/dashboard/eu/acme/users/auth0|x",
            "\"auth0|x\"",
            "'auth0|x'",
        ] {
            assert!(!is_user_id(bad), "{bad:?}");
        }
        assert!(is_role_id("rol_bN1a2b3c4d5e6f7g"));
        assert!(!is_role_id("admin") && !is_role_id("rol_short") && !is_role_id("rol_bN1a2b3c4d5e6f7/"));
        assert!(is_organization_id("org_9ybsU1dN2dKfDkBi"));
        assert!(!is_organization_id("acme") && !is_organization_id("rol_bN1a2b3c4d5e6f7g"));
    }
}
