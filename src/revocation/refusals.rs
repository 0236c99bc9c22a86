//! What Auth0 refuses with a connection. Once one object has found that out, no other of its kind needs to ask: one
//! object at a time probes whether Auth0 still refuses, and the others wait for the result.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::api::Reason;
use crate::dispatch::{ConnectionKey, End, Report, Task};
use crate::sync::lock;

/// How long a refusal is in force before the next probe.
const PROBE_AFTER: Duration = Duration::from_secs(600);
/// How long a probe may take before another object may probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// A refusal that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// `Unauthorized`, `InsufficientScope` or `Denied`.
    pub reason: Reason,
    /// The message for users.
    pub message: String,
    /// From then on an object may probe.
    pub until: Instant,
}

/// Calls that Auth0 accepts or refuses together, because they need the same scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Calls {
    /// The kind of object.
    pub kind: &'static str,
    /// The reads of objects that only observe; else their removals.
    pub observe: bool,
}

/// Refusals by connection, calls and reason. Their number is bounded by the
/// connections that exist.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<(ConnectionKey, Calls, Reason), Refusal>>);

#[derive(Debug)]
enum Refusal {
    /// In force.
    InForce(Refused),
    /// In force, and an object probes; another one may do so from `until` on.
    Probed(Refused),
    /// Auth0 has accepted a call since.
    Lifted,
}

/// Whether this reason is a refusal that ends for many objects at once: by another credential, or by a change in Auth0.
pub(super) const fn is_refusal(reason: Reason) -> bool {
    matches!(reason, Reason::Unauthorized | Reason::InsufficientScope | Reason::Denied)
}

/// Whether this report of a read ends a refusal of such calls. A successful read says nothing of the scope to remove.
pub(super) fn shows_access(report: &Report, calls: Calls) -> bool {
    calls.observe && report.task == Task::Observe && matches!(report.end, End::Gone | End::Remaining(_))
}

impl Refusals {
    /// What is in force for an object of this kind whose reason is `own`. A denial may be about the items of one
    /// object, so it concerns only objects that were denied themselves.
    pub fn in_force(&self, key: ConnectionKey, calls: Calls, own: Option<Reason>) -> Option<Refused> {
        let refusals = lock(&self.0);
        let find = |reason| match refusals.get(&(key, calls, reason))? {
            Refusal::InForce(refused) | Refusal::Probed(refused) => Some(refused.clone()),
            Refusal::Lifted => None,
        };
        let denied = || (own == Some(Reason::Denied)).then(|| find(Reason::Denied)).flatten();
        find(Reason::Unauthorized).or_else(|| find(Reason::InsufficientScope)).or_else(denied)
    }

    /// Records that Auth0 refused a call. Returns whether no such refusal was in force before.
    pub fn record(&self, key: ConnectionKey, calls: Calls, reason: Reason, message: &str, now: Instant) -> bool {
        let refused = Refused { reason, message: message.to_owned(), until: now + PROBE_AFTER };
        let before = lock(&self.0).insert((key, calls, reason), Refusal::InForce(refused));
        !matches!(before, Some(Refusal::InForce(_) | Refusal::Probed(_)))
    }

    /// Auth0 accepted a call for an object whose reason was `own`. Returns whether that ended a refusal, for which
    /// others may be waiting.
    pub fn lift(&self, key: ConnectionKey, calls: Calls, own: Option<Reason>) -> bool {
        let mut refusals = lock(&self.0);
        let denied = own.filter(|own| *own == Reason::Denied);
        let mut lift = |reason| {
            let refusal = refusals.get_mut(&(key, calls, reason));
            refusal.is_some_and(|refusal| !matches!(std::mem::replace(refusal, Refusal::Lifted), Refusal::Lifted))
        };
        // Every one of them is lifted, so this must not stop at the first.
        let lifted = [Some(Reason::Unauthorized), Some(Reason::InsufficientScope), denied]
            .map(|reason| reason.is_some_and(&mut lift));
        lifted.contains(&true)
    }

    /// Whether an object to which `refused` applies may probe now. If that refusal is not on record, because of a
    /// restart or another credential, the first object that asks may, and the others wait for it.
    pub fn may_probe(&self, key: ConnectionKey, calls: Calls, refused: &Refused, now: Instant) -> bool {
        let mut refusals = lock(&self.0);
        let first = || Refusal::InForce(Refused { until: now, ..refused.clone() });
        let refusal = refusals.entry((key, calls, refused.reason)).or_insert_with(first);
        match refusal {
            Refusal::Lifted => true,
            Refusal::InForce(recorded) | Refusal::Probed(recorded) if recorded.until <= now => {
                *refusal = Refusal::Probed(Refused { until: now + PROBE_TIMEOUT, ..recorded.clone() });
                true
            }
            Refusal::InForce(_) | Refusal::Probed(_) => false,
        }
    }

    /// A probe ended without a result: another object may probe at once.
    pub fn end_probe(&self, key: ConnectionKey, calls: Calls, now: Instant) {
        for (_, refusal) in lock(&self.0).iter_mut().filter(|((of, at, _), _)| *of == key && *at == calls) {
            if let Refusal::Probed(refused) = refusal {
                refused.until = refused.until.min(now);
            }
        }
    }

    /// Forgets the connections that no tenant has any more.
    pub fn retain(&self, alive: &HashSet<ConnectionKey>) {
        lock(&self.0).retain(|(key, ..), _| alive.contains(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth0::{Domain, Token};

    const KIND: Calls = Calls { kind: "UserRoleRevocation", observe: false };

    fn key(token: &str) -> ConnectionKey {
        let domain: Domain = "acme.auth0.com".parse().unwrap();
        let now = jiff::Timestamp::from_second(0).unwrap();
        let token = Token::read(format!("e30.e30.{token}").as_bytes(), &domain.default_audience(), now).unwrap();
        ConnectionKey::new(&domain, None, token.fingerprint())
    }

    fn refused(reason: Reason, until: Instant) -> Refused {
        Refused { reason, message: "403".into(), until }
    }

    /// Objects that only observe make no DELETE that could end a refusal.
    #[test]
    fn a_successful_read_ends_a_refusal_of_reads() {
        let report = |task, end| Report {
            task,
            accepted: Vec::new(),
            accepted_unnamed: 0,
            already_absent: Vec::new(),
            not_found: Vec::new(),
            refused: Vec::new(),
            first_accepted_at: None,
            accepted_at: None,
            lost: false,
            seen: true,
            through_roles: std::collections::BTreeSet::new(),
            read_at: None,
            connection: None,
            domain: None,
            correlation: None,
            end,
        };
        let observing = Calls { observe: true, ..KIND };
        for (calls, task, end, expected) in [
            (observing, Task::Observe, End::Gone, true),
            (observing, Task::Observe, End::Remaining(Vec::new()), true),
            (observing, Task::Observe, End::HandedBack(crate::dispatch::Refusal::Withdrawn), false),
            (KIND, Task::Observe, End::Gone, false),
            (observing, Task::Prove, End::Gone, false),
        ] {
            assert_eq!(shows_access(&report(task.clone(), end.clone()), calls), expected, "{calls:?} {task:?} {end:?}");
        }
    }

    #[test]
    fn one_object_finds_out_for_all() {
        let (refusals, key, start) = (Refusals::default(), key("a"), Instant::now());
        let scope = refused(Reason::InsufficientScope, start + PROBE_AFTER);
        assert!(refusals.record(key, KIND, scope.reason, "403", start), "news");
        assert!(!refusals.record(key, KIND, scope.reason, "403", start), "known");
        assert_eq!(refusals.in_force(key, KIND, None), Some(scope.clone()), "also for objects that made no call");
        for other in [Calls { kind: "OrgMembershipRemoval", ..KIND }, Calls { observe: true, ..KIND }] {
            assert_eq!(refusals.in_force(key, other, None), None, "other calls need other scopes");
        }
        assert!(!refusals.may_probe(key, KIND, &scope, start + PROBE_AFTER / 2));
        let later = start + PROBE_AFTER;
        assert!(refusals.may_probe(key, KIND, &scope, later));
        assert!(!refusals.may_probe(key, KIND, &scope, later), "one at a time");
        assert!(
            refusals.may_probe(key, KIND, &scope, later + PROBE_TIMEOUT),
            "a probe that never ends does not block the others"
        );
        refusals.end_probe(key, KIND, later);
        assert!(refusals.may_probe(key, KIND, &scope, later), "nor does one without a result");
        assert!(refusals.lift(key, KIND, None), "news");
        assert!(!refusals.lift(key, KIND, None));
        assert_eq!(refusals.in_force(key, KIND, None), None);
        assert!(refusals.may_probe(key, KIND, &scope, later) && refusals.may_probe(key, KIND, &scope, later));
    }

    #[test]
    fn a_denial_concerns_only_denied_objects() {
        let (refusals, key, start) = (Refusals::default(), key("a"), Instant::now());
        refusals.record(key, KIND, Reason::Denied, "403", start);
        assert_eq!(refusals.in_force(key, KIND, None), None);
        assert!(refusals.in_force(key, KIND, Some(Reason::Denied)).is_some());
        assert!(!refusals.lift(key, KIND, None), "of another object");
        assert!(refusals.in_force(key, KIND, Some(Reason::Denied)).is_some());
        assert!(refusals.lift(key, KIND, Some(Reason::Denied)));
        assert_eq!(refusals.in_force(key, KIND, Some(Reason::Denied)), None);
    }

    /// After a restart, and with another credential, one of the refused objects may probe at once.
    #[test]
    fn after_a_restart_one_object_probes() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        for key in [key("a"), key("b")] {
            assert!(refusals.may_probe(key, KIND, &refused(Reason::Unauthorized, start), start));
            assert!(!refusals.may_probe(key, KIND, &refused(Reason::Unauthorized, start), start));
        }
        refusals.retain(&HashSet::from([key("b")]));
        assert_eq!(refusals.in_force(key("a"), KIND, None), None);
        assert!(refusals.in_force(key("b"), KIND, None).is_some());
    }
}
