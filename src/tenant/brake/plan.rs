//! What the brake of a tenant depends on, and what it decides. Plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::api::{BrakeId, BrakeStatus};

use super::counts::{Demand, Grant};
use super::engagement::{Engagement, Load};
use super::groups::GroupRules;

/// What the brake of a tenant depends on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `metadata.generation`.
    pub generation: i64,
    /// `spec.brake.maxRemovals`.
    pub max: usize,
    /// `spec.brake.maxRemovalsTotal` or its default; none for an `Auth0Tenant`, which has one namespace.
    pub max_total: Option<usize>,
    /// `spec.brake.window`.
    pub window: Duration,
    /// The most items that can be sent in a minute.
    pub per_minute: usize,
    /// What the annotation of the tenant object releases.
    pub releases: Vec<BrakeId>,
    /// What its objects want to have removed, by namespace.
    pub demand: BTreeMap<Arc<str>, Demand>,
    /// What the guards of groups allow.
    pub groups: GroupRules,
    /// Where its removals go.
    pub domain: String,
}

/// What was decided. It counts from the moment when `record` is written.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to write.
    pub record: Option<BrakeStatus>,
    /// Whether to write it at once: something waits for it.
    pub is_urgent: bool,
    /// The namespaces for which the brake is engaged, or will be, and how many items engage it; the name is empty if all
    /// namespaces together exceed the limit, and then the second name is that of the one which brought it over.
    pub engaged: Vec<Engaged>,
    /// Those of them that are new.
    pub begun: Vec<Engaged>,
    /// The organizations of which a namespace would remove too many members.
    pub organizations: Vec<(Arc<str>, Arc<str>)>,
    /// Whether a group is shut now that was not before, or the other way round.
    pub groups_changed: bool,
    /// Engagements that were released, or that are over.
    pub ended: Vec<(Arc<str>, BrakeId)>,
    pub(super) generation: i64,
    pub(super) namespaces: BTreeMap<Arc<str>, Grant>,
    pub(super) total: Gate,
}

impl Plan {
    /// Those that are new: what follows a release once that is written, or the others, which are in force at once.
    pub fn begun(&self, after_release: bool) -> impl Iterator<Item = &Engaged> {
        // Without a release, an engagement does not end while the limit is exceeded.
        let follows = |new: &Engaged| self.ended.iter().any(|(name, _)| *name == named(new.namespace.as_ref()));
        self.begun.iter().filter(move |new| follows(new) == after_release)
    }
}

/// An engagement, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engaged {
    /// The namespace; none: all of them together.
    pub namespace: Option<Arc<str>>,
    /// The engagement.
    pub engagement: Engagement,
    /// The limit that is exceeded.
    pub limit: usize,
    /// Of all together: the namespace with the most items.
    pub most: Option<Arc<str>>,
}

/// What holds for all namespaces together.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    pub(super) released: usize,
    pub(super) engagement: Option<Engagement>,
}

impl Gate {
    /// Whether `new` more items are more than a release has left. None at all are not.
    pub(super) fn is_shut(&self, new: usize) -> bool {
        self.engagement.as_ref().is_some_and(Engagement::is_now) && self.released < new
    }
}

/// So many random words are tried; of the many there are, hardly one is taken.
const WORDS_TRIED: usize = 100;

/// Words for new engagements. A release names one engagement by its word, so none is that of another engagement, nor one
/// that the annotation still releases.
pub(super) fn new_words(
    before: &[(Arc<str>, Engagement)],
    releases: &[BrakeId],
    mut random: impl FnMut() -> String,
) -> impl FnMut() -> String {
    let of_engagements = before.iter().map(|(_, engagement)| &engagement.id);
    let mut taken: BTreeSet<String> = of_engagements.chain(releases).map(|id| id.word.clone()).collect();
    move || {
        let is_free = |word: &String| taken.insert(word.clone());
        std::iter::repeat_with(&mut random).take(WORDS_TRIED).find(is_free).unwrap_or_default()
    }
}

/// For whom the brake is engaged, or will be.
pub(super) fn engaged(
    grants: &BTreeMap<Arc<str>, Grant>,
    total: &Gate,
    loads: &BTreeMap<Arc<str>, Load>,
    facts: &Facts,
) -> Vec<Engaged> {
    let own = grants.iter().filter_map(|(name, grant)| {
        let engagement = grant.engagement.clone()?;
        Some(Engaged { namespace: Some(name.clone()), engagement, limit: facts.max, most: None })
    });
    let most =
        loads.iter().max_by_key(|(_, load)| load.used + load.ready + load.coming.len()).map(|(name, _)| name.clone());
    let all = total.engagement.clone().zip(facts.max_total).map(|(engagement, limit)| Engaged {
        namespace: None,
        engagement,
        limit,
        most,
    });
    all.into_iter().chain(own).collect()
}

/// The engagements of `after` that are new, and those of `before` that are over.
pub(super) fn changes(
    before: &[(Arc<str>, Engagement)],
    after: &[Engaged],
) -> (Vec<Engaged>, Vec<(Arc<str>, BrakeId)>) {
    let is_same = |(name, before): &(Arc<str>, Engagement), after: &Engaged| {
        *name == named(after.namespace.as_ref()) && before.id.word == after.engagement.id.word
    };
    let is_known = |after: &&Engaged| {
        before.iter().any(|before| is_same(before, after) && before.1.is_now() == after.engagement.is_now())
    };
    let begun = after.iter().filter(|after| !is_known(after)).cloned().collect();
    let is_over = |before: &&(Arc<str>, Engagement)| !after.iter().any(|after| is_same(before, after));
    (begun, before.iter().filter(is_over).map(|(name, before)| (name.clone(), before.id.clone())).collect())
}

fn named(namespace: Option<&Arc<str>>) -> Arc<str> {
    namespace.cloned().unwrap_or_default()
}
