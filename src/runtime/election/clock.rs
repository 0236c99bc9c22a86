//! The clock of the lease, and until when this process may act by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A point in time, as the duration since this machine started. Of no meaning to any other machine.
pub(super) type Moment = Duration;

/// `CLOCK_BOOTTIME` goes on while this process is stopped (as `CLOCK_MONOTONIC` does) and while the machine sleeps (as
/// that one does not). It does not see that a virtual machine was frozen from outside: then a leader may believe in
/// itself for the rest of its ten seconds, and a removal may be repeated.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

pub(super) fn now() -> Moment {
    let time = clock_gettime(CLOCK);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Until when this process may act, for everybody to ask at any time. It is an instant and not a flag, so that it ends
/// by itself, also when nothing in this process ran meanwhile.
#[derive(Clone, Debug, Default)]
pub struct LeadershipToken(Arc<AtomicU64>);

impl LeadershipToken {
    /// Without an election there is nobody to give way to.
    pub(crate) fn always() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// Whether this process may act now.
    pub fn holds(&self) -> bool {
        millis(now()) < self.0.load(Ordering::Acquire)
    }

    /// `None`: not at all.
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

    /// Broken on purpose by `<=` for `<` and by ignoring `None`: it failed.
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
