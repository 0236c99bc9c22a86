//! The status of a tenant object. Pure.

use jiff::Timestamp;

use crate::api::{Auth0TenantStatus, Reason, conditions, verdicts};

use super::connection::Problem;

/// The status of a tenant that can be used, or has this problem. Conditions that did not change keep their times.
pub fn tenant_status(
    old: Option<&Auth0TenantStatus>,
    generation: i64,
    domain: &str,
    suspended: bool,
    problem: Option<&Problem>,
    now: Timestamp,
) -> Auth0TenantStatus {
    let (reason, message) = match problem {
        Some(problem) => (problem.reason, problem.message.clone()),
        None if suspended => {
            (Reason::Connected, format!("Could call {domain}, but spec.suspend is set: nothing is sent"))
        }
        None => (Reason::Connected, format!("Ready to call {domain}")),
    };
    let verdicts = verdicts(reason, &message);
    let before = old.map(|status| status.conditions.as_slice()).unwrap_or_default();
    Auth0TenantStatus {
        observed_generation: Some(generation),
        conditions: conditions(before, &verdicts, generation, now),
        last_handled_reconcile_at: old.and_then(|status| status.last_handled_reconcile_at.clone()),
        domain: old.and_then(|status| status.domain.clone()),
        open_until: old.and_then(|status| status.open_until.clone()),
        unknown: old.map(|status| status.unknown.clone()).unwrap_or_default(),
    }
}
