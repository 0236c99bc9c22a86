//! What is known item by item.

use std::collections::BTreeSet;

use crate::auth0::{Item, Missing};
use crate::dispatch::{End, Report};

/// What is known of the items of an object since this process began; the status knows their number only. Each item is
/// in one of the sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    /// Auth0 accepted a DELETE of these.
    pub accepted: BTreeSet<Item>,
    /// These were not there to begin with.
    pub absent: BTreeSet<Item>,
    /// Auth0 does not know these.
    pub unknown: BTreeSet<Item>,
    /// A DELETE may have had an effect although no answer came.
    pub lost: bool,
}

impl Items {
    /// Adds what came of a job: what was accepted once is not absent because it is gone, and what a read shows is not
    /// absent whatever a read before it said. `may_spare` says whether such a read may have spared the DELETE.
    pub(super) fn add(&mut self, report: &Report, may_spare: bool) {
        self.lost = report.lost;
        let is_subject = matches!(report.end, End::NotFound(Missing::Subject | Missing::Unclear));
        // Where nothing was accepted, a 404 may as well be about the user or the organization.
        let unknown = (!is_subject || report.accepted_at.is_some()).then_some(&report.not_found);
        self.unknown.extend(unknown.into_iter().flatten().cloned());
        let absent = report.already_absent.iter().filter(|item| !self.accepted.contains(*item));
        self.absent.extend(absent.cloned());
        if let End::Remaining(left) = &report.end {
            let shown = |item: &Item| left.contains(item);
            let sent = self.absent.iter().filter(|item| !may_spare && shown(item)).cloned();
            self.accepted.extend(sent.collect::<Vec<_>>());
            self.absent.retain(|item| !shown(item));
            // That a list shows what a DELETE was told to be unknown makes it no better known.
            self.unknown.retain(|item| !shown(item) || report.not_found.contains(item));
        }
        self.absent.retain(|item| !self.unknown.contains(item));
        let other = |item: &Item| self.absent.contains(item) || self.unknown.contains(item);
        self.accepted.extend(report.accepted.iter().filter(|item| !other(item)).cloned());
        self.accepted.retain(|item| !self.unknown.contains(item));
    }

    /// Those that there is nobody to hold.
    pub(super) fn not_held(&self) -> impl Iterator<Item = &Item> {
        self.absent.iter().chain(&self.unknown)
    }
}
