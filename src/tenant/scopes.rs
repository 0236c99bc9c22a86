//! What the scopes of a token allow, compared with what the removal kinds need. Pure.

use crate::api::{ScopesStatus, printable};
use crate::auth0::EndpointRow;

/// Scopes to read that are as powerful as scopes to write.
const POWERFUL_READS: [&str; 2] = ["read:client_credentials", "read:client_keys"];
/// The length, in characters, at which the name of a scope is cut.
const MAX_LEN: usize = 100;
/// How many scopes a message names.
const NAMED: usize = 5;

/// A removal kind and the row of its endpoint.
pub type KindRow = (&'static str, &'static EndpointRow);

/// The scopes that a status shows, and what its message says of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scopes {
    pub(super) status: Option<ScopesStatus>,
    /// Sentences, each with a space before it.
    pub(super) message: String,
}

/// Compares the scopes of a token, if they are known, with what these kinds need.
pub(super) fn judge(held: Option<&[String]>, kinds: &[KindRow]) -> Scopes {
    let Some(held) = held else { return Scopes::default() };
    let has = |scope: &str| held.iter().any(|own| own == scope);
    let (mut missing, mut message) = (Vec::new(), String::new());
    for (kind, row) in kinds {
        if let Some(scope) = row.lacking(held) {
            missing.push(scope.to_owned());
            message += &format!(" Without {scope} every {kind} is refused.");
        }
        let unread: Vec<&str> = row.reads().filter(|scope| !has(scope)).collect();
        if !unread.is_empty() {
            message += &format!(" Without {} no {kind} is verified.", unread.join(", "));
        }
        missing.extend(unread.into_iter().map(str::to_owned));
    }
    let unneeded = unneeded_scopes(held, kinds);
    if !unneeded.is_empty() {
        let more = if unneeded.len() > NAMED { ", and others" } else { "" };
        let named = unneeded.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        message += &format!(" It may do more than Rescind needs, so take these scopes away: {named}{more}.");
    }
    let limited = |mut scopes: Vec<String>| {
        scopes.sort_unstable();
        scopes.dedup();
        scopes.truncate(ScopesStatus::MAX);
        scopes
    };
    let (missing, unneeded) = (limited(missing), limited(unneeded));
    let status = (!missing.is_empty() || !unneeded.is_empty()).then_some(ScopesStatus { missing, unneeded });
    Scopes { status, message }
}

/// The powerful scopes among these that removals of these kinds never use.
pub fn unneeded_scopes(held: &[String], kinds: &[KindRow]) -> Vec<String> {
    let is_needed = |scope: &str| {
        kinds.iter().any(|(_, row)| row.reads().chain(row.sufficient_scopes.iter().copied()).any(|own| own == scope))
    };
    let is_powerful =
        |scope: &str| !scope.starts_with("read:") && scope.contains(':') || POWERFUL_READS.contains(&scope);
    held.iter().filter(|scope| is_powerful(scope) && !is_needed(scope)).map(|scope| shown(scope)).collect()
}

/// A scope of a token, which is text from outside.
pub(super) fn shown(scope: &str) -> String {
    printable(&scope.chars().take(MAX_LEN).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth0::Endpoint;

    fn rows() -> Vec<KindRow> {
        let kinds = ["Permissions", "Roles", "Memberships", "MemberRoles"];
        let endpoints = Endpoint::all("auth0|a", "org_x");
        kinds.into_iter().zip(endpoints.iter().map(Endpoint::row)).collect()
    }

    fn judged(held: &[&str]) -> Scopes {
        judge(Some(&held.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>()), &rows())
    }

    #[test]
    fn what_is_missing_is_named_by_kind() {
        let reads = ["read:users", "read:roles", "read:role_members", "read:organizations"];
        let of_members = ["read:organization_members", "read:organization_member_roles"];
        let removals = ["update:users", "delete:organization_members", "delete:organization_member_roles"];
        let all: Vec<&str> = reads.into_iter().chain(of_members).chain(removals).collect();
        assert_eq!(judged(&all), Scopes::default());
        assert_eq!(judge(None, &rows()), Scopes::default(), "unknown is not missing");
        // What only tells whether a removal has an effect is neither missing nor too much.
        let optional = ["read:resource_servers", "read:organization_connections"];
        assert_eq!(judged(&[&all[..], &optional].concat()), Scopes::default());

        let without = |scope: &str| judged(&all.iter().copied().filter(|own| *own != scope).collect::<Vec<_>>());
        let Scopes { status, message } = without("delete:organization_members");
        assert_eq!(status.unwrap().missing, ["delete:organization_members"]);
        assert_eq!(message, " Without delete:organization_members every Memberships is refused.");
        let Scopes { status, message } = without("read:users");
        assert_eq!(status.unwrap().missing, ["read:users"]);
        assert!(
            message.contains("no Permissions is verified") && message.contains("no Roles is verified"),
            "{message}"
        );
        // One source names this scope for the roles of a user, so it may be enough.
        let with_other: Vec<&str> =
            all.iter().copied().filter(|own| *own != "update:users").chain(["delete:role_members"]).collect();
        let Scopes { message, .. } = judged(&with_other);
        assert_eq!(message, " Without update:users every Permissions is refused.");
    }

    #[test]
    fn what_is_too_much_is_named() {
        let held = ["create:client_grants", "read:client_keys", "read:logs", "update:users\u{1b}[31m"];
        let Scopes { status, message } = judged(&held);
        let unneeded = status.unwrap().unneeded;
        assert_eq!(unneeded.len(), 3, "{unneeded:?}");
        assert!(message.contains("take these scopes away: create:client_grants, read:client_keys"), "{message}");
        assert!(!message.contains('\u{1b}'));
        let many: Vec<String> = (0..50).map(|n| format!("create:x{n:02}")).collect();
        let Scopes { status, message } = judge(Some(&many), &rows());
        let status = status.unwrap();
        assert!(status.unneeded.len() == ScopesStatus::MAX && message.contains(", and others"));
    }
}
