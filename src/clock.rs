//! The two clocks, read in one place, so that a test can run the operator's whole life on a virtual one: tokio's paused
//! clock is the steady one, and the wall follows it from where [`begin_at`] put it.

use std::cell::Cell;
use std::time::Instant;

use jiff::Timestamp;

thread_local! {
    static BEGAN: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
}

/// The clock that never jumps.
pub fn steady() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The clock on the wall.
pub fn wall() -> Timestamp {
    match BEGAN.get() {
        Some((at, then)) => at + steady().saturating_duration_since(then),
        None => Timestamp::now(),
    }
}

/// From now on, on this thread, the wall shows this time and goes on with the steady clock. For tests.
pub fn begin_at(at: Timestamp) {
    BEGAN.set(Some((at, steady())));
}
