//! What people write into the fields that restrain the operator: modes, policies, times, holds and verifications.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The longest interval that they write.
pub const LONGEST_INTERVAL: u64 = 15 * 60_000;
/// Nobody waits for a time that is further away than this.
pub const FAR: SignedDuration = SignedDuration::from_hours(24);

/// An instant, in whole seconds: `seconds` from now.
fn from_now(now: Timestamp, seconds: i64) -> Value {
    let at = Timestamp::from_second(now.as_second() + seconds).unwrap();
    json!(at.to_string())
}

/// A time that has passed, that comes soon, or that is far away.
fn some_time(rng: &mut Rng, now: Timestamp) -> Value {
    let seconds = match rng.u8(..4) {
        0 => -rng.i64(1..90_000),
        1 | 2 => rng.i64(1..400),
        _ => rng.i64(2 * 86_400..9 * 86_400),
    };
    from_now(now, seconds)
}

/// What somebody who creates an object writes besides its target.
pub fn at_creation(rng: &mut Rng, now: Timestamp, spec: &mut Value) {
    if rng.u8(..9) == 0 {
        spec["mode"] = json!("Observe");
    }
    if rng.u8(..8) == 0 {
        continuous(rng, spec);
    }
    match rng.u8(..16) {
        0 => other_times(rng, now, spec),
        // From the past of a cluster that was built again.
        1 => spec["notAfter"] = from_now(now, -rng.i64(1..90_000)),
        2 => spec["notAfter"] = from_now(now, rng.i64(1..120)),
        _ => {}
    }
    if rng.u8(..14) == 0 {
        spec["hold"] = some_hold(rng, now);
    }
    if rng.u8(..10) == 0 {
        other_verification(rng, spec);
    }
}

fn continuous(rng: &mut Rng, spec: &mut Value) {
    spec["policy"] = json!("Continuous");
    let intervals = ["5m", "6m30s", "10m", "0h15m"];
    spec["interval"] = json!(intervals[rng.usize(..intervals.len())]);
}

pub fn other_policy(rng: &mut Rng, spec: &mut Value) {
    if spec["policy"] == "Continuous" && rng.bool() {
        spec["policy"] = json!("Once");
        spec.as_object_mut().unwrap().remove("interval");
    } else {
        continuous(rng, spec);
    }
}

pub fn other_mode(spec: &mut Value) {
    let other = if spec["mode"] == "Observe" { "Remove" } else { "Observe" };
    spec["mode"] = json!(other);
}

pub fn other_verification(rng: &mut Rng, spec: &mut Value) {
    match rng.u8(..3) {
        0 => drop(spec.as_object_mut().unwrap().remove("verification")),
        1 => spec["verification"] = json!("After"),
        _ => spec["verification"] = json!("BeforeAndAfter"),
    }
}

/// `notBefore` and `notAfter`, each of them perhaps; not always in the right order.
pub fn other_times(rng: &mut Rng, now: Timestamp, spec: &mut Value) {
    for field in ["notBefore", "notAfter"] {
        match rng.u8(..3) {
            0 => drop(spec.as_object_mut().unwrap().remove(field)),
            1 => spec[field] = some_time(rng, now),
            _ => {}
        }
    }
}

/// It ends within 20 minutes, or has ended.
fn some_hold(rng: &mut Rng, now: Timestamp) -> Value {
    json!({ "until": from_now(now, rng.i64(-30..1200)), "reason": "handover" })
}

pub fn other_hold(rng: &mut Rng, now: Timestamp, spec: &mut Value) {
    if rng.u8(..4) == 0 {
        spec.as_object_mut().unwrap().remove("hold");
    } else {
        spec["hold"] = some_hold(rng, now);
    }
}
