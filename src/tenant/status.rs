//! The status of a tenant object. Pure.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{
    Auth0TenantStatus, BrakeReason, BrakeStatus, ConditionStatus, ConditionType, CredentialKind, CredentialStatus,
    Mode, RELEASE_BRAKE_ANNOTATION, Reason, TenantObject, Verdict, conditions, time, verdicts,
};
use crate::auth0::{CallError, Token};

use super::brake::Engaged;
use super::connection::TenantError;
use super::health::Unreachable;
use super::scopes::{KindRow, Scopes, judge as judge_scopes, shown};

/// What the status of a tenant follows from.
#[derive(Clone, Copy, Debug)]
pub struct TenantFacts<'a> {
    /// Why the tenant cannot be used, if it cannot.
    pub error: Option<&'a TenantError>,
    /// Its credential, if it can be used.
    pub credential: Option<CredentialFacts<'a>>,
    /// The removal kinds, with the scopes that each needs.
    pub kinds: &'a [KindRow],
    /// Whether Auth0 accepted a call with its connection since the operator started.
    pub accepted: bool,
    /// Why the last call with its connection could not be sent, if it could not.
    pub unreachable: Option<Unreachable>,
    /// Until when nothing may be sent to its domain: the circuit breaker is open.
    pub open_until: Option<Timestamp>,
    /// What its brake has counted.
    pub brake: Option<&'a BrakeStatus>,
    /// For whom the brake is engaged, or will be.
    pub engaged: &'a [Engaged],
    /// The organizations of which a namespace would remove too many members, as namespace and organization.
    pub organizations: &'a [(Arc<str>, Arc<str>)],
    /// The value of the annotation `rescind.dev/reconcile-requested-at`, printable and not empty.
    pub request: Option<&'a str>,
}

/// The credential of a tenant.
#[derive(Clone, Copy, Debug)]
pub struct CredentialFacts<'a> {
    /// What stands in the Secret.
    pub kind: CredentialKind,
    /// The token that calls carry. An application may have none at the moment.
    pub token: Option<&'a Token>,
    /// Why it could not be renewed, if it could not.
    pub renewal_failure: Option<&'a CallError>,
}

/// The status of `tenant`. Conditions that do not change keep their times. The writer keeps the conditions of others;
/// fields that this version does not know are kept here.
pub fn tenant_status(
    tenant: &dyn TenantObject,
    generation: i64,
    facts: TenantFacts<'_>,
    now: Timestamp,
) -> Auth0TenantStatus {
    let old = tenant.tenant_status();
    let before = old.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let token = facts.credential.and_then(|credential| credential.token);
    let scopes = judge_scopes(token.and_then(|token| token.scopes()).map(|scopes| &**scopes), facts.kinds);
    let mut verdicts = judge(tenant, facts, &scopes, now);
    verdicts.extend(brake_verdict(tenant, facts.engaged, facts.organizations));
    // An application that has no token yet after a restart keeps what the last one said.
    let keeps = facts.credential.is_some_and(|credential| credential.token.is_none());
    let scopes = if keeps { old.and_then(|status| status.scopes.clone()) } else { scopes.status };
    // A tenant whose credential Auth0 has not accepted must not show what others found out about the domain.
    let open_until = facts.open_until.filter(|_| facts.accepted && facts.error.is_none());
    let open_until = open_until.map(|until| shown_or_rounded_up(until, old.and_then(|old| old.open_until.as_ref())));
    Auth0TenantStatus {
        observed_generation: Some(generation),
        conditions: conditions(before, &verdicts, generation, now),
        domain: facts.error.is_none().then(|| tenant.tenant_spec().domain.clone()),
        credential: facts.credential.map(|facts| credential(facts, old, now)),
        scopes,
        brake: facts.brake.cloned(),
        open_until,
        last_handled_reconcile_at: facts
            .request
            .map(str::to_owned)
            .or_else(|| old.and_then(|status| status.last_handled_reconcile_at.clone())),
        unknown: old.map(|status| status.unknown.clone()).unwrap_or_default(),
    }
}

/// What the status says of a credential. Scopes are text from outside. An application that has no token yet after a
/// restart keeps what the last one said, as long as that had not expired.
fn credential(facts: CredentialFacts<'_>, old: Option<&Auth0TenantStatus>, now: Timestamp) -> CredentialStatus {
    let CredentialFacts { kind, token, .. } = facts;
    let Some(token) = token else {
        let old = old.and_then(|status| status.credential.clone()).filter(|old| old.kind == kind);
        let lasts = |old: &CredentialStatus| old.expires_at.as_ref().is_some_and(|end| end.0 > now);
        return old.filter(lasts).unwrap_or(CredentialStatus { kind, expires_at: None, scopes: Vec::new() });
    };
    let scopes = token.scopes().into_iter().flat_map(|scopes| scopes.iter());
    let scopes = scopes.take(CredentialStatus::MAX_SCOPES).map(|scope| shown(scope)).collect();
    CredentialStatus { kind, expires_at: token.expires_at().map(time), scopes }
}

/// Says that the token could not be renewed, while it is still valid.
fn not_renewed(credential: Option<CredentialFacts<'_>>) -> String {
    let failure = credential.and_then(|facts| Some((facts.renewal_failure?, facts.token?)));
    let Some((error, token)) = failure else { return String::new() };
    let until = token.expires_at().map(|end| format!(", which is valid until {end}")).unwrap_or_default();
    format!(" The access token{until}, could not be renewed; the operator asks again: {error}.")
}

/// The time that the status shows already, if it differs from `until` by no more than rounding. Else `until`, rounded
/// up to whole seconds: a wait must not become shorter by being written.
fn shown_or_rounded_up(until: Timestamp, shown: Option<&Time>) -> Time {
    let is_shown = |shown: &&Time| (0..2000).contains(&shown.0.duration_since(until).as_millis());
    shown.filter(is_shown).cloned().unwrap_or_else(|| time(until + SignedDuration::from_millis(999)))
}

fn judge(tenant: &dyn TenantObject, facts: TenantFacts<'_>, scopes: &Scopes, now: Timestamp) -> Vec<Verdict> {
    let domain = &tenant.tenant_spec().domain;
    if let Some(error) = facts.error {
        return verdicts(error.reason, &error.message);
    }
    if let Some(Unreachable { why, certificate: true }) = facts.unreachable {
        return verdicts(Reason::InvalidConnection, &format!("{domain} could not be called: {why}"));
    }
    let spec = tenant.tenant_spec();
    let hold = spec.hold.as_ref().and_then(|hold| Some((hold, hold.in_force(now)?)));
    let stopped = match (spec.suspend, hold) {
        (true, _) => Some((Reason::Suspended, "spec.suspend is set".to_owned())),
        (false, Some((hold, until))) => {
            Some((Reason::OnHold, format!("it is on hold until {until} ({})", hold.reason)))
        }
        (false, None) => None,
    };
    if let Some((reason, why)) = stopped {
        // `Ready=True`, unlike a suspended removal: the tenant could be called, and nothing waits for it.
        return vec![Verdict {
            kind: ConditionType::Ready,
            status: ConditionStatus::True,
            reason: reason.as_str(),
            message: format!("The connection to {domain} is valid, but {why}: nothing is sent."),
        }];
    }
    let observes = match spec.mode {
        Mode::Observe => " Nothing is removed: spec.mode is Observe.",
        Mode::Remove => "",
    };
    let renewal = not_renewed(facts.credential);
    let more = format!("{observes}{renewal}{}", scopes.message);
    if facts.accepted {
        return verdicts(Reason::Connected, &format!("{domain} accepted a call with this credential.{more}"));
    }
    let cause = match facts.unreachable {
        Some(Unreachable { why, .. }) => format!("The last call could not be sent: {why}."),
        None => "It has accepted no call since the operator started.".to_owned(),
    };
    verdicts(Reason::Unproved, &format!("Ready to call {domain}. {cause}{more}"))
}

/// At most this many engagements are named in the message.
const MAX_NAMED: usize = 3;

/// The condition `BrakeEngaged`, absent while the brake is not engaged and will not be.
fn brake_verdict(
    tenant: &dyn TenantObject,
    engaged: &[Engaged],
    organizations: &[(Arc<str>, Arc<str>)],
) -> Option<Verdict> {
    let first = engaged.iter().find(|engaged| engaged.engagement.is_now());
    if let (None, [(namespace, organization), more @ ..]) = (first, organizations) {
        return Some(too_large_a_share(tenant, namespace, organization, more.len()));
    }
    let first = first.or(engaged.first())?;
    let is_now = first.engagement.is_now();
    let same = engaged.iter().filter(|engaged| engaged.engagement.is_now() == is_now);
    let (count, window) = (same.clone().count(), tenant.brake().0.window.as_str());
    let mut message: Vec<String> = same.take(MAX_NAMED).map(|engaged| overrun(engaged, window)).collect();
    if count > MAX_NAMED {
        message.push(format!("status.brake names {} more.", count - MAX_NAMED));
    }
    let what = if is_now { "Nothing more is sent there, and" } else { "Then nothing is sent there, and" };
    message.push(format!(
        "{what} objects say BrakeEngaged. If they are meant, the annotation {RELEASE_BRAKE_ANNOTATION}: {} of this \
         tenant releases as many.",
        first.engagement.id
    ));
    Some(Verdict {
        kind: ConditionType::BrakeEngaged,
        status: is_now.into(),
        reason: if is_now { BrakeReason::TooManyRemovals } else { BrakeReason::TooManyScheduled }.as_str(),
        message: message.join(" "),
    })
}

fn too_large_a_share(tenant: &dyn TenantObject, namespace: &str, organization: &str, more: usize) -> Verdict {
    let (brake, _) = tenant.brake();
    let (share, window) = (brake.max_share_of_organization, brake.window.as_str());
    let others = if more > 0 { format!(" So is it with {more} more.") } else { String::new() };
    let message = format!(
        "Namespace {namespace} would remove more members of organization {organization} within {window} than \
         spec.brake.maxShareOfOrganization ({share} %) allows, or their number cannot be read. Nothing more is sent \
         there.{others}"
    );
    Verdict {
        kind: ConditionType::BrakeEngaged,
        status: ConditionStatus::True,
        reason: BrakeReason::TooManyOfOrganization.as_str(),
        message,
    }
}

fn overrun(engaged: &Engaged, window: &str) -> String {
    let Engaged { namespace, engagement, limit, most } = engaged;
    let count = engagement.id.count;
    let (place, field) = match (namespace, most) {
        (Some(namespace), _) => (format!("in namespace {namespace}"), "maxRemovals"),
        (None, Some(most)) => (format!("in all namespaces together, most of them in {most},"), "maxRemovalsTotal"),
        (None, None) => ("in all namespaces together".to_owned(), "maxRemovalsTotal"),
    };
    match engagement.begins_at {
        None => format!("{count} items {place} would be removed within {window}; spec.brake.{field} allows {limit}."),
        Some(at) => format!(
            "From {at} on, {count} items {place} will be ready to be removed within {window}; spec.brake.{field} \
             allows {limit}."
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Auth0Tenant;

    fn tenant(suspend: bool) -> Auth0Tenant {
        let spec = json!({
            "domain": "acme.auth0.com", "credentials": {"tokenSecretRef": {"name": "s"}}, "suspend": suspend,
        });
        serde_json::from_value(json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "Auth0Tenant", "metadata": {"name": "t"}, "spec": spec,
        }))
        .unwrap()
    }

    const QUIET: TenantFacts<'_> = TenantFacts {
        error: None,
        credential: None,
        kinds: &[],
        accepted: false,
        unreachable: None,
        open_until: None,
        brake: None,
        engaged: &[],
        organizations: &[],
        request: None,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn each_situation_has_its_reason() {
        let error = TenantError::new(Reason::InvalidCredentials, "empty");
        let refused = Some(Unreachable { why: "the connection was refused", certificate: false });
        let untrusted = Some(Unreachable { why: "the certificate is not trusted", certificate: true });
        let rows = [
            (false, QUIET, "True", "Unproved", "acme.auth0.com"),
            (false, TenantFacts { accepted: true, ..QUIET }, "True", "Connected", "accepted"),
            (true, TenantFacts { accepted: true, ..QUIET }, "True", "Suspended", "nothing is sent"),
            (true, TenantFacts { error: Some(&error), ..QUIET }, "False", "InvalidCredentials", "empty"),
            (false, TenantFacts { unreachable: refused, ..QUIET }, "True", "Unproved", "refused"),
            // A network failure does not take back that Auth0 accepted a call before.
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
            assert_eq!(written.domain.is_some(), facts.error.is_none());
        }
    }

    #[test]
    fn a_wait_is_shown_only_where_the_credential_was_accepted() {
        let limited = TenantFacts { open_until: Some(at(60)), ..QUIET };
        assert_eq!(tenant_status(&tenant(false), 2, limited, at(9)).open_until, None);
        let accepted = TenantFacts { accepted: true, ..limited };
        let status = tenant_status(&tenant(false), 2, accepted, at(9));
        assert_eq!(status.open_until, Some(time(at(60))));
        // The same time, a moment later and rounded otherwise.
        let shown = Auth0Tenant { status: Some(status.clone()), ..tenant(false) };
        let again = Some(at(59) + SignedDuration::from_millis(300));
        assert_eq!(tenant_status(&shown, 2, TenantFacts { open_until: again, ..accepted }, at(10)), status);
    }

    /// After a restart an application has no token until a call needs one.
    #[test]
    fn what_the_last_token_said_stays() {
        let scopes = crate::api::ScopesStatus { missing: vec!["update:users".into()], unneeded: Vec::new() };
        let old = Auth0TenantStatus { scopes: Some(scopes.clone()), ..Auth0TenantStatus::default() };
        let shown = Auth0Tenant { status: Some(old), ..tenant(false) };
        let without = CredentialFacts { kind: CredentialKind::ClientCredentials, token: None, renewal_failure: None };
        let facts = TenantFacts { credential: Some(without), ..QUIET };
        assert_eq!(tenant_status(&shown, 2, facts, at(9)).scopes, Some(scopes));
        assert_eq!(tenant_status(&shown, 2, QUIET, at(9)).scopes, None, "the tenant cannot be used");
    }
}
