//! What Auth0 refused with which connection: nobody else needs to find that out again. One object at a time tries whether
//! it still holds, the others wait for what comes of it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::api::Reason;
use crate::dispatch::ConnectionKey;

/// A refusal is tried again after this long.
const REFUSED_FOR: Duration = Duration::from_secs(600);
/// Whoever tries has this long before another one may.
const TRYING_FOR: Duration = Duration::from_secs(60);

/// A refusal that still counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// `Unauthorized`, `InsufficientScope` or `Denied`.
    pub reason: Reason,
    /// In words.
    pub message: String,
    /// Then somebody may try again.
    pub until: Instant,
}

/// Refusals by connection, kind of object (scopes differ by kind) and reason. Bounded by the connections there are.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<(ConnectionKey, &'static str, Reason), Refusal>>);

#[derive(Debug)]
enum Refusal {
    /// It holds, and nobody tries yet.
    Holds(Refused),
    /// Somebody is finding out; until then nobody else does.
    Tried(Refused),
    /// A call was accepted since.
    Over,
}

/// Whether this is a refusal that another credential, or somebody at Auth0, can end for all at once.
pub(super) const fn is_refusal(reason: Reason) -> bool {
    matches!(reason, Reason::Unauthorized | Reason::InsufficientScope | Reason::Denied)
}

impl Refusals {
    /// What counts now for an object of this kind that carries `own`. A denial may be about what one object names, so it
    /// counts for those alone that were denied themselves.
    pub fn get(&self, key: ConnectionKey, kind: &'static str, own: Option<Reason>) -> Option<Refused> {
        let refusals = self.lock();
        let holds = |reason| match refusals.get(&(key, kind, reason))? {
            Refusal::Holds(refused) | Refusal::Tried(refused) => Some(refused.clone()),
            Refusal::Over => None,
        };
        let denied = || (own == Some(Reason::Denied)).then(|| holds(Reason::Denied)).flatten();
        holds(Reason::Unauthorized).or_else(|| holds(Reason::InsufficientScope)).or_else(denied)
    }

    /// Auth0 refused a call. Returns whether that is news.
    pub fn refuse(&self, key: ConnectionKey, kind: &'static str, reason: Reason, message: &str, now: Instant) -> bool {
        let refused = Refused { reason, message: message.to_owned(), until: now + REFUSED_FOR };
        let before = self.lock().insert((key, kind, reason), Refusal::Holds(refused));
        !matches!(before, Some(Refusal::Holds(_) | Refusal::Tried(_)))
    }

    /// Auth0 accepted a call for an object that carried `own`. Returns whether others may be waiting to hear it.
    pub fn accept(&self, key: ConnectionKey, kind: &'static str, own: Option<Reason>) -> bool {
        let mut refusals = self.lock();
        let denied = own.filter(|own| *own == Reason::Denied);
        let mut over = |reason| {
            let refusal = refusals.get_mut(&(key, kind, reason));
            refusal.is_some_and(|refusal| !matches!(std::mem::replace(refusal, Refusal::Over), Refusal::Over))
        };
        // Each of them is over, so all are asked.
        let over = [Some(Reason::Unauthorized), Some(Reason::InsufficientScope), denied]
            .map(|reason| reason.is_some_and(&mut over));
        over.contains(&true)
    }

    /// Whether an object that was refused, or would be, may try now. If nobody knows of the refusal it carries, because of
    /// a restart or another credential, it is the one that finds out; the others wait for it.
    pub fn may_try(&self, key: ConnectionKey, kind: &'static str, refused: Refused, now: Instant) -> bool {
        let mut refusals = self.lock();
        let first = || Refusal::Holds(Refused { until: now, ..refused.clone() });
        let refusal = refusals.entry((key, kind, refused.reason)).or_insert_with(first);
        match refusal {
            Refusal::Over => true,
            Refusal::Holds(holds) | Refusal::Tried(holds) if holds.until <= now => {
                *refusal = Refusal::Tried(Refused { until: now + TRYING_FOR, ..holds.clone() });
                true
            }
            Refusal::Holds(_) | Refusal::Tried(_) => false,
        }
    }

    /// Whoever tried has found out nothing: the next one may.
    pub fn release(&self, key: ConnectionKey, kind: &'static str, now: Instant) {
        for (_, refusal) in self.lock().iter_mut().filter(|((of, at, _), _)| *of == key && *at == kind) {
            if let Refusal::Tried(refused) = refusal {
                refused.until = refused.until.min(now);
            }
        }
    }

    /// Forgets connections that no tenant has any more.
    pub fn retain(&self, alive: &HashSet<ConnectionKey>) {
        self.lock().retain(|(key, ..), _| alive.contains(key));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(ConnectionKey, &'static str, Reason), Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth0::{Domain, Token};

    const KIND: &str = "UserRoleRevocation";

    fn key(token: &str) -> ConnectionKey {
        let domain: Domain = "acme.auth0.com".parse().unwrap();
        let now = jiff::Timestamp::from_second(0).unwrap();
        let token = Token::read(token.as_bytes(), &domain.default_audience(), now).unwrap();
        ConnectionKey::new(&domain, None, &token)
    }

    fn refused(reason: Reason, until: Instant) -> Refused {
        Refused { reason, message: "403".into(), until }
    }

    #[test]
    fn one_finds_out_for_all() {
        let (refusals, key, start) = (Refusals::default(), key("a"), Instant::now());
        let scope = refused(Reason::InsufficientScope, start + REFUSED_FOR);
        assert!(refusals.refuse(key, KIND, scope.reason, "403", start), "news");
        assert!(!refusals.refuse(key, KIND, scope.reason, "403", start), "known");
        assert_eq!(refusals.get(key, KIND, None), Some(scope.clone()), "also for those that never asked");
        assert_eq!(refusals.get(key, "OrgMembershipRemoval", None), None, "other kinds need other scopes");
        assert!(!refusals.may_try(key, KIND, scope.clone(), start + REFUSED_FOR / 2));
        let later = start + REFUSED_FOR;
        assert!(refusals.may_try(key, KIND, scope.clone(), later));
        assert!(!refusals.may_try(key, KIND, scope.clone(), later), "one at a time");
        assert!(
            refusals.may_try(key, KIND, scope.clone(), later + TRYING_FOR),
            "no wait for one that never comes back"
        );
        refusals.release(key, KIND, later);
        assert!(refusals.may_try(key, KIND, scope.clone(), later), "nor for one that found out nothing");
        assert!(refusals.accept(key, KIND, None), "news");
        assert!(!refusals.accept(key, KIND, None));
        assert_eq!(refusals.get(key, KIND, None), None);
        assert!(refusals.may_try(key, KIND, scope.clone(), later) && refusals.may_try(key, KIND, scope, later));
    }

    #[test]
    fn a_denial_counts_for_the_denied() {
        let (refusals, key, start) = (Refusals::default(), key("a"), Instant::now());
        refusals.refuse(key, KIND, Reason::Denied, "403", start);
        assert_eq!(refusals.get(key, KIND, None), None);
        assert!(refusals.get(key, KIND, Some(Reason::Denied)).is_some());
        assert!(!refusals.accept(key, KIND, None), "of another object");
        assert!(refusals.get(key, KIND, Some(Reason::Denied)).is_some());
        assert!(refusals.accept(key, KIND, Some(Reason::Denied)));
        assert_eq!(refusals.get(key, KIND, Some(Reason::Denied)), None);
    }

    /// After a restart, and with another credential, one of all that carry the refusal tries at once.
    #[test]
    fn what_nobody_knows_is_found_out_by_one() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        for key in [key("a"), key("b")] {
            assert!(refusals.may_try(key, KIND, refused(Reason::Unauthorized, start), start));
            assert!(!refusals.may_try(key, KIND, refused(Reason::Unauthorized, start), start));
        }
        refusals.retain(&HashSet::from([key("b")]));
        assert_eq!(refusals.get(key("a"), KIND, None), None);
        assert!(refusals.get(key("b"), KIND, None).is_some());
    }
}
