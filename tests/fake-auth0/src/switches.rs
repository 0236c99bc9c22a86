//! Switches for every behaviour that documents and recordings leave open.
//!
//! A client must keep its promises with every setting, so tests draw them at random: [`Switches::random`] from a seed,
//! [`Switches::sampled`] from a generator. The default is the likeliest setting. The README of this crate says which
//! document leaves what open.

use serde::{Deserialize, Serialize};

/// A random setting of one switch.
trait Choice {
    fn any(rng: &mut fastrand::Rng) -> Self;
}

macro_rules! choices {
    ($($(#[$attribute:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident,)+ })+) => {$(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl Choice for $name {
            fn any(rng: &mut fastrand::Rng) -> Self {
                let all = [$(Self::$variant),+];
                all[rng.usize(..all.len())]
            }
        }
    )+};
}

choices! {
    /// Whether something is let through.
    Verdict {
        /// It is, as if nothing were odd about it.
        Accepted,
        /// It is not, and nothing is done.
        Refused,
    }
    /// What a DELETE is answered when what its path names does not exist.
    Missing {
        /// 404.
        NotFound,
        /// 204, as for anything else that is not there.
        NoContent,
    }
    /// What a DELETE is answered when something that its body names does not exist.
    Unknown {
        /// 204, as for anything else that is not there.
        NoContent,
        /// 400 with the code of that thing.
        BadRequest,
        /// 404 with the text of that thing.
        NotFound,
    }
    /// Whether the `total` of a user's organizations counts them.
    Total {
        /// It does.
        Right,
        /// It is 0 beside entries, as recorded in August 2026.
        Zero,
    }
    /// Whether the last page of a walk through members that has items carries a `next`.
    LastNext {
        /// It does not, as recorded in August 2026.
        Absent,
        /// It does, and an empty page follows, as recorded until April 2026.
        Present,
    }
    /// What happens to the rest of a body of which one item makes the call a refusal.
    RestOfBatch {
        /// Nothing.
        Untouched,
        /// It is removed, and the call is refused all the same.
        Removed,
    }
    /// Which calls the global bucket counts.
    GlobalLimit {
        /// Every call; then the endpoint's own bucket is looked at.
        EveryCall,
        /// Those whose endpoints have no bucket of their own.
        OtherCalls,
    }
    /// How the refusal by an endpoint's own bucket is worded.
    LimitWording {
        /// With the name of the group, as in tenant logs.
        Group,
        /// As the refusal by the global bucket.
        Global,
    }
    /// What an `Authorization` header of another scheme than Bearer is answered.
    OtherScheme {
        /// 401 "Missing authentication".
        Unauthorized,
        /// 400 "Bad HTTP authentication header format".
        BadRequest,
    }
    /// How a user without an e-mail address is shown.
    MissingEmail {
        /// Without the field.
        Absent,
        /// With `null`.
        Null,
    }
    /// What ids of another form than `org_…` or `rol_…` in a path are taken for.
    PathNames {
        /// An id that does not exist: 404.
        NotFound,
        /// The name of an organization, which is then found, also by a DELETE.
        Found,
        /// A mistake: 400 `invalid_uri`.
        Refused,
    }
    /// When the size of a request is looked at.
    SizeCheck {
        /// After the token.
        AfterToken,
        /// Before anything else.
        BeforeToken,
    }
    /// How many items a page may have.
    PageCap {
        /// 100.
        Hundred,
        /// 50; a request for more gets 50, and `limit` says so.
        Fifty,
        /// 50; a request for more is refused.
        FiftyOrRefused,
    }
    /// Which lists show a membership for a while after it ended, see [`crate::Lag`].
    LaggingLists {
        /// The members of the organization.
        Members,
        /// The organizations of the user and the roles of the member, too, as long as they have no lag of their own.
        AllThree,
    }
    /// Whether the permissions of a user list those that come through roles.
    RolePermissions {
        /// They do, with the role as their source.
        Listed,
        /// They list only those given directly.
        Unlisted,
    }
    /// How a search by e-mail address compares.
    EmailCase {
        /// Upper and lower case differ.
        Exact,
        /// They do not.
        Folded,
    }
    /// Which scopes reading the roles of a user needs.
    UserRolesScopes {
        /// `read:users`, `read:roles` and `read:role_members`.
        Three,
        /// `read:users` and `read:roles`.
        Two,
    }
}

/// Every switch of a tenant. Plain data: set all with [`crate::FakeAuth0::set_switches`], some with
/// [`crate::FakeAuth0::switch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// `total` of `GET users/{id}/organizations`.
    pub user_organizations_total: Total,
    /// `next` on the last page of members that has items.
    pub last_next: LastNext,
    /// A role of another form than `rol_…` in `DELETE users/{id}/roles`, and texts of permissions that are empty or
    /// longer than 600: unknown things, or 400 `invalid_body`.
    pub odd_items: Verdict,
    /// An organization that does not exist, in both its DELETEs.
    pub unknown_organization: Missing,
    /// Somebody who is no member, or does not exist, in the DELETE of a member's roles.
    pub non_member: Missing,
    /// A user who does not exist among the members to remove.
    pub unknown_member: Unknown,
    /// A role that does not exist among those to remove: 204, 400 `inexistent_role`, or 404 without a code.
    pub unknown_role: Unknown,
    /// A permission or API that does not exist among those to remove: 204, 400, or 404
    /// `inexistent_resource_server_permission`.
    pub unknown_permission: Unknown,
    /// The other items of a refused body.
    pub rest_of_batch: RestOfBatch,
    /// More than ten members in one body.
    pub eleven_members: Verdict,
    /// More than fifty roles or permissions in one body.
    pub fifty_one_items: Verdict,
    /// The same item twice in one body.
    pub duplicates: Verdict,
    /// What the global bucket counts.
    pub global_limit: GlobalLimit,
    /// What a 429 says.
    pub limit_wording: LimitWording,
    /// `Authorization` by another scheme.
    pub other_scheme: OtherScheme,
    /// `email` of users without one.
    pub missing_email: MissingEmail,
    /// A query on a DELETE; if refused, then after the body was looked at.
    pub query_on_delete: Verdict,
    /// A body without `Content-Type`: JSON, or 415.
    pub untyped_body: Verdict,
    /// Names of organizations and roles in paths.
    pub path_names: PathNames,
    /// Pages behind the first 1000 records of a user's roles and permissions, of roles, of their permissions, of APIs.
    pub user_lists_beyond_1000: Verdict,
    /// When a request is found too large.
    pub size_check: SizeCheck,
    /// How large pages are.
    pub page_cap: PageCap,
    /// Which lists lag after a membership ended.
    pub lagging_lists: LaggingLists,
    /// `DELETE users/{id}/roles` with `delete:role_members` only.
    pub role_members_scope: Verdict,
    /// `GET users/{id}/roles`.
    pub user_roles_scopes: UserRolesScopes,
    /// What `GET users/{id}/permissions` lists.
    pub role_permissions: RolePermissions,
    /// `GET users-by-email`.
    pub email_case: EmailCase,
    /// The effective views: if refused, then by the plan of the tenant.
    pub effective_views: Verdict,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            user_organizations_total: Total::Right,
            last_next: LastNext::Absent,
            odd_items: Verdict::Accepted,
            unknown_organization: Missing::NotFound,
            non_member: Missing::NotFound,
            unknown_member: Unknown::NoContent,
            unknown_role: Unknown::NoContent,
            unknown_permission: Unknown::NoContent,
            rest_of_batch: RestOfBatch::Untouched,
            eleven_members: Verdict::Refused,
            fifty_one_items: Verdict::Refused,
            duplicates: Verdict::Refused,
            global_limit: GlobalLimit::EveryCall,
            limit_wording: LimitWording::Group,
            other_scheme: OtherScheme::Unauthorized,
            missing_email: MissingEmail::Absent,
            query_on_delete: Verdict::Accepted,
            untyped_body: Verdict::Accepted,
            path_names: PathNames::NotFound,
            user_lists_beyond_1000: Verdict::Accepted,
            size_check: SizeCheck::AfterToken,
            page_cap: PageCap::Hundred,
            lagging_lists: LaggingLists::Members,
            role_members_scope: Verdict::Refused,
            user_roles_scopes: UserRolesScopes::Three,
            role_permissions: RolePermissions::Listed,
            email_case: EmailCase::Exact,
            effective_views: Verdict::Accepted,
        }
    }
}

impl Switches {
    /// Random positions, the same for the same seed.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        Self::sampled(&mut fastrand::Rng::with_seed(seed))
    }

    /// Random positions, each as likely as the others of its switch.
    pub fn sampled(rng: &mut fastrand::Rng) -> Self {
        Self {
            user_organizations_total: Choice::any(rng),
            last_next: Choice::any(rng),
            odd_items: Choice::any(rng),
            unknown_organization: Choice::any(rng),
            non_member: Choice::any(rng),
            unknown_member: Choice::any(rng),
            unknown_role: Choice::any(rng),
            unknown_permission: Choice::any(rng),
            rest_of_batch: Choice::any(rng),
            eleven_members: Choice::any(rng),
            fifty_one_items: Choice::any(rng),
            duplicates: Choice::any(rng),
            global_limit: Choice::any(rng),
            limit_wording: Choice::any(rng),
            other_scheme: Choice::any(rng),
            missing_email: Choice::any(rng),
            query_on_delete: Choice::any(rng),
            untyped_body: Choice::any(rng),
            path_names: Choice::any(rng),
            user_lists_beyond_1000: Choice::any(rng),
            size_check: Choice::any(rng),
            page_cap: Choice::any(rng),
            lagging_lists: Choice::any(rng),
            role_members_scope: Choice::any(rng),
            user_roles_scopes: Choice::any(rng),
            role_permissions: Choice::any(rng),
            email_case: Choice::any(rng),
            effective_views: Choice::any(rng),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_and_seeds_reach_every_position() {
        assert_eq!(Switches::random(7), Switches::random(7));
        let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for seed in 0..200 {
            let drawn = serde_json::to_value(Switches::random(seed)).unwrap();
            for (name, position) in drawn.as_object().unwrap() {
                seen.entry(name.clone()).or_default().insert(position.as_str().unwrap().to_owned());
            }
        }
        assert!(seen.values().all(|positions| positions.len() >= 2), "{seen:?}");
        assert_eq!(seen["page_cap"].len(), 3);
    }

    #[test]
    fn what_a_document_leaves_out_is_the_default() {
        let some: Switches = serde_json::from_str(r#"{"unknown_role": "not_found"}"#).unwrap();
        assert_eq!(some, Switches { unknown_role: Unknown::NotFound, ..Switches::default() });
        assert!(serde_json::from_str::<Switches>(r#"{"unknown_rule": "not_found"}"#).is_err());
    }
}
