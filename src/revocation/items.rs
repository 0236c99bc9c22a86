//! What is known item by item. Pure.

use std::collections::BTreeSet;

use crate::auth0::{Domain, Item, Missing};
use crate::dispatch::{End, Report};

/// What this process knows of the items of an object; the status keeps only their numbers. Each item is in one of the
/// sets at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    /// Items of which Auth0 accepted a DELETE.
    pub accepted: BTreeSet<Item>,
    /// Items that were not there to begin with.
    pub absent: BTreeSet<Item>,
    /// Items that Auth0 does not know: a role, API, permission or user that does not exist.
    pub unknown: BTreeSet<Item>,
    /// How many of them are counted as absent. The status counts them with its verdict.
    pub unknown_counted: usize,
    /// A DELETE that got no answer may have had an effect.
    pub lost: bool,
    /// The domain where all of this is so.
    pub domain: Option<Domain>,
}

impl Items {
    /// Adds the report of a job. An item of which a DELETE was accepted does not become absent because it is gone now,
    /// and one of which it was accepted now is known. An item that a read shows is not absent, whatever an earlier read
    /// said. `may_spare` says whether that earlier read may have spared the DELETE, and `of_membership` whether the items
    /// belong to a membership, which may have ended since.
    pub(super) fn add(&mut self, report: &Report, may_spare: bool, of_membership: bool) {
        self.lost = report.lost;
        self.unknown.retain(|item| !report.accepted.contains(item));
        let is_subject = matches!(report.end, End::NotFound(Missing::Subject | Missing::Unclear));
        // If nothing was accepted, the 404 may also be about the user or the organization.
        let must_exist = report.accepted_at.is_some() && !of_membership;
        let unknown = (!is_subject || must_exist).then_some(&report.not_found);
        self.unknown.extend(unknown.into_iter().flatten().cloned());
        let absent = report.already_absent.iter().filter(|item| !self.accepted.contains(*item));
        self.absent.extend(absent.cloned());
        if let End::Remaining(left) = &report.end {
            let shown = |item: &Item| left.contains(item);
            let was_sent = !may_spare && report.accepted_at.is_some();
            let sent = self.absent.iter().filter(|item| was_sent && shown(item)).cloned();
            self.accepted.extend(sent.collect::<Vec<_>>());
            self.absent.retain(|item| !shown(item));
            // A list may show items although Auth0 answers their DELETE with 404. One that shows an item which it has
            // just refused says nothing of the others that it refused before: they would be tried in turn for ever.
            let shows_unknown = report.not_found.iter().any(shown);
            self.unknown.retain(|item| !shown(item) || shows_unknown);
        }
        self.absent.retain(|item| !self.unknown.contains(item));
        let other = |item: &Item| self.absent.contains(item) || self.unknown.contains(item);
        self.accepted.extend(report.accepted.iter().filter(|item| !other(item)).cloned());
        self.accepted.retain(|item| !self.unknown.contains(item));
    }

    /// The same as far as it is about this domain: nothing that is known of another counts.
    pub(super) fn at(&self, domain: Option<&Domain>) -> Self {
        let is_other = domain.is_some_and(|here| self.domain.as_ref().is_some_and(|there| there != here));
        if is_other { Self::default() } else { self.clone() }
    }

    /// Items that are not held: absent or unknown.
    pub(super) fn not_held(&self) -> impl Iterator<Item = &Item> {
        self.absent.iter().chain(&self.unknown)
    }
}
