//! Finds out what a 404 is about, or whether an organization exists, by reading lists. Pure: the findings so far decide
//! what to read next.

use crate::auth0::{Endpoint, Item, NotFound, Read};

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The list was read, and contains what was looked for.
    There,
    /// The list was read, and does not contain what was looked for.
    NotThere,
    /// Auth0 answered the read with its own 404.
    NotFound,
    /// The list could not be read.
    Unreadable,
}

/// What the 404 is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The user or the organization does not exist.
    Subject,
    /// They exist, so one of the items does not.
    Item,
    /// They exist, and there is nothing to remove: the user is not a member, or does not exist and so is none.
    Absent,
    /// The lists contradict each other, as they can for some seconds after a membership has changed.
    Unsettled,
    /// It could not be found out.
    Unclear,
}

/// What follows from the findings so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DiagnosisStep {
    /// Read this list: all of it in search of this item, or only the first page if there is none.
    Read(Read, Option<Item>),
    /// The meaning of the 404.
    Verdict(Verdict),
}

/// The next step after a 404 at `endpoint`, or after reads of users none of whom is a member, with these `findings`.
/// `seen`: the user and the organization existed at some time.
pub(super) fn diagnose(endpoint: &Endpoint, findings: &[Finding], seen: bool) -> DiagnosisStep {
    use Finding::{NotThere, There, Unreadable};
    use NotFound::{MembershipOrItem, OrganizationOrUser, SubjectOrItem};
    let first_page = |endpoint: Endpoint| DiagnosisStep::Read(Read::List(endpoint), None);
    let (organization, user) = (endpoint.organization().cloned(), endpoint.user().cloned());
    let verdict = match (endpoint.row().not_found, findings, organization, user) {
        (_, [], ..) => return first_page(endpoint.clone()),
        // Users who are no members were read. Whether the organization exists is not known yet.
        (OrganizationOrUser, [NotThere], ..) => return first_page(endpoint.clone()),
        // It cannot be known, but nobody of them is a member.
        (OrganizationOrUser, [NotThere, Unreadable], ..) => Verdict::Absent,
        // The user is not a member, whether or not the organization still exists.
        (MembershipOrItem, [Finding::NotFound, NotThere, Unreadable], ..) if seen => Verdict::Absent,
        (_, [.., Unreadable], ..) => Verdict::Unclear,
        (MembershipOrItem, [Finding::NotFound], Some(organization), Some(user)) => {
            return DiagnosisStep::Read(Read::UserOrganizations { user }, Some(Item::Id(organization)));
        }
        // The user is not a member. Whether the organization exists is not known yet.
        (MembershipOrItem, [Finding::NotFound, NotThere], Some(organization), _) => {
            return first_page(Endpoint::OrganizationMembers { organization });
        }
        (_, [.., Finding::NotFound], ..) => Verdict::Subject,
        // The list of roles, which names no role, is missing as well: one of the two lists lags.
        (MembershipOrItem, [Finding::NotFound, There], ..) => Verdict::Unsettled,
        (SubjectOrItem, [..], ..) | (MembershipOrItem, [_], ..) => Verdict::Item,
        // The organization exists, so the 404 is about a user, who is therefore not a member.
        (OrganizationOrUser, [..], ..) | (MembershipOrItem, [..], ..) => Verdict::Absent,
    };
    DiagnosisStep::Verdict(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: the indexes of the endpoints, the findings, and what the 404 is about.
    #[test]
    fn a_404_is_about_what_the_looks_find() {
        use Finding::{NotFound, NotThere, There, Unreadable};
        let table: &[(&[usize], &[Finding], Verdict)] = &[
            (&[0, 1], &[NotFound], Verdict::Subject),
            (&[0, 1], &[There], Verdict::Item),
            (&[0, 1, 2, 3], &[Unreadable], Verdict::Unclear),
            (&[2], &[NotFound], Verdict::Subject),
            (&[2], &[There], Verdict::Absent),
            (&[2], &[NotThere, NotFound], Verdict::Subject),
            (&[2], &[NotThere, There], Verdict::Absent),
            (&[2], &[NotThere, Unreadable], Verdict::Absent),
            (&[3], &[There], Verdict::Item),
            (&[3], &[NotFound, NotFound], Verdict::Subject),
            (&[3], &[NotFound, There], Verdict::Unsettled),
            (&[3], &[NotFound, Unreadable], Verdict::Unclear),
            (&[3], &[NotFound, NotThere, NotFound], Verdict::Subject),
            (&[3], &[NotFound, NotThere, There], Verdict::Absent),
            (&[3], &[NotFound, NotThere, Unreadable], Verdict::Unclear),
        ];
        let endpoints = Endpoint::all("auth0|a", "org_a");
        for (rows, findings, verdict) in table {
            for endpoint in rows.iter().map(|row| &endpoints[*row]) {
                for so_far in 0..findings.len() {
                    assert!(
                        matches!(diagnose(endpoint, &findings[..so_far], false), DiagnosisStep::Read(..)),
                        "{endpoint:?} {findings:?}"
                    );
                }
                let step = diagnose(endpoint, findings, false);
                assert_eq!(step, DiagnosisStep::Verdict(*verdict), "{endpoint:?} {findings:?}");
            }
        }
        let no_member = [NotFound, NotThere, Unreadable];
        assert_eq!(diagnose(&endpoints[3], &no_member, true), DiagnosisStep::Verdict(Verdict::Absent));
    }
}
