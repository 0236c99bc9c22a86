//! What a 404 of a DELETE is about, found out by looking. Pure: the answers so far say what to read next.

use crate::auth0::{Endpoint, Item, Read};

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It could be read, and what was looked for is there.
    Yes,
    /// It could be read, and what was looked for is not there.
    No,
    /// Auth0's own 404.
    Missing,
    /// It could not be read.
    Refused,
}

/// What the 404 is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The user or the organization does not exist.
    Subject,
    /// They exist: it is an item.
    Item,
    /// They exist, and nothing is to be removed: the user is no member, or does not exist and so is none.
    Absent,
    /// It could not be found out.
    Unclear,
}

/// What follows from the answers so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Read this: only its first page, or all of it to look for this item.
    Read(Read, Option<Item>),
    /// It is clear.
    Verdict(Verdict),
}

/// The next look after a DELETE at `endpoint` was answered with 404, and the looks since with `found`.
pub(super) fn diagnose(endpoint: &Endpoint, found: &[Found]) -> Look {
    use Found::{Missing, Refused, Yes};
    let first_page = |endpoint| Look::Read(Read::List(endpoint), None);
    let members =
        |organization: &_| Endpoint::OrganizationMembers { organization: std::sync::Arc::clone(organization) };
    match (endpoint, found) {
        (_, [.., Refused]) => Look::Verdict(Verdict::Unclear),
        (endpoint, []) => first_page(endpoint.clone()),
        (Endpoint::OrganizationMemberRoles { organization, user }, [Missing]) => {
            Look::Read(Read::UserOrganizations { user: user.clone() }, Some(Item::Id(organization.clone())))
        }
        // No member; of an organization that exists?
        (Endpoint::OrganizationMemberRoles { organization, .. }, [_, Found::No]) => first_page(members(organization)),
        (_, [.., Missing]) => Look::Verdict(Verdict::Subject),
        // The organization exists, so the 404 is about a user, who is no member then.
        (Endpoint::OrganizationMembers { .. }, [Yes]) | (_, [_, _, ..]) if found != [Missing, Yes] => {
            Look::Verdict(Verdict::Absent)
        }
        _ => Look::Verdict(Verdict::Item),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row by row: the endpoints, what the looks found, and what the 404 is about then.
    #[test]
    fn a_404_is_about_what_the_looks_find() {
        use Found::{Missing, No, Refused, Yes};
        let table: &[(&[usize], &[Found], Verdict)] = &[
            (&[0, 1], &[Missing], Verdict::Subject),
            (&[0, 1], &[Yes], Verdict::Item),
            (&[0, 1, 2, 3], &[Refused], Verdict::Unclear),
            (&[2], &[Missing], Verdict::Subject),
            (&[2], &[Yes], Verdict::Absent),
            (&[3], &[Yes], Verdict::Item),
            (&[3], &[Missing, Missing], Verdict::Subject),
            (&[3], &[Missing, Yes], Verdict::Item),
            (&[3], &[Missing, Refused], Verdict::Unclear),
            (&[3], &[Missing, No, Missing], Verdict::Subject),
            (&[3], &[Missing, No, Yes], Verdict::Absent),
            (&[3], &[Missing, No, Refused], Verdict::Unclear),
        ];
        let endpoints = Endpoint::all("auth0|a", "org_a");
        for (rows, found, verdict) in table {
            for endpoint in rows.iter().map(|row| &endpoints[*row]) {
                for so_far in 0..found.len() {
                    assert!(matches!(diagnose(endpoint, &found[..so_far]), Look::Read(..)), "{endpoint:?} {found:?}");
                }
                assert_eq!(diagnose(endpoint, found), Look::Verdict(*verdict), "{endpoint:?} {found:?}");
            }
        }
    }
}
