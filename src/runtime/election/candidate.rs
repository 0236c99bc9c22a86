//! What a candidate concludes from the Lease that it read. Pure: no clock, no calls.
//!
//! Three rules together keep two replicas from leading at the same time:
//!
//! 1. A write carries the resourceVersion of the read on which it is based, so of two candidates that read the same
//!    Lease only one succeeds.
//! 2. A leader counts from before its write was sent, and stops after the renew deadline.
//! 3. Everybody else counts from after a read, by their own clock, and waits for the whole lease duration, which is
//!    longer.
//!
//! So no clock is compared with another; they only have to run at about the same speed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::clock::Moment;

/// Default name of the Lease, in the operator's namespace.
pub const LEASE: &str = "rescind-leader";

/// The three durations of an election, named as in client-go, whose defaults these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElectionTiming {
    /// Others take over when the Lease was not renewed for this long. Whole seconds.
    pub lease_duration: Duration,
    /// A leader that could not renew for this long stops; less than `lease_duration`.
    pub renew_deadline: Duration,
    /// The pause between two attempts to acquire or renew.
    pub retry_period: Duration,
}

impl Default for ElectionTiming {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// The longest duration that is believed when another holder states one, so that its mistake keeps the others out only
/// briefly.
const MAX_STATED_DURATION: Duration = Duration::from_secs(300);

/// What to do with the Lease that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// There is none: create it with this spec.
    Create(LeaseSpec),
    /// Acquire or renew it with this spec.
    Replace(LeaseSpec),
    /// Another candidate holds it, or may until its time has run out. The holder, if there is one.
    Wait(Option<String>),
    /// We held it, and this candidate does now.
    Lost(String),
}

/// A replica that takes part in the election.
#[derive(Debug)]
pub(super) struct Candidate {
    identity: String,
    timing: ElectionTiming,
    /// The last resourceVersion that was read and not ours (`None` for no Lease), and since when it has been the same.
    /// The times in the Lease are not used: they come from other clocks, and two renewals may carry the same time.
    seen: Option<(Option<String>, Moment)>,
    /// Until when we lead.
    until: Option<Moment>,
}

impl Candidate {
    pub(super) const fn new(identity: String, timing: ElectionTiming) -> Self {
        Self { identity, timing, seen: None, until: None }
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Until when we lead; `None` if we do not.
    pub(super) const fn until(&self) -> Option<Moment> {
        self.until
    }

    /// Decides about the Lease that was read, with its resourceVersion; `None` if there is none. `now` is when the
    /// answer came, not when the request was sent. `wall` only goes into the Lease, for people to read.
    pub(super) fn observe(&mut self, read: Option<(&LeaseSpec, &str)>, now: Moment, wall: Timestamp) -> Step {
        let (lease, version) = (read.map(|read| read.0), read.map(|read| read.1));
        let holder = lease.and_then(holder);
        if let (Some(lease), Some(_)) = (lease, holder.filter(|holder| *holder == self.identity)) {
            return Step::Replace(self.claim(Some(lease), wall));
        }
        if let (true, Some(holder)) = (self.until.is_some(), holder) {
            return Step::Lost(holder.to_owned());
        }
        match lease {
            // Its holder has given it up.
            Some(lease) if holder.is_none() => return Step::Replace(self.claim(Some(lease), wall)),
            // As far as we know there never was one, or it was ours.
            None if self.seen.is_none() || self.until.is_some() => return Step::Create(self.claim(None, wall)),
            _ => {}
        }
        let since = match &self.seen {
            Some((seen, since)) if seen.as_deref() == version => *since,
            _ => now,
        };
        self.seen = Some((version.map(str::to_owned), since));
        if now.saturating_sub(since) < self.expiry(lease) {
            return Step::Wait(holder.map(str::to_owned));
        }
        match lease {
            Some(lease) => Step::Replace(self.claim(Some(lease), wall)),
            None => Step::Create(self.claim(None, wall)),
        }
    }

    /// The Lease was written with our claim; the request left at `sent` or later.
    pub(super) fn record_renewal(&mut self, sent: Moment) {
        self.until = Some(sent + self.timing.renew_deadline);
    }

    /// Stops leading. Returns the spec to write, with which the others need not wait.
    pub(super) fn release_spec(&mut self, lease: &LeaseSpec, wall: Timestamp) -> LeaseSpec {
        self.until = None;
        LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            acquire_time: Some(MicroTime(wall)),
            renew_time: Some(MicroTime(wall)),
            ..lease.clone()
        }
    }

    /// How long another's Lease must stay unchanged until it may be taken. A Lease that was deleted counts as well,
    /// because its holder may not know it yet.
    fn expiry(&self, lease: Option<&LeaseSpec>) -> Duration {
        let stated = lease.and_then(|lease| u64::try_from(lease.lease_duration_seconds?).ok()).map(Duration::from_secs);
        stated.unwrap_or_default().min(MAX_STATED_DURATION).max(self.timing.lease_duration)
    }

    fn claim(&self, before: Option<&LeaseSpec>, wall: Timestamp) -> LeaseSpec {
        let ours = before.and_then(holder) == Some(&*self.identity);
        let transitions = before.and_then(|before| before.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.timing.lease_duration.as_secs()).ok(),
            acquire_time: before
                .filter(|_| ours)
                .and_then(|before| before.acquire_time.clone())
                .or(Some(MicroTime(wall))),
            renew_time: Some(MicroTime(wall)),
            lease_transitions: Some(transitions.saturating_add(i32::from(before.is_some() && !ours))),
            ..LeaseSpec::default()
        }
    }
}

/// The holder, if there is one.
pub(super) fn holder(lease: &LeaseSpec) -> Option<&str> {
    lease.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    fn candidate(name: &str) -> Candidate {
        Candidate::new(name.to_owned(), ElectionTiming::default())
    }

    fn written(step: Step) -> LeaseSpec {
        match step {
            Step::Create(spec) | Step::Replace(spec) => spec,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn anothers_claim_stands_for_its_duration_of_our_own_time() {
        let (mut a, mut b) = (candidate("a"), candidate("b"));
        // The two machines disagree about the time by years.
        let claim = written(a.observe(None, at(7), Timestamp::UNIX_EPOCH));
        let wait = Step::Wait(Some("a".to_owned()));
        assert_eq!(b.observe(Some((&claim, "1")), at(1_000), Timestamp::now()), wait);
        assert_eq!(b.observe(Some((&claim, "1")), at(1_014), Timestamp::now()), wait);
        let renewed = written(a.observe(Some((&claim, "1")), at(21), Timestamp::UNIX_EPOCH + Duration::from_secs(14)));
        assert_eq!(b.observe(Some((&renewed, "2")), at(1_014), Timestamp::now()), wait);
        assert_eq!(b.observe(Some((&renewed, "2")), at(1_028), Timestamp::now()), wait);
        let taken = written(b.observe(Some((&renewed, "2")), at(1_029), Timestamp::now()));
        assert_eq!((holder(&taken), taken.lease_transitions), (Some("b"), Some(1)));
    }

    #[test]
    fn a_leader_counts_from_before_its_write_and_learns_of_its_loss() {
        let mut a = candidate("a");
        let claim = written(a.observe(None, at(0), Timestamp::UNIX_EPOCH));
        assert_eq!(a.until(), None);
        a.record_renewal(at(1));
        assert_eq!(a.until(), Some(at(11)));
        let other = LeaseSpec { holder_identity: Some("b".to_owned()), ..claim };
        assert_eq!(a.observe(Some((&other, "2")), at(3), Timestamp::UNIX_EPOCH), Step::Lost("b".to_owned()));
    }

    /// A released Lease is taken at once, a deleted one only after the lease duration.
    #[test]
    fn released_and_deleted_leases() {
        let (mut a, mut b) = (candidate("a"), candidate("b"));
        let claim = written(a.observe(None, at(0), Timestamp::UNIX_EPOCH));
        a.record_renewal(at(0));
        b.observe(Some((&claim, "1")), at(0), Timestamp::UNIX_EPOCH);
        assert_eq!(b.observe(None, at(1), Timestamp::UNIX_EPOCH), Step::Wait(None));
        assert_eq!(b.observe(None, at(15), Timestamp::UNIX_EPOCH), Step::Wait(None));
        assert!(matches!(b.observe(None, at(16), Timestamp::UNIX_EPOCH), Step::Create(_)));
        assert!(
            matches!(a.observe(None, at(1), Timestamp::UNIX_EPOCH), Step::Create(_)),
            "the leader does not wait for itself"
        );

        let released = a.release_spec(&claim, Timestamp::UNIX_EPOCH);
        assert_eq!((released.holder_identity.as_deref(), released.lease_duration_seconds), (Some(""), Some(1)));
        assert_eq!(a.until(), None);
        assert_eq!(holder(&written(b.observe(Some((&released, "2")), at(2), Timestamp::UNIX_EPOCH))), Some("b"));
    }

    #[test]
    fn a_silly_duration_is_not_obeyed() {
        let mut b = candidate("b");
        for (stated, expiry) in [(Some(i32::MAX), 300), (Some(-1), 15), (Some(0), 15), (None, 15), (Some(40), 40)] {
            let lease = LeaseSpec { lease_duration_seconds: stated, ..LeaseSpec::default() };
            assert_eq!(b.expiry(Some(&lease)), at(expiry));
        }
        b.record_renewal(at(0));
    }
}
