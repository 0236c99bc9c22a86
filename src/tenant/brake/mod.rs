//! The brake: it stops an unintended mass removal before it begins. It counts the items that the objects of a namespace
//! want to have removed and those that were removed within a window; if there are too many, nothing more is sent for
//! that namespace until the owner of the tenant releases it. Other namespaces go on.
//!
//! `counts` are those of one namespace, `engagement` says when the limit is exceeded, `groups` guards the members of an
//! organization and the last holders of a role, `ledger` holds all of one tenant object, `plan` what it decides, and
//! `record` what its status says of it; they are pure. [`Brakes`] holds the tenants of this process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::api::BrakeStatus;
use crate::clock;
use crate::dispatch::Refusal;
use crate::sync::lock;

use super::key::TenantKey;

mod counts;
mod engagement;
mod groups;
mod item_id;
mod ledger;
mod plan;
mod record;

use counts::{Counts, Draw};
use ledger::TenantBrake;

pub use counts::Demand;
pub(super) use groups::HOLDERS_TTL;
pub use groups::{GroupRefusal, GroupRules, share_limit};
pub use item_id::{Group, ItemId};
pub use plan::{Engaged, Facts, Plan};

/// What objects want is counted again at most this often, unless an allotment is asked for.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Objects that are applied together arrive one after another. If there are already many, an allotment waits until none
/// came for this long, and at most for [`MAX_GATHERING`].
const GATHERING: Duration = Duration::from_millis(300);
const MAX_GATHERING: Duration = Duration::from_millis(1500);
/// As many are a tenth of the limit.
const MANY: usize = 10;
/// The longest window that the schema allows.
const MAX_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// The brakes of all tenants.
pub struct Brakes {
    tenants: Mutex<BTreeMap<TenantKey, Entry>>,
    /// Notified when an allotment was made or a brake engaged.
    decided: Notify,
    ask: UnboundedSender<TenantKey>,
    asked: Mutex<Option<UnboundedReceiver<TenantKey>>>,
}

#[derive(Default)]
struct Entry {
    brake: TenantBrake,
    /// The tenant is queued, to be decided upon.
    is_asked: bool,
    /// When an object last came or was edited, and when the objects were last counted.
    changed_at: Option<Instant>,
    counted_at: Option<Instant>,
    /// Since when an allotment is asked for.
    wanted_since: Option<Instant>,
    /// The version of the tenant object that this process wrote or took over last.
    version: Option<u64>,
    /// The generation of the tenant object for which this process decided last. Before that its rules are not known.
    decided_for: Option<i64>,
    /// What was decided last.
    engaged: Vec<Engaged>,
    organizations: Vec<(Arc<str>, Arc<str>)>,
    domain: String,
}

impl Default for Brakes {
    fn default() -> Self {
        let (ask, asked) = unbounded_channel();
        Self { tenants: Mutex::default(), decided: Notify::new(), ask, asked: Mutex::new(Some(asked)) }
    }
}

impl Brakes {
    /// Yields the tenants whose brake has to be decided upon. There is one receiver.
    pub fn asked(&self) -> Option<UnboundedReceiver<TenantKey>> {
        lock(&self.asked).take()
    }

    fn ask(&self, key: &TenantKey, entry: &mut Entry) {
        if !std::mem::replace(&mut entry.is_asked, true) {
            // The receiver is dropped only while the operator shuts down.
            let _ = self.ask.send(key.clone());
        }
    }

    /// An object that uses this tenant is new, or was edited.
    pub fn object_changed(&self, key: &TenantKey) {
        let mut tenants = lock(&self.tenants);
        let entry = tenants.entry(key.clone()).or_default();
        entry.changed_at = Some(clock::steady());
        self.ask(key, entry);
    }

    /// Takes note that an object's items were sent that long ago, as its status says.
    pub fn absorb(&self, key: &TenantKey, namespace: &str, age: Duration, items: impl FnOnce() -> Vec<ItemId>) {
        let Some(at) = clock::steady().checked_sub(age).filter(|_| age < MAX_WINDOW) else { return };
        let mut tenants = lock(&self.tenants);
        let brake = &mut tenants.entry(key.clone()).or_default().brake;
        brake.counts_of(&namespace.into(), clock::steady()).absorb(&items(), at);
    }

    /// Whether the brake keeps these items from being sent, and whether a guard of their group does.
    pub fn refuses(
        &self,
        key: &TenantKey,
        namespace: &str,
        items: impl FnOnce() -> Vec<ItemId>,
    ) -> (bool, Option<GroupRefusal>) {
        let (tenants, now) = (lock(&self.tenants), clock::steady());
        let Some(entry) = tenants.get(key).filter(|entry| entry.brake.is_restraining()) else { return (false, None) };
        let items = items();
        (entry.brake.refuses(namespace, &items, now), entry.brake.group_refusal(namespace, &items, now))
    }

    /// Takes note of how many members an organization has; none: that cannot be known.
    pub fn know_length(&self, key: &TenantKey, organization: &str, length: Option<usize>, learned_at: Instant) {
        let mut tenants = lock(&self.tenants);
        let brake = &mut tenants.entry(key.clone()).or_default().brake;
        brake.know_length(Group::of_organization(organization), length, learned_at, clock::steady());
    }

    /// Takes note of who holds a role in the whole Auth0 tenant; none: that cannot be known.
    pub fn know_holders(&self, key: &TenantKey, role: &Arc<str>, users: Option<&[Arc<str>]>, read_at: Instant) {
        let holders = users.map(|users| users.iter().map(|user| ItemId::of_holder(user, role)).collect());
        let mut tenants = lock(&self.tenants);
        let brake = &mut tenants.entry(key.clone()).or_default().brake;
        brake.groups.know_holders(Group::of_role(role), holders, read_at);
    }

    /// These items are sent now. Returns false if they may not be, because they were not drawn from an allotment.
    pub fn send(&self, key: &TenantKey, namespace: &str, items: &[ItemId]) -> bool {
        let mut tenants = lock(&self.tenants);
        tenants.get_mut(key).is_some_and(|entry| entry.brake.send(namespace, items, clock::steady()))
    }

    /// Draws these items from the allotment of this generation of the tenant, and waits for one if there is none. The
    /// caller bounds the time.
    pub async fn draw(
        &self,
        key: &TenantKey,
        namespace: &Arc<str>,
        items: &[ItemId],
        generation: i64,
    ) -> Result<(), Refusal> {
        loop {
            let decided = self.decided.notified();
            tokio::pin!(decided);
            // Registered before the question, so that a decision in between is not missed.
            decided.as_mut().enable();
            match self.try_draw(key, namespace, items, generation) {
                Draw::Granted => return Ok(()),
                Draw::Refused => return Err(Refusal::Restrained),
                Draw::Wanted => decided.await,
            }
        }
    }

    fn try_draw(&self, key: &TenantKey, namespace: &Arc<str>, items: &[ItemId], generation: i64) -> Draw {
        let now = clock::steady();
        let mut tenants = lock(&self.tenants);
        let entry = tenants.entry(key.clone()).or_default();
        if entry.decided_for.is_none_or(|decided_for| decided_for < generation) {
            entry.brake.counts_of(namespace, now).want(items);
            entry.wanted_since.get_or_insert(now);
            self.ask(key, entry);
            return Draw::Wanted;
        }
        let keeps = items.iter().any(|item| entry.brake.groups.is_kept(item.group));
        let elsewhere = if keeps { roles_elsewhere(&tenants, key) } else { BTreeSet::new() };
        let entry = tenants.entry(key.clone()).or_default();
        let draw = entry.brake.draw(namespace, items, &elsewhere, generation, now);
        match draw {
            Draw::Granted => {}
            Draw::Wanted => {
                entry.wanted_since.get_or_insert(now);
                self.ask(key, entry);
            }
            // What is shut has to be found out, or the object would ask again and again.
            Draw::Refused => self.ask(key, entry),
        }
        draw
    }

    /// After how long to count what the objects want. Zero: now.
    pub fn count_after(&self, key: &TenantKey) -> Duration {
        let now = clock::steady();
        let tenants = lock(&self.tenants);
        let Some(entry) = tenants.get(key).filter(|entry| !entry.brake.is_wanting()) else { return Duration::ZERO };
        let since = |at: Instant| now.saturating_duration_since(at);
        entry.counted_at.map_or(Duration::ZERO, |at| COUNT_EVERY.saturating_sub(since(at)))
    }

    /// Decides upon the brake of a tenant. `stored` is the record in its status. An error says after how long to ask
    /// again.
    pub fn decide(&self, key: &TenantKey, facts: &Facts, stored: Option<&BrakeStatus>) -> Result<Plan, Duration> {
        let (now, wall) = (clock::steady(), clock::wall());
        let mut tenants = lock(&self.tenants);
        tenants.entry(key.clone()).or_default().domain.clone_from(&facts.domain);
        let elsewhere = if facts.groups.keep.is_empty() { BTreeSet::new() } else { roles_elsewhere(&tenants, key) };
        let entry = tenants.entry(key.clone()).or_default();
        let ready: usize = facts.demand.values().map(|demand| demand.ready.len()).sum();
        let is_fresh = |at: Option<Instant>, within| at.is_some_and(|at| now.saturating_duration_since(at) < within);
        if ready > facts.max / MANY
            && is_fresh(entry.changed_at, GATHERING)
            && is_fresh(entry.wanted_since, MAX_GATHERING)
        {
            return Err(GATHERING);
        }
        (entry.is_asked, entry.counted_at, entry.wanted_since) = (false, Some(now), None);
        if !entry.brake.is_adopted() {
            entry.brake.adopt(stored, only_namespace(key).as_ref(), facts.window, now);
        }
        let plan = entry.brake.decide(facts, &elsewhere, wall, &mut || format!("{:04x}", fastrand::u16(..)), now);
        entry.engaged.clone_from(&plan.engaged);
        entry.organizations.clone_from(&plan.organizations);
        let has_new_rules = entry.decided_for.replace(facts.generation) != Some(facts.generation);
        if !plan.begun.is_empty() || plan.groups_changed || has_new_rules {
            self.decided.notify_waiters();
        }
        Ok(plan)
    }

    /// The status of the tenant is written, with the record of `plan` if there is one. `version` is the version of the
    /// object since then; none if nothing had to be sent.
    pub fn written(&self, key: &TenantKey, plan: Option<&Plan>, version: Option<u64>) {
        if let Some(entry) = lock(&self.tenants).get_mut(key) {
            plan.into_iter().for_each(|plan| entry.brake.apply(plan, clock::steady()));
            entry.version = version.or(entry.version);
        }
        self.decided.notify_waiters();
    }

    /// The record of this plan could not be written. What asked for an allotment still waits for it, and is decided upon
    /// with the next reconcile of the tenant.
    pub fn not_written(&self, key: &TenantKey, plan: &Plan) {
        let mut tenants = lock(&self.tenants);
        let Some(entry) = tenants.get_mut(key) else { return };
        for (name, grant) in &plan.namespaces {
            if let Some(counts) = entry.brake.namespaces.get_mut(name) {
                counts.want(&grant.wanted);
            }
        }
    }

    /// Nothing is decided for this tenant, as nothing is sent for it now. It may be queued again.
    pub fn undecided(&self, key: &TenantKey) {
        if let Some(entry) = lock(&self.tenants).get_mut(key) {
            entry.is_asked = false;
        }
    }

    /// Whether another process has written the record in the status since this one did, as far as the cache knows: it
    /// holds this version of the object.
    pub fn is_foreign(&self, key: &TenantKey, stored: Option<&BrakeStatus>, version: Option<u64>) -> bool {
        let tenants = lock(&self.tenants);
        let Some(entry) = tenants.get(key).filter(|entry| entry.brake.is_adopted()) else { return false };
        let is_behind = version.zip(entry.version).is_some_and(|(cached, written)| cached < written);
        !is_behind && entry.brake.record() != stored
    }

    /// The engagements in force: the namespaces, of which an empty name stands for all of them, and their words.
    pub fn shut(&self, key: &TenantKey) -> Vec<(Arc<str>, String)> {
        lock(&self.tenants).get(key).map(|entry| entry.brake.shut()).unwrap_or_default()
    }

    /// Another process has written this record, with this version of the tenant object. A cache that is behind it is
    /// not believed any more.
    pub fn adopt(&self, key: &TenantKey, stored: Option<&BrakeStatus>, window: Duration, version: Option<u64>) {
        let mut tenants = lock(&self.tenants);
        let entry = tenants.entry(key.clone()).or_default();
        entry.version = version.max(entry.version);
        entry.brake.adopt(stored, only_namespace(key).as_ref(), window, clock::steady());
    }

    /// The tenant object is gone. One that is created again under its name has limits of its own.
    pub fn tenant_deleted(&self, key: &TenantKey) {
        if let Some(entry) = lock(&self.tenants).get_mut(key) {
            entry.decided_for = None;
            entry.brake.namespaces.values_mut().for_each(Counts::revoke);
        }
    }

    /// For whom the brake is engaged, or will be, as was decided last.
    pub fn engaged(&self, key: &TenantKey) -> Vec<Engaged> {
        lock(&self.tenants).get(key).map(|entry| entry.engaged.clone()).unwrap_or_default()
    }

    /// Whether anything is kept from being sent.
    pub fn is_restraining(&self, key: &TenantKey) -> bool {
        lock(&self.tenants).get(key).is_some_and(|entry| entry.brake.is_restraining())
    }

    /// The organizations of which a namespace would remove too many members, as was decided last.
    pub fn organizations(&self, key: &TenantKey) -> Vec<(Arc<str>, Arc<str>)> {
        lock(&self.tenants).get(key).map(|entry| entry.organizations.clone()).unwrap_or_default()
    }

    /// The record as this process knows it; none before it decided anything.
    pub fn record(&self, key: &TenantKey) -> Option<Option<BrakeStatus>> {
        let tenants = lock(&self.tenants);
        let brake = &tenants.get(key)?.brake;
        brake.is_adopted().then(|| brake.record().cloned())
    }

    /// Forgets what is older than the windows. `window` gives none for a tenant that does not exist (any more, or as far
    /// as is known yet); one that is created again under its name still counts what was sent within the window.
    pub fn retain(&self, window: impl Fn(&TenantKey) -> Option<Duration>) {
        let now = clock::steady();
        lock(&self.tenants).retain(|key, entry| {
            let (window, is_adopted) = (window(key), entry.brake.is_adopted());
            let of_gone = if is_adopted { entry.brake.window } else { MAX_WINDOW };
            let is_used = entry.brake.expire(window.unwrap_or(of_gone), now);
            is_used || (is_adopted && window.is_some())
        });
    }
}

/// The items of roles that other tenant objects of the same domain have sent, or want to.
fn roles_elsewhere(tenants: &BTreeMap<TenantKey, Entry>, key: &TenantKey) -> BTreeSet<ItemId> {
    let domain = tenants.get(key).map(|entry| &entry.domain);
    let others = tenants.iter().filter(|(other, entry)| *other != key && Some(&entry.domain) == domain);
    others.flat_map(|(_, entry)| entry.brake.roles()).collect()
}

/// The only namespace that can use the tenant, if it is an `Auth0Tenant`.
fn only_namespace(key: &TenantKey) -> Option<Arc<str>> {
    key.namespace.as_deref().map(Arc::from)
}

#[cfg(test)]
mod group_model;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
