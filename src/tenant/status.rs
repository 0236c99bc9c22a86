//! The status of a tenant object. Pure.

use jiff::Timestamp;

use crate::api::{
    Auth0Tenant, Auth0TenantStatus, ConditionStatus, ConditionType, Reason, Verdict, conditions, time, verdicts,
};

use super::connection::Problem;
use super::health::Unreachable;

/// What is known of a tenant.
#[derive(Clone, Copy, Debug)]
pub struct TenantFacts<'a> {
    /// Why it cannot be used, if it cannot.
    pub problem: Option<&'a Problem>,
    /// Auth0 accepted a call with its connection since this process began.
    pub accepted: bool,
    /// Why the last call with its connection could not be sent.
    pub unreachable: Option<Unreachable>,
    /// Nothing is sent to its domain before then.
    pub open_until: Option<Timestamp>,
    /// What its annotation asks, fit for a status.
    pub asked: Option<&'a str>,
}

/// The status of `tenant`. Conditions that did not change keep their times; those of others, and fields that this version
/// does not know, stay as they are.
pub fn tenant_status(
    tenant: &Auth0Tenant,
    generation: i64,
    facts: TenantFacts<'_>,
    now: Timestamp,
) -> Auth0TenantStatus {
    let old = tenant.status.as_ref();
    let before = old.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let verdicts = judge(tenant, facts);
    // Whoever could not be called was not asked to wait either.
    let open_until = facts.open_until.filter(|_| facts.accepted && facts.problem.is_none()).map(time);
    Auth0TenantStatus {
        observed_generation: Some(generation),
        conditions: conditions(before, &verdicts, generation, now),
        domain: facts.problem.is_none().then(|| tenant.spec.domain.clone()),
        open_until,
        last_handled_reconcile_at: facts
            .asked
            .map(str::to_owned)
            .or_else(|| old.and_then(|status| status.last_handled_reconcile_at.clone())),
        unknown: old.map(|status| status.unknown.clone()).unwrap_or_default(),
    }
}

fn judge(tenant: &Auth0Tenant, facts: TenantFacts<'_>) -> Vec<Verdict> {
    let domain = &tenant.spec.domain;
    if let Some(problem) = facts.problem {
        return verdicts(problem.reason, &problem.message);
    }
    match facts.unreachable {
        Some(Unreachable { why, certificate: true }) => {
            return verdicts(Reason::InvalidConnection, &format!("{domain} could not be called: {why}"));
        }
        Some(Unreachable { why, .. }) if !facts.accepted && !tenant.spec.suspend => {
            let message =
                format!("Ready to call {domain}, but no call was accepted yet; the last could not be sent: {why}");
            return verdicts(Reason::Unproved, &message);
        }
        _ => {}
    }
    match (tenant.spec.suspend, facts.accepted) {
        // Not Held, as for a removal: what could be called is ready, and nobody waits for it.
        (true, _) => vec![Verdict {
            kind: ConditionType::Ready,
            status: ConditionStatus::True,
            reason: Reason::Suspended.as_str(),
            message: format!("Could call {domain}, but spec.suspend is set: nothing is sent"),
        }],
        (false, true) => verdicts(Reason::Connected, &format!("{domain} accepted a call with this credential")),
        (false, false) => verdicts(
            Reason::Unproved,
            &format!("Ready to call {domain}; no call was accepted since the operator started"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tenant(suspend: bool) -> Auth0Tenant {
        let spec = json!({
            "domain": "acme.auth0.com", "credentials": {"tokenSecretRef": {"name": "s"}}, "suspend": suspend,
        });
        serde_json::from_value(json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "Auth0Tenant", "metadata": {"name": "t"}, "spec": spec,
        }))
        .unwrap()
    }

    const QUIET: TenantFacts<'_> =
        TenantFacts { problem: None, accepted: false, unreachable: None, open_until: None, asked: None };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn each_situation_has_its_reason() {
        let problem = Problem::new(Reason::InvalidCredentials, "empty");
        let refused = Some(Unreachable { why: "the connection was refused", certificate: false });
        let untrusted = Some(Unreachable { why: "the certificate is not trusted", certificate: true });
        let rows = [
            (false, QUIET, "True", "Unproved", "acme.auth0.com"),
            (false, TenantFacts { accepted: true, ..QUIET }, "True", "Connected", "accepted"),
            (true, TenantFacts { accepted: true, ..QUIET }, "True", "Suspended", "nothing is sent"),
            (true, TenantFacts { problem: Some(&problem), ..QUIET }, "False", "InvalidCredentials", "empty"),
            (false, TenantFacts { unreachable: refused, ..QUIET }, "True", "Unproved", "refused"),
            // What a call found out earlier is not taken back by a network that is away.
            (false, TenantFacts { unreachable: refused, accepted: true, ..QUIET }, "True", "Connected", ""),
            (
                false,
                TenantFacts { unreachable: untrusted, accepted: true, ..QUIET },
                "False",
                "InvalidConnection",
                "trusted",
            ),
        ];
        for (suspend, facts, status, reason, words) in rows {
            let written = tenant_status(&tenant(suspend), 2, facts, at(9));
            let ready = written.condition(ConditionType::Ready).unwrap();
            assert_eq!((ready.status.as_str(), ready.reason.as_str()), (status, reason));
            assert!(ready.message.contains(words), "{}", ready.message);
            assert_eq!(written.domain.is_some(), facts.problem.is_none());
        }
    }

    #[test]
    fn a_wait_is_shown_only_where_the_credential_was_accepted() {
        let limited = TenantFacts { open_until: Some(at(60)), ..QUIET };
        assert_eq!(tenant_status(&tenant(false), 2, limited, at(9)).open_until, None);
        let accepted = TenantFacts { accepted: true, ..limited };
        assert_eq!(tenant_status(&tenant(false), 2, accepted, at(9)).open_until, Some(time(at(60))));
    }
}
