//! The one reconcile of all removal kinds: gathers the facts, decides, acts. It never waits for Auth0.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use thiserror::Error;
use tracing::info;

use crate::api::{ConditionType, FIELD_MANAGER, RECONCILE_ANNOTATION, Reason, RemovalStatus, State, printable};
use crate::auth0::CallError;
use crate::dispatch::{End, Job, LaneView, Lanes, Owner};
use crate::tenant::{TenantKey, TenantState, Tenants};

use super::Revocation;
use super::decide::{Decision, Facts, decide};
use super::mutation_cache::Written;
use super::outcome::Outcome;

/// Shortest pause before coming back: a pause of zero would never end (reliability.md E15).
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// What every reconcile of one kind needs.
pub struct Context<K: Revocation> {
    /// The cluster.
    pub client: Client,
    /// This kind's cache.
    pub store: Store<K>,
    /// What all kinds share.
    pub shared: Arc<Shared>,
}

/// What all kinds share.
pub struct Shared {
    /// The way to Auth0.
    pub lanes: Arc<Lanes>,
    /// The connections.
    pub tenants: Arc<Tenants>,
    /// Where news go.
    pub announce: Box<dyn Fn(Announce) + Send + Sync>,
    /// Called when Auth0 refused a tenant's credential.
    pub refused: Box<dyn Fn(&TenantKey) + Send + Sync>,
    /// Writes the caches do not show yet.
    pub written: Written,
    /// The credential that was refused, by the uid of the object it was refused for.
    pub refused_tokens: Mutex<HashMap<String, u64>>,
}

/// A change of reason, for an event.
#[derive(Clone, Debug)]
pub struct Announce {
    /// Of which object.
    pub object: ObjectReference,
    /// The new reason.
    pub reason: Reason,
    /// In words.
    pub message: String,
    /// If a read has now proved a removal: how long after Auth0 accepted it.
    pub proved_after: Option<Duration>,
}

/// Why a reconcile did not finish. Nothing was lost: the report stays in the lane.
#[derive(Debug, Error)]
pub enum Error {
    /// The status could not be written: try again.
    #[error("cannot write the status: {0}")]
    Write(#[source] Box<kube::Error>),
    /// Something took longer than a reconcile may: try again.
    #[error("gave up after {0:?}")]
    TimedOut(Duration),
    /// A bug; only this object is held up.
    #[error("panicked")]
    Panicked,
}

/// Brings one object a step further.
pub async fn reconcile<K: Revocation>(object: Arc<K>, context: Arc<Context<K>>) -> Result<Action, Error> {
    let Some(owner) = owner(&*object) else { return Ok(Action::await_change()) };
    let shared = &context.shared;
    let ahead = shared.written.ahead_of_cache(&owner.uid);
    let old = ahead.as_deref().or_else(|| object.status());
    let key = Tenants::key(&owner.namespace, &object.options().tenant_ref);
    let tenant = shared.tenants.state(&key);
    let lane = shared.lanes.view(&owner.uid);
    let removal = object.removal();
    let facts = Facts {
        generation: owner.generation,
        removal: &removal,
        options: object.options(),
        status: old,
        tenant: &tenant,
        lane: &lane,
        credential_changed: credential_changed(shared, &owner.uid, &tenant),
        asked: unanswered(&*object, old).is_some(),
        now: Timestamp::now(),
        jitter: fastrand::f64(),
    };
    match decide(&facts) {
        Decision::Rest => {
            if matches!(lane, LaneView::Done { .. }) {
                shared.lanes.forget(&owner.uid);
            }
            Ok(Action::await_change())
        }
        Decision::Wait(pause) => {
            if matches!(lane, LaneView::Dropped { .. }) {
                shared.lanes.forget(&owner.uid);
            }
            Ok(Action::requeue(pause.max(SHORTEST_PAUSE)))
        }
        Decision::Answer(pause) => {
            if matches!(lane, LaneView::Done { .. }) {
                shared.lanes.forget(&owner.uid);
            }
            let mut status = ours(old);
            status.last_handled_reconcile_at = unanswered(&*object, old);
            put(&context, &owner, status).await?;
            Ok(pause.map_or_else(Action::await_change, |pause| Action::requeue(pause.max(SHORTEST_PAUSE))))
        }
        Decision::Submit { task, not_before } => {
            if let TenantState::Ready { domain, connection, .. } = &tenant {
                if let Some(wait) = not_before.and_then(|at| Duration::try_from(at.duration_since(facts.now)).ok()) {
                    shared.lanes.hold(domain, wait);
                }
                shared.lanes.forget(&owner.uid);
                shared.lanes.submit(domain, connection, Job { owner, removal, task });
            }
            Ok(Action::await_change())
        }
        Decision::Show(outcome) => write(&context, &*object, &owner, old, &outcome).await,
        Decision::Hold(outcome) => {
            let action = write(&context, &*object, &owner, old, &outcome).await?;
            shared.lanes.forget(&owner.uid);
            Ok(action)
        }
        Decision::Conclude(outcome) => {
            remember_refusal(shared, &owner.uid, &key, &outcome, &lane);
            let action = write(&context, &*object, &owner, old, &outcome).await?;
            // Only now: a report is kept until it is written.
            shared.lanes.forget(&owner.uid);
            Ok(action)
        }
    }
}

fn owner<K: Revocation>(object: &K) -> Option<Owner> {
    let meta = object.meta();
    if meta.deletion_timestamp.is_some() {
        return None;
    }
    Some(Owner {
        kind: K::KIND,
        namespace: meta.namespace.as_deref()?.into(),
        name: meta.name.as_deref()?.into(),
        uid: meta.uid.as_deref()?.into(),
        generation: meta.generation?,
    })
}

/// Whether the tenant's credential is another than the one refused for this object. After a restart nobody knows: then
/// it is tried once.
fn credential_changed(shared: &Shared, uid: &str, tenant: &TenantState) -> bool {
    let TenantState::Ready { connection, .. } = tenant else { return false };
    let refused = shared.refused_tokens.lock().unwrap_or_else(PoisonError::into_inner);
    refused.get(uid) != Some(&connection.token.fingerprint())
}

fn remember_refusal(shared: &Shared, uid: &str, key: &TenantKey, outcome: &Outcome, lane: &LaneView) {
    let LaneView::Done { report, .. } = lane else { return };
    let mut refused = shared.refused_tokens.lock().unwrap_or_else(PoisonError::into_inner);
    let (Reason::Unauthorized | Reason::InsufficientScope, Some(token)) = (outcome.reason, report.token) else {
        refused.remove(uid);
        return;
    };
    refused.insert(uid.to_owned(), token);
    // A scope or a plan is this object's affair; a refused token is everybody's.
    let everybodys = matches!(report.end, End::Failed(CallError::Unauthorized(_)));
    if everybodys && shared.tenants.refuse(key, token, outcome.message.clone()) {
        (shared.refused)(key);
    }
}

/// Writes the status if it changed, and says when to come back.
async fn write<K: Revocation>(
    context: &Context<K>,
    object: &K,
    owner: &Owner,
    old: Option<&RemovalStatus>,
    outcome: &Outcome,
) -> Result<Action, Error> {
    let now = Timestamp::now();
    let mut status = outcome.status(old, owner.generation, now);
    // Whatever is written answers what was asked.
    status.last_handled_reconcile_at = unanswered(object, old).or(status.last_handled_reconcile_at);
    if !old.is_some_and(|old| is_same(old, &status)) {
        let reason_before = old.and_then(|old| old.condition(ConditionType::Ready)).map(|c| c.reason.clone());
        let correlation = status.correlation_id.clone();
        put(context, owner, status).await?;
        if reason_before.as_deref() != Some(outcome.reason.as_str()) {
            let proved_after = outcome.proved_after(old, now);
            announce(&context.shared, object, owner, outcome, correlation.as_deref(), proved_after);
        }
    }
    Ok(match outcome.next_attempt {
        Some(at) => {
            let pause = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            Action::requeue(pause.max(SHORTEST_PAUSE))
        }
        None => Action::await_change(),
    })
}

/// Server-side apply on `/status`, bound to the uid: a successor of the same name is never written to.
async fn put<K: Revocation>(context: &Context<K>, owner: &Owner, status: RemovalStatus) -> Result<(), Error> {
    let api: Api<K> = Api::namespaced(context.client.clone(), &owner.namespace);
    let patch = Patch::Apply(json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "name": &*owner.name, "namespace": &*owner.namespace, "uid": &*owner.uid },
        "status": &status,
    }));
    let written = api.patch_status(&owner.name, &PatchParams::apply(FIELD_MANAGER).force(), &patch).await;
    let cached = context.store.get(&ObjectRef::new(&owner.name).within(&owner.namespace));
    match written {
        Ok(written) => {
            let cached = cached.and_then(|object| object.resource_version());
            let version = written.resource_version();
            context.shared.written.insert(&owner.uid, version.as_deref(), status, cached.as_deref());
            Ok(())
        }
        // Deleted: there is nobody to tell any more.
        Err(kube::Error::Api(response)) if response.is_not_found() => Ok(()),
        // Re-created under the same name. But the API server also answers so when too many write at once.
        Err(kube::Error::Api(response))
            if response.is_conflict() && cached.and_then(|object| object.uid()).as_deref() != Some(&*owner.uid) =>
        {
            Ok(())
        }
        Err(error) => Err(Error::Write(Box::new(error))),
    }
}

/// Whether writing `new` over `old` would change nothing of ours.
fn is_same(old: &RemovalStatus, new: &RemovalStatus) -> bool {
    ours(Some(old)) == ours(Some(new))
}

/// A status without the conditions of others, in a fixed order.
fn ours(status: Option<&RemovalStatus>) -> RemovalStatus {
    let mut status = status.cloned().unwrap_or_default();
    status.conditions.retain(|c| ConditionType::ALL.iter().any(|kind| kind.as_str() == c.type_));
    status.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    status
}

/// What the annotation asks and the status does not answer, fit for a status.
fn unanswered<K: Revocation>(object: &K, status: Option<&RemovalStatus>) -> Option<String> {
    let asked = object.annotations().get(RECONCILE_ANNOTATION).map(|asked| printable(asked));
    let answered = status.and_then(|status| status.last_handled_reconcile_at.as_deref());
    asked.filter(|asked| !asked.is_empty() && Some(asked.as_str()) != answered)
}

fn announce<K: Revocation>(
    shared: &Shared,
    object: &K,
    owner: &Owner,
    outcome: &Outcome,
    correlation: Option<&str>,
    proved_after: Option<Duration>,
) {
    let Owner { kind, namespace, name, uid, generation } = owner;
    let reason = outcome.reason.as_str();
    let stalled = outcome.reason.state() == State::Stalled;
    info!(kind, %namespace, %name, %uid, generation, correlation, reason, stalled, "{}", outcome.message);
    let (object, message) = (object.object_ref(&()), outcome.message.clone());
    let news = Announce { object, reason: outcome.reason, message, proved_after };
    (shared.announce)(news);
}
