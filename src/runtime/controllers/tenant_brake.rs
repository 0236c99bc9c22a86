//! The brake of a tenant: counts what its objects want to have removed, decides, and writes the record of it into the
//! status of the tenant before anything is sent (`tenant/brake`).

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{info, warn};

use crate::api::{Auth0TenantStatus, BrakeId, Reason};
use crate::auth0::Domain;
use crate::revocation::{ReasonChange, StatusTarget, Stored, Written, write_status};
use crate::telemetry::events;
use crate::tenant::{BrakeFacts, BrakePlan, Engaged, TenantKey};

use super::braking::{Braking, Wrote};
use super::tenants::{TenantController, TenantQueues, TenantResource};

/// While a brake is engaged, or will be, what the objects want is counted this often: they may be deleted, or the window
/// may have passed.
const ENGAGED_RESYNC: Duration = Duration::from_secs(10);
/// How long the first count waits for the lists of all kinds.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
const LIST_RETRY: Duration = Duration::from_millis(100);
/// How the audit names all namespaces together.
const ALL: &str = "*";

/// Queues the tenants whose brake has to be decided upon. Runs as long as the brakes.
pub(crate) async fn follow_brakes(queues: &TenantQueues, mut asked: UnboundedReceiver<TenantKey>) {
    while let Some(key) = asked.recv().await {
        queues.add(&key);
    }
    std::future::pending::<()>().await;
}

impl TenantController {
    /// Counts what the objects of the tenant want to have removed, and decides. Its objects are woken if the brake
    /// engages.
    pub(super) fn decide_brake<K: TenantResource>(&self, key: &TenantKey, tenant: &K, now: Timestamp) -> Braking {
        let brakes = self.tenants.brakes();
        let later = |after| {
            let known = Braking::undecided(brakes, key, tenant.status());
            let organizations = brakes.organizations(key);
            Braking { again: Some(after), engaged: brakes.engaged(key), organizations, ..known }
        };
        if !self.dependents.is_listed() && self.begun.elapsed() < LIST_TIMEOUT {
            return later(LIST_RETRY);
        }
        let after = brakes.count_after(key);
        if !after.is_zero() {
            return later(after);
        }
        let (brake, total) = tenant.brake();
        let spec = tenant.tenant_spec();
        let size = |number: i32| usize::try_from(number).unwrap_or(0);
        let items_a_call = self.kinds.iter().map(|(_, row)| row.max_items).max().unwrap_or(1);
        let facts = BrakeFacts {
            generation: tenant.meta().generation.unwrap_or_default(),
            max: size(brake.max_removals),
            max_total: total.map(size),
            window: brake.window.duration().unwrap_or(Duration::MAX),
            per_minute: size(spec.rate_limit.max_requests_per_second) * 60 * items_a_call,
            releases: BrakeId::released_by(tenant.meta()),
            demand: self.dependents.demand(&self.tenants, (key, tenant), now),
            groups: self.tenants.group_rules(tenant),
            // With the port 443 or without it, it is the same domain.
            domain: spec.domain.parse().map_or_else(|_| spec.domain.clone(), |domain: Domain| domain.to_string()),
        };
        self.adopt_foreign(key, tenant, facts.window);
        let before = brakes.shut(key);
        match brakes.decide(key, &facts, tenant.status().and_then(|status| status.brake.as_ref())) {
            Err(after) => later(after),
            Ok(plan) => {
                self.announce_brake(key, tenant, plan.begun(false));
                if brakes.shut(key) != before || plan.groups_changed {
                    self.dependents.wake(key);
                }
                let is_engaged = !plan.engaged.is_empty() || brakes.is_restraining(key);
                let again = is_engaged.then_some(ENGAGED_RESYNC);
                let (record, engaged) = (plan.record.clone(), plan.engaged.clone());
                Braking { record, engaged, organizations: plan.organizations.clone(), plan: Some(plan), again }
            }
        }
    }

    /// Logs what engages and what is over, and makes an event of an engagement.
    fn announce_brake<'a, K: TenantResource>(
        &self,
        key: &TenantKey,
        tenant: &K,
        begun: impl Iterator<Item = &'a Engaged>,
    ) {
        let meta = tenant.meta();
        let (kind, tenant_namespace, name) = (K::kind(&()), meta.namespace.as_deref(), meta.name.as_deref());
        for Engaged { namespace, engagement, limit, .. } in begun {
            let (namespace, id) = (namespace.as_deref(), engagement.id.to_string());
            let begins_at = engagement.begins_at.map(|at| at.to_string());
            warn!(%kind, tenant_namespace, name, namespace, id, limit, begins_at, "the brake is engaged, or will be");
            let (object, reason) = (tenant.object_ref(&()), Reason::BrakeEngaged);
            let count = engagement.id.count;
            let message = format!("{count} items would be removed, more than the {limit} that spec.brake allows.");
            if engagement.is_now() {
                let (count, limit) = (count_of(count), count_of(*limit));
                self.audit.brake_engaged(key, namespace.unwrap_or(ALL), &id, count, limit);
                let change = ReasonChange { object, reason, message, verdict_after: None, proof: None };
                events::announce(&self.announce, change);
            }
        }
    }

    /// Writes an audit line for each engagement that was released, once that is written.
    fn audit_releases<K: TenantResource>(&self, key: &TenantKey, tenant: &K, plan: &BrakePlan) {
        let (releases, (brake, total)) = (BrakeId::released_by(tenant.meta()), tenant.brake());
        for (namespace, id) in &plan.ended {
            let limit = if namespace.is_empty() { total.unwrap_or(i32::MAX) } else { brake.max_removals };
            let limit = u64::try_from(limit).unwrap_or(0);
            let namespace = if namespace.is_empty() { ALL } else { namespace };
            if let Some(release) = releases.iter().find(|release| release.word == id.word) {
                let count = count_of(release.count.min(id.count));
                self.audit.brake_released(key, namespace, &release.to_string(), count, limit);
            } else {
                info!(tenant = %key, namespace, %id, "the brake is not engaged any more");
            }
        }
    }

    /// Takes over what another process has written since this one wrote last.
    fn adopt_foreign<K: TenantResource>(&self, key: &TenantKey, tenant: &K, window: Duration) {
        let brakes = self.tenants.brakes();
        let stored = tenant.status().and_then(|status| status.brake.as_ref());
        let version = tenant.meta().resource_version.as_deref().and_then(|version| version.parse().ok());
        if brakes.is_foreign(key, stored, version) {
            brakes.adopt(key, stored, window, version);
        }
    }

    /// Writes the status, with the version of the object that it was made from if the brake has to be sure of that.
    pub(super) async fn write<K: TenantResource>(
        &self,
        key: &TenantKey,
        tenant: &K,
        generation: i64,
        status: &Auth0TenantStatus,
        brake: &Braking,
    ) -> Result<Wrote, kube::Error> {
        if tenant.loses_by_writes() {
            return Ok(Wrote::Status);
        }
        let uid = tenant.meta().uid.as_deref().unwrap_or_default();
        let target = StatusTarget { namespace: key.namespace.as_deref(), name: &key.name, uid, generation };
        let version = tenant.meta().resource_version.clone().unwrap_or_default();
        let stored = Stored { version, status: tenant.status().cloned().unwrap_or_default() };
        let brakes = self.tenants.brakes();
        let own = brakes.record(key).unwrap_or_else(|| stored.status.brake.clone());
        let is_foreign = |theirs: &Auth0TenantStatus| theirs.brake != own;
        let written = write_status::<K>(&self.client, target, Some(&stored), status, is_foreign).await;
        if let (Err(_) | Ok(Written::Superseded(_)), Some(plan)) = (&written, &brake.plan) {
            brakes.not_written(key, plan);
        }
        let (version, wrote) = match written? {
            Written::Written(now) => {
                let version = now.version.parse().ok();
                self.mutations.insert(uid, now, self.cached_version(key).as_deref());
                (version, Wrote::Status)
            }
            Written::Unchanged => (None, Wrote::Nothing),
            Written::Gone | Written::Successor | Written::Edited => return Ok(Wrote::Nothing),
            Written::Superseded(theirs) => {
                let window = tenant.brake().0.window.duration().unwrap_or(Duration::MAX);
                brakes.adopt(key, theirs.status.brake.as_ref(), window, theirs.version.parse().ok());
                self.mutations.insert(uid, theirs, self.cached_version(key).as_deref());
                return Ok(Wrote::ButAnotherLeads);
            }
        };
        if let Some(plan) = brake.plan.as_ref().filter(|plan| !plan.ended.is_empty()) {
            self.audit_releases(key, tenant, plan);
            self.announce_brake(key, tenant, plan.begun(true));
        }
        let before = brakes.shut(key);
        brakes.written(key, brake.plan.as_ref(), version);
        if brakes.shut(key) != before {
            self.dependents.wake(key);
        }
        Ok(wrote)
    }

    fn cached_version(&self, key: &TenantKey) -> Option<String> {
        self.tenants.get(key)?.metadata().resource_version.clone()
    }
}

fn count_of(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
