//! What a candidate concludes from what it sees. Pure: no clock, no calls.
//!
//! Two leaders at a time are kept apart by three things. A write carries the resourceVersion of the read it follows from,
//! so of two that see the same only one succeeds. A leader counts its time from before its write was sent, and stops
//! after the renew deadline. Everybody else counts from after a read, by a clock of their own, and waits for the whole
//! lease duration, which is longer. So no clock is ever compared with another; it is enough that they run about equally
//! fast.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::clock::Moment;

/// Name of the lease, in the operator's namespace.
pub const LEASE: &str = "rescind-leader";

/// The three times of an election; the defaults are client-go's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A claim that was not renewed for this long is void. Whole seconds.
    pub lease_duration: Duration,
    /// A leader that could not renew for this long gives up; less than `lease_duration`.
    pub renew_deadline: Duration,
    /// Pause between two looks at the lease.
    pub retry_period: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// A stranger's mistake must not keep everybody out for ever.
const LONGEST_DURATION: Duration = Duration::from_secs(300);

/// What to do after a look.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// There is no lease: create it.
    Create(LeaseSpec),
    /// Take it, or renew it.
    Replace(LeaseSpec),
    /// It is another's, or was a moment ago. Who has it, if anybody.
    Wait(Option<String>),
    /// It was ours and is another's now.
    Lost(String),
}

/// One of those who want to lead.
#[derive(Debug)]
pub(super) struct Candidate {
    identity: String,
    timing: Timing,
    /// The version that was seen last and was not ours (`None`: no lease), and since when it has been the same. Not its
    /// times: they are other people's clocks.
    seen: Option<(Option<String>, Moment)>,
    /// Our claim holds until then.
    until: Option<Moment>,
}

impl Candidate {
    pub(super) const fn new(identity: String, timing: Timing) -> Self {
        Self { identity, timing, seen: None, until: None }
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Until when our claim holds, if we have one.
    pub(super) const fn until(&self) -> Option<Moment> {
        self.until
    }

    /// The lease, if there is one, was read with its version, and the answer came at `now` (not: was asked for). `wall` is
    /// for people only.
    pub(super) fn look(&mut self, read: Option<(&LeaseSpec, &str)>, now: Moment, wall: Timestamp) -> Step {
        let (lease, version) = (read.map(|read| read.0), read.map(|read| read.1));
        let holder = lease.and_then(holder);
        if let (Some(lease), Some(_)) = (lease, holder.filter(|holder| *holder == self.identity)) {
            return Step::Replace(self.claim(Some(lease), wall));
        }
        if let (true, Some(holder)) = (self.until.is_some(), holder) {
            return Step::Lost(holder.to_owned());
        }
        match lease {
            // Given up by its holder.
            Some(lease) if holder.is_none() => return Step::Replace(self.claim(Some(lease), wall)),
            // Nobody ever had it, as far as we know, or it was ours.
            None if self.seen.is_none() || self.until.is_some() => return Step::Create(self.claim(None, wall)),
            _ => {}
        }
        let since = match &self.seen {
            Some((seen, since)) if seen.as_deref() == version => *since,
            _ => now,
        };
        self.seen = Some((version.map(str::to_owned), since));
        if now.saturating_sub(since) < self.patience(lease) {
            return Step::Wait(holder.map(str::to_owned));
        }
        match lease {
            Some(lease) => Step::Replace(self.claim(Some(lease), wall)),
            None => Step::Create(self.claim(None, wall)),
        }
    }

    /// Our claim was written; the write was sent at `sent` or later.
    pub(super) fn record_renewal(&mut self, sent: Moment) {
        self.until = Some(sent + self.timing.renew_deadline);
    }

    /// We claim nothing any more. What to write so that others need not wait.
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

    /// How long this claim of another stands unless it changes; one that went away may still be believed by its holder.
    fn patience(&self, lease: Option<&LeaseSpec>) -> Duration {
        let stated = lease.and_then(|lease| u64::try_from(lease.lease_duration_seconds?).ok()).map(Duration::from_secs);
        stated.unwrap_or_default().min(LONGEST_DURATION).max(self.timing.lease_duration)
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

/// Who has it, if anybody.
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
        Candidate::new(name.to_owned(), Timing::default())
    }

    fn written(step: Step) -> LeaseSpec {
        match step {
            Step::Create(spec) | Step::Replace(spec) => spec,
            other => panic!("{other:?}"),
        }
    }

    /// Broken on purpose by taking the first sight for an expired claim: it failed.
    #[test]
    fn anothers_claim_stands_for_its_duration_of_our_own_time() {
        let (mut a, mut b) = (candidate("a"), candidate("b"));
        // The two machines disagree about the time by years.
        let claim = written(a.look(None, at(7), Timestamp::UNIX_EPOCH));
        let wait = Step::Wait(Some("a".to_owned()));
        assert_eq!(b.look(Some((&claim, "1")), at(1_000), Timestamp::now()), wait);
        assert_eq!(b.look(Some((&claim, "1")), at(1_014), Timestamp::now()), wait);
        let renewed = written(a.look(Some((&claim, "1")), at(21), Timestamp::UNIX_EPOCH + Duration::from_secs(14)));
        assert_eq!(b.look(Some((&renewed, "2")), at(1_014), Timestamp::now()), wait);
        assert_eq!(b.look(Some((&renewed, "2")), at(1_028), Timestamp::now()), wait);
        let taken = written(b.look(Some((&renewed, "2")), at(1_029), Timestamp::now()));
        assert_eq!((holder(&taken), taken.lease_transitions), (Some("b"), Some(1)));
    }

    /// Broken on purpose by counting the whole lease duration, and by not noticing the loss: it failed.
    #[test]
    fn a_leader_counts_from_before_its_write_and_learns_of_its_loss() {
        let mut a = candidate("a");
        let claim = written(a.look(None, at(0), Timestamp::UNIX_EPOCH));
        assert_eq!(a.until(), None);
        a.record_renewal(at(1));
        assert_eq!(a.until(), Some(at(11)));
        let other = LeaseSpec { holder_identity: Some("b".to_owned()), ..claim };
        assert_eq!(a.look(Some((&other, "2")), at(3), Timestamp::UNIX_EPOCH), Step::Lost("b".to_owned()));
    }

    /// What was given up is taken at once; what was deleted only after everybody's time has run out.
    /// Broken on purpose by creating at once, and by waiting for a released one: it failed.
    #[test]
    fn released_and_deleted_leases() {
        let (mut a, mut b) = (candidate("a"), candidate("b"));
        let claim = written(a.look(None, at(0), Timestamp::UNIX_EPOCH));
        a.record_renewal(at(0));
        b.look(Some((&claim, "1")), at(0), Timestamp::UNIX_EPOCH);
        assert_eq!(b.look(None, at(1), Timestamp::UNIX_EPOCH), Step::Wait(None));
        assert_eq!(b.look(None, at(15), Timestamp::UNIX_EPOCH), Step::Wait(None));
        assert!(matches!(b.look(None, at(16), Timestamp::UNIX_EPOCH), Step::Create(_)));
        assert!(matches!(a.look(None, at(1), Timestamp::UNIX_EPOCH), Step::Create(_)), "the leader's own");

        let released = a.release_spec(&claim, Timestamp::UNIX_EPOCH);
        assert_eq!((released.holder_identity.as_deref(), released.lease_duration_seconds), (Some(""), Some(1)));
        assert_eq!(a.until(), None);
        assert_eq!(holder(&written(b.look(Some((&released, "2")), at(2), Timestamp::UNIX_EPOCH))), Some("b"));
    }

    /// Broken on purpose by trusting the stated duration: it failed.
    #[test]
    fn a_silly_duration_is_not_obeyed() {
        let mut b = candidate("b");
        for (stated, patience) in [(Some(i32::MAX), 300), (Some(-1), 15), (Some(0), 15), (None, 15), (Some(40), 40)] {
            let lease = LeaseSpec { lease_duration_seconds: stated, ..LeaseSpec::default() };
            assert_eq!(b.patience(Some(&lease)), at(patience));
        }
        b.record_renewal(at(0));
    }
}
