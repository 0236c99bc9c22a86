//! Two versions of the operator. The newer one is the same program, but this version does not know some of the reasons
//! that it writes, nor one field of its specs and one of its statuses: between it and the API server the reasons get
//! other names, and the field of the spec goes.

use rescind::api::Reason;
use serde_json::{Value, json};

const NEXT: &str = "Next";
/// The field of a removal's spec that only the newer version knows, and acts on.
pub const NEXT_FIELD: &str = "fromNext";

/// A field of a removal's spec that neither version knows.
pub const UNKNOWN_FIELD: &str = "fromTheFuture";

/// Which version a process is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Version {
    /// The reasons that only the newer version knows, as bits in the order of [`Reason::ALL`]; none: this version.
    new_reasons: u64,
}

impl Version {
    pub const THIS: Self = Self { new_reasons: 0 };

    /// Both know `Expired`, because the rules of the CRDs name it.
    pub fn newer(new_reasons: u64) -> Self {
        let known = Reason::ALL.iter().position(|reason| *reason == Reason::Expired);
        Self { new_reasons: new_reasons & !known.map_or(0, |at| 1 << at) }
    }

    pub const fn is_newer(self) -> bool {
        self.new_reasons != 0
    }

    /// Whether it knows all reasons in this status.
    pub fn knows(self, status: &Value) -> bool {
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        self.is_newer() || !conditions.any(|condition| condition["reason"].as_str().is_some_and(|of| of != meant(of)))
    }

    /// Adds the field that only the newer version writes.
    pub fn completed(self, mut status: Value) -> Value {
        if self.is_newer() {
            status["fromNext"] = json!(true);
        }
        status
    }

    /// A status of this version as it is stored.
    pub fn written(self, status: &Value) -> Value {
        let mut status = status.clone();
        let at = |reason: &str| Reason::ALL.iter().position(|known| known.as_str() == reason);
        let is_new = |reason: &str| at(reason).is_some_and(|at| self.new_reasons >> at & 1 == 1);
        rename(&mut status, |reason| is_new(reason).then(|| format!("{NEXT}{reason}")));
        status
    }

    /// An object as this version understands it.
    pub fn read(self, mut object: Value) -> Value {
        if let Some(status) = object.get_mut("status").filter(|_| self.is_newer()) {
            rename(status, |reason| Some(meant(reason).to_owned()));
        }
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut).filter(|_| self.is_newer()) {
            spec.remove(NEXT_FIELD);
        }
        object
    }
}

/// The reason that the newer version means.
pub fn meant(reason: &str) -> &str {
    reason.strip_prefix(NEXT).unwrap_or(reason)
}

fn rename(status: &mut Value, name: impl Fn(&str) -> Option<String>) {
    for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(other) = condition["reason"].as_str().and_then(&name) {
            condition["reason"] = json!(other);
        }
    }
}
