//! What keeps the operator from removing anything for an object, as the specs of the object and of its tenant say it.
//! Written from docs/design.md, without looking at the operator.

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::{Key, Object, State, acts_for, tenant_of};
use crate::versions::Version;

/// An instant in a spec.
fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

pub fn not_before(object: &Object) -> Option<Timestamp> {
    instant(&object.spec["notBefore"])
}

pub fn not_after(object: &Object) -> Option<Timestamp> {
    instant(&object.spec["notAfter"])
}

/// Until when the object or its tenant is on hold, if it ever was.
pub fn on_hold_until(state: &State, key: &Key, object: &Object) -> Option<Timestamp> {
    let of_tenant = tenant_of(state, key, object).and_then(|tenant| instant(&tenant.spec["hold"]["until"]));
    instant(&object.spec["hold"]["until"]).max(of_tenant)
}

fn observes(object: &Object) -> bool {
    object.spec["mode"] == "Observe"
}

/// Whether the object may only be looked at.
pub fn is_observed(state: &State, key: &Key, object: &Object) -> bool {
    observes(object) || tenant_of(state, key, object).is_some_and(observes)
}

/// Whether the object is looked at again and again.
pub fn is_continuous(object: &Object) -> bool {
    object.spec["policy"] == "Continuous"
}

/// Whether its status says that it never acts.
pub fn never_acts(object: &Object) -> bool {
    object.has_ended || matches!(object.ready(), Some((_, "Expired" | "NotReplayed")))
}

/// Why nothing at all may be sent for the object at this time, if anything keeps it from that.
fn stopped(state: &State, key: &Key, object: &Object, version: Version, wall: Timestamp) -> Option<&'static str> {
    if acts_for(state, key, object, version).is_none() {
        return Some("suspended, held or gone");
    }
    on_hold_until(state, key, object).is_some_and(|until| until > wall).then_some("on hold")
}

/// Why no DELETE may be sent for the object at this time, if anything keeps it from that.
fn restrained(state: &State, key: &Key, object: &Object, version: Version, wall: Timestamp) -> Option<&'static str> {
    let rules = [
        (is_observed(state, key, object), "only observed"),
        (not_before(object).is_some_and(|at| at > wall), "before its notBefore"),
        (not_after(object).is_some_and(|at| at < wall), "after its notAfter"),
        (never_acts(object), "never to be acted on"),
    ];
    let rule = rules.into_iter().find(|(applies, _)| *applies).map(|(_, why)| why);
    stopped(state, key, object, version, wall).or(rule)
}

/// Why no call of this kind may be sent for the object at this time, if anything keeps it from that.
pub fn forbidden(
    (state, key, object): (&State, &Key, &Object),
    is_delete: bool,
    version: Version,
    wall: Timestamp,
) -> Option<&'static str> {
    let rule = if is_delete { restrained } else { stopped };
    rule(state, key, object, version, wall)
}

/// The tenant on which a process of this version may send a DELETE for the object at this time.
pub fn removes_for<'a>(
    state: &'a State,
    key: &Key,
    object: &Object,
    version: Version,
    wall: Timestamp,
) -> Option<&'a Object> {
    let tenant = acts_for(state, key, object, version)?;
    restrained(state, key, object, version, wall).is_none().then_some(tenant)
}

/// Whether the API server refuses to replace this object's spec by another one, as the rules of the CRDs say.
pub fn is_refused(object: &Object, spec: &Value) -> bool {
    let changes = |field: &str| object.spec.get(field) != spec.get(field);
    let is_ended = matches!(object.ready(), Some((_, "Expired" | "NotReplayed")));
    let is_removed = !object.status["lastRemovalTime"].is_null() || object.status["finished"]["mode"] == "Remove";
    let is_fixed = is_ended || (is_removed && spec["policy"] != "Continuous");
    let has = |field: &str| spec.get(field).is_some();
    let times = (instant(&spec["notBefore"]), instant(&spec["notAfter"]));
    let is_out_of_order = matches!(times, (Some(begin), Some(end)) if end < begin);
    let is_idle_interval = has("interval") && spec["policy"] != "Continuous";
    (is_fixed && (changes("notBefore") || changes("notAfter"))) || is_out_of_order || is_idle_interval
}

/// Whether nothing is left to do for an object of policy Once, so that it causes no call.
pub fn is_finished(state: &State, key: &Key, object: &Object) -> bool {
    let is_current = object.status["observedGeneration"].as_i64() == Some(object.generation);
    // `Ready=True` of another version, without `finished`, counts only for its generation.
    let counts = match object.status["finished"]["mode"].as_str() {
        None => is_current,
        Some("Observe") => is_observed(state, key, object),
        Some(_) => true,
    };
    let is_ready = matches!(object.ready(), Some(("True", _)));
    let answered = object.status["lastHandledReconcileAt"].as_str() == object.asked.as_deref();
    is_ready && counts && answered && object.is_finished_here() && !is_continuous(object)
}
