//! The two clocks. They are read in one place, so that a test can run the whole operator in virtual time: the monotonic
//! clock is tokio's, which a test can pause, and the wall clock follows it from the time that [`begin_at`] set.

use std::cell::Cell;
use std::time::Instant;

use jiff::Timestamp;

thread_local! {
    static BEGAN: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
}

/// The monotonic clock.
pub fn steady() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The wall clock, which may jump.
pub fn wall() -> Timestamp {
    match BEGAN.get() {
        Some((at, then)) => at + steady().saturating_duration_since(then),
        None => Timestamp::now(),
    }
}

/// Sets the wall clock of this thread to `at`; from then on it follows the monotonic clock. For tests.
pub fn begin_at(at: Timestamp) {
    BEGAN.set(Some((at, steady())));
}
