//! The wall clock of the machines on which the operator runs. People set it now and then; Auth0 and the API server have
//! clocks of their own.

use jiff::{SignedDuration, Timestamp};

use crate::auth0::{EPOCH, Millis};

/// What the wall clock shows at any time.
#[derive(Debug, Default)]
pub struct Wall {
    /// When it was set, and by how many milliseconds it differs from the true time since then.
    jumps: Vec<(Millis, i64)>,
}

impl Wall {
    /// What it shows at that time; at the very time of a jump, what it shows after it.
    pub fn at(&self, time: Millis) -> Timestamp {
        let off = self.jumps.iter().rev().find(|(at, _)| *at <= time).map_or(0, |(_, off)| *off);
        true_time(time) + SignedDuration::from_millis(off)
    }

    /// Somebody sets it.
    pub fn jump(&mut self, at: Millis, seconds: i64) {
        let off = self.jumps.last().map_or(0, |(_, off)| *off);
        self.jumps.push((at, off + seconds * 1000));
    }

    /// Whether it was set since that time.
    pub fn jumped_since(&self, from: Millis) -> bool {
        self.jumps.last().is_some_and(|(at, _)| *at >= from)
    }

    /// The latest time that it has ever shown.
    pub fn latest(&self, now: Millis) -> Timestamp {
        let before = |(at, _): &(Millis, i64)| self.at(at.saturating_sub(1));
        self.jumps.iter().map(before).chain([self.at(now)]).max().unwrap_or_else(|| self.at(now))
    }
}

/// The time of the API server's clock.
pub fn true_time(time: Millis) -> Timestamp {
    Timestamp::from_second(EPOCH).unwrap() + SignedDuration::from_millis(i64::try_from(time).unwrap())
}
