//! From the status of an object to where its removal stands. Pure.

use crate::api::{ConditionType, Mode, Reason};
use crate::cli::object::Object;

use super::row::Standing;

/// What a status says of all items of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where it stands.
    pub standing: Standing,
    /// The reason of the condition `Ready`.
    pub reason: String,
    /// Its message.
    pub message: String,
    /// The reason of the condition `Verified`, or why there is no proof.
    pub proof: String,
}

/// The verdict of an object that no operator has looked at.
const NOT_LOOKED_AT: &str = "NotLookedAt";

/// What the status of an object says.
pub fn verdict(object: &Object) -> Verdict {
    let Some(status) = object.status.as_ref().filter(|status| status.is_written()) else {
        let message = "No operator has looked at the object.".to_owned();
        let (reason, proof) = (NOT_LOOKED_AT.to_owned(), String::new());
        return Verdict { standing: Standing::NotDone, reason, message, proof };
    };
    let reason = status.reason_text().unwrap_or(NOT_LOOKED_AT);
    let verified = status.condition(ConditionType::Verified);
    // An object that is checked again stays finished while the check cannot be made.
    let was_removed = status.finished.as_ref().is_some_and(|finished| finished.mode == Mode::Remove);
    let is_removal = !matches!(Reason::parse(reason), Some(Reason::WouldRemove | Reason::NotReplayed));
    let is_done = is_removal && (status.is_ready() || was_removed);
    let is_true = verified.is_some_and(|verified| verified.status == "True");
    let is_proved = is_true || (was_removed && status.verified_time.is_some());
    let standing = match (is_done, is_proved) {
        (true, true) => Standing::Proved,
        (true, false) => Standing::Unproved,
        (false, _) => Standing::NotDone,
    };
    let proof = match verified {
        Some(verified) => verified.reason.as_str(),
        None if is_done && is_proved => "ReadAfter",
        // Nothing can be read of whom Auth0 does not know.
        None if is_done => reason,
        None => "",
    };
    Verdict { standing, reason: reason.to_owned(), message: status.message().to_owned(), proof: proof.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::object::kinds;

    fn of(status: Value) -> Verdict {
        let kind = kinds().into_iter().find(|kind| kind.name == "UserRoleRevocation").unwrap();
        let object = json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": kind.name, "metadata": {"name": "a", "namespace": "b"},
            "spec": {"userId": "auth0|x", "roles": ["rol_bN1a2b3c4d5e6f7g"]}, "status": status,
        });
        verdict(&kind.read_with_defaults(object).unwrap())
    }

    fn condition(kind: &str, status: &str, reason: &str) -> Value {
        let at = "2026-11-21T02:44:00Z";
        json!({"type": kind, "status": status, "reason": reason, "message": "m", "lastTransitionTime": at})
    }

    fn standing(ready: (&str, &str), verified: Option<(&str, &str)>) -> (Standing, String) {
        let mut conditions = vec![condition("Ready", ready.0, ready.1)];
        conditions.extend(verified.map(|(status, reason)| condition("Verified", status, reason)));
        let verdict = of(json!({"observedGeneration": 1, "conditions": conditions}));
        (verdict.standing, verdict.proof)
    }

    #[test]
    fn only_a_read_proves() {
        let proved = standing(("True", "Removed"), Some(("True", "ReadAfter")));
        assert_eq!(proved, (Standing::Proved, "ReadAfter".to_owned()));
        let never = standing(("True", "RemovedUnverified"), Some(("False", "VerificationNever")));
        assert_eq!(never, (Standing::Unproved, "VerificationNever".to_owned()));
        assert_eq!(standing(("True", "SubjectGone"), None), (Standing::Unproved, "SubjectGone".to_owned()));
        let still = standing(("False", "StillPresent"), Some(("False", "ReadAfter")));
        assert_eq!(still, (Standing::NotDone, "ReadAfter".to_owned()));
    }

    #[test]
    fn what_only_looked_or_came_too_late_is_not_done() {
        for reason in ["WouldRemove", "NotReplayed"] {
            assert_eq!(standing(("True", reason), None).0, Standing::NotDone, "{reason}");
        }
        assert_eq!(of(json!({"observedGeneration": -1})).reason, NOT_LOOKED_AT);
        assert_eq!(of(Value::Null).standing, Standing::NotDone);
    }

    #[test]
    fn a_check_that_fails_takes_no_proof_away() {
        let verdict = of(json!({
            "observedGeneration": 1, "conditions": [condition("Ready", "False", "Unauthorized")],
            "verifiedTime": "2026-11-21T02:44:00Z",
            "finished": {"target": "0123456789abcdef", "mode": "Remove", "generation": 1},
        }));
        assert_eq!((verdict.standing, verdict.proof.as_str()), (Standing::Proved, "ReadAfter"));
    }
}
