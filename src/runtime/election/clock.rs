//! The clock of the election, and the token that says until when this process may act.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A point in time: the duration since this machine was booted. It means nothing on another machine.
pub(super) type Moment = Duration;

/// `CLOCK_BOOTTIME` advances while this process is stopped (as `CLOCK_MONOTONIC` does) and while the machine is
/// suspended (as that one does not). It does not advance while a hypervisor has paused the virtual machine: after that
/// a leader may go on for the rest of its renew deadline, and a removal may be repeated.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

pub(super) fn now() -> Moment {
    let time = clock_gettime(CLOCK);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Whether this process may act, which is checked before every call to Auth0. It holds an instant instead of a flag, so
/// that it expires even if nothing in this process ran meanwhile. Clones share the instant.
#[derive(Clone, Debug, Default)]
pub struct LeadershipToken(Arc<AtomicU64>);

impl LeadershipToken {
    /// A token that never expires, for a run without election.
    pub(crate) fn always() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// Whether this process may act now.
    pub fn holds(&self) -> bool {
        millis(now()) < self.0.load(Ordering::Acquire)
    }

    /// Lets the token hold until then; `None` ends it.
    pub(super) fn set(&self, until: Option<Moment>) {
        self.0.store(until.map_or(0, millis), Ordering::Release);
    }
}

fn millis(moment: Moment) -> u64 {
    u64::try_from(moment.as_millis()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_by_itself() {
        let leadership = LeadershipToken::default();
        assert!(!leadership.holds());
        leadership.set(Some(now() + Duration::from_secs(60)));
        assert!(leadership.holds());
        leadership.set(Some(now()));
        assert!(!leadership.holds(), "the instant itself is too late");
        leadership.set(Some(now() + Duration::from_secs(60)));
        leadership.set(None);
        assert!(!leadership.holds());
        assert!(LeadershipToken::always().holds());
    }
}
