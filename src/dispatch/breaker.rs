//! A circuit breaker: open from a 429 until the time that it named, then half-open until a single probe has been
//! answered. Pure: the current time is an argument.

use std::time::{Duration, Instant};

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Calls are let through.
    Closed,
    /// No call is let through before this time.
    Open(Instant),
    /// A single call, the probe, finds out whether Auth0 answers again.
    HalfOpen {
        /// Whether the probe is in flight.
        probing: bool,
    },
}

/// Whether a call is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allow {
    /// It is. If it is a probe, its end has to be reported with [`Breaker::probe_finished`] or [`Breaker::open`].
    Now {
        /// Whether it is the probe of a half-open breaker.
        probe: bool,
    },
    /// It is not; ask again at this time.
    At(Instant),
    /// It is not, because the probe is in flight; ask again when it has ended.
    AfterProbe,
}

/// A circuit breaker. It starts closed.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    open_until: Option<Instant>,
    probing: bool,
}

impl Breaker {
    pub(crate) fn state(&self, now: Instant) -> State {
        match self.open_until {
            None => State::Closed,
            Some(until) if now < until => State::Open(until),
            Some(_) => State::HalfOpen { probing: self.probing },
        }
    }

    /// Asks to send a call at `now`.
    pub(crate) fn allow(&mut self, now: Instant) -> Allow {
        match self.state(now) {
            State::Closed => Allow::Now { probe: false },
            State::Open(until) => Allow::At(until),
            State::HalfOpen { probing: true } => Allow::AfterProbe,
            State::HalfOpen { probing: false } => {
                self.probing = true;
                Allow::Now { probe: true }
            }
        }
    }

    /// Opens the breaker until `until`, which the caller has clamped, or longer if it is open already: no event
    /// shortens a wait.
    pub(crate) fn open(&mut self, until: Instant) {
        self.open_until = self.open_until.max(Some(until));
        self.probing = false;
    }

    /// The probe ended without a 429. If Auth0 answered it, the breaker closes; otherwise the next call becomes the
    /// probe.
    pub(crate) fn probe_finished(&mut self, now: Instant, answered: bool) {
        self.probing = false;
        if answered && self.open_for(now).is_none() {
            self.open_until = None;
        }
    }

    /// How long the breaker stays open; `None` if it is not open.
    pub(crate) fn open_for(&self, now: Instant) -> Option<Duration> {
        self.open_until.and_then(|until| until.checked_duration_since(now)).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_probe_closes() {
        let t = Instant::now();
        let later = |seconds| t + Duration::from_secs(seconds);
        let mut breaker = Breaker::default();
        assert_eq!(breaker.allow(t), Allow::Now { probe: false });
        breaker.open(later(10));
        assert_eq!((breaker.state(later(9)), breaker.allow(later(9))), (State::Open(later(10)), Allow::At(later(10))));
        assert_eq!(breaker.allow(later(10)), Allow::Now { probe: true });
        assert_eq!(breaker.allow(later(10)), Allow::AfterProbe);
        breaker.probe_finished(later(11), false);
        assert_eq!(breaker.allow(later(11)), Allow::Now { probe: true }, "a probe without an answer hands on");
        breaker.probe_finished(later(11), true);
        assert_eq!((breaker.state(later(11)), breaker.open_for(later(11))), (State::Closed, None));
    }

    proptest! {
        /// Nothing is let through before any time that was named; there is one probe at a time; only an answered probe
        /// closes the breaker; it never gets stuck.
        #[test]
        fn nothing_leaves_before_any_time_named(
            steps in proptest::collection::vec((0u64..5, 0u64..100, 0u8..4), 1..80),
        ) {
            let start = Instant::now();
            let (mut now, mut named, mut probing, mut answered) = (start, start, false, true);
            let mut breaker = Breaker::default();
            for (step, wait, action) in steps {
                now += Duration::from_secs(step);
                match action {
                    0 => {
                        let until = now + Duration::from_secs(wait);
                        breaker.open(until);
                        (named, probing, answered) = (named.max(until), false, false);
                    }
                    1 if probing => {
                        breaker.probe_finished(now, wait % 2 == 0);
                        (probing, answered) = (false, wait % 2 == 0);
                    }
                    _ => {
                        let expected = match now {
                            _ if answered => Allow::Now { probe: false },
                            now if now < named => Allow::At(named),
                            _ if probing => Allow::AfterProbe,
                            _ => Allow::Now { probe: true },
                        };
                        prop_assert_eq!(breaker.allow(now), expected);
                        probing |= expected == Allow::Now { probe: true };
                    }
                }
                prop_assert_eq!(breaker.open_for(now), (now < named).then(|| named - now));
            }
        }
    }
}
