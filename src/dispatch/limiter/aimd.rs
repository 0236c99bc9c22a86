//! A limiter for what no header explains: it opens with every answer and halves after a refusal. Times are seconds since the
//! limiter began.

/// Calls on their way before anything is known.
const FIRST_WINDOW: f64 = 2.0;
/// Slowest rate in calls a second, and the slowest after a first refusal: a single one may have come out of the blue.
const SLOWEST: f64 = 0.25;
const SLOW: f64 = 2.0;
/// Growth a second: far from the rate that was refused, it doubles in five seconds; around it, it takes its time.
const GROWTH: (f64, f64) = (0.15, 0.005);
/// What counts as around it.
const AROUND: std::ops::Range<f64> = 0.9..1.1;
/// So many times the rate that was refused is no limit any more.
const FORGOTTEN: f64 = 8.0;
/// Calls sent are counted over about this many seconds.
const RECENTLY: f64 = 2.0;

/// Two limits: of calls on their way for kinds of call of which no bucket is known, doubled with every round trip; and, after a
/// refusal, of calls a second for all.
#[derive(Debug)]
pub(super) struct Aimd {
    window: f64,
    /// Calls a second of late, as of when.
    tried: (f64, f64),
    pace: Option<Pace>,
}

#[derive(Debug)]
struct Pace {
    rate: f64,
    refused: f64,
    tokens: f64,
    at: f64,
    /// When it grew last, and when it was refused last: calls that left before that say nothing new.
    grown: f64,
    closed: f64,
}

impl Default for Aimd {
    fn default() -> Self {
        Self { window: FIRST_WINDOW, tried: (0.0, 0.0), pace: None }
    }
}

impl Aimd {
    /// Whether as many calls of unknown buckets are on their way as may be.
    pub(super) fn is_full(&self, in_flight: i64) -> bool {
        in_flight as f64 >= self.window
    }

    /// When the next call may leave: `None` for now.
    pub(super) fn wait_until(&self, now: f64) -> Option<f64> {
        let pace = self.pace.as_ref()?;
        let tokens = pace.tokens_at(now);
        (tokens < 1.0).then(|| now + (1.0 - tokens) / pace.rate + 1e-6)
    }

    /// Whether calls that are counted already are too many.
    pub(super) fn is_overdrawn(&self, now: f64) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.tokens_at(now) < -1e-6)
    }

    /// A call does not leave after all.
    pub(super) fn give_back(&mut self, now: f64) {
        if let Some(pace) = &mut self.pace {
            (pace.tokens, pace.at) = (pace.tokens_at(now) + 1.0, now);
        }
        self.tried = ((self.tried_at(now) - 1.0 / RECENTLY).max(0.0), now);
    }

    /// A call leaves.
    pub(super) fn sent(&mut self, now: f64) {
        if let Some(pace) = &mut self.pace {
            (pace.tokens, pace.at) = (pace.tokens_at(now) - 1.0, now);
        }
        self.tried = (self.tried_at(now) + 1.0 / RECENTLY, now);
    }

    fn tried_at(&self, now: f64) -> f64 {
        self.tried.0 * ((self.tried.1 - now) / RECENTLY).exp()
    }

    /// A call was answered with something else than a refusal. `unknown`: no bucket of it is known.
    pub(super) fn open(&mut self, unknown: bool, now: f64) {
        if unknown {
            self.window += 1.0;
        }
        let Some(pace) = &mut self.pace else { return };
        let growth = if AROUND.contains(&(pace.rate / pace.refused)) { GROWTH.1 } else { GROWTH.0 };
        pace.rate *= (growth * (now - pace.grown).min(1.0)).exp();
        pace.grown = now;
        if pace.rate > FORGOTTEN * pace.refused {
            self.pace = None;
        }
    }

    /// A call that left at `sent` was refused. `least`: what its headers say comes back in a second.
    pub(super) fn close(&mut self, sent: f64, least: Option<f64>, now: f64) {
        let (rate, refused) = match &self.pace {
            Some(pace) if sent < pace.closed => return,
            Some(pace) => ((pace.rate / 2.0).max(least.unwrap_or_default()).max(SLOWEST).min(pace.rate), pace.rate),
            // Calls left faster than it fills, but how much of that a full bucket gave is unknown: soon back to it.
            None => {
                let rate = least.unwrap_or((self.tried_at(now) / 2.0).max(SLOW)).max(SLOWEST);
                (rate, rate / AROUND.end)
            }
        };
        self.pace = Some(Pace { rate, refused, tokens: 0.0, at: now, grown: now, closed: now });
    }

    pub(super) fn check(&self) -> bool {
        self.window >= FIRST_WINDOW && self.pace.as_ref().is_none_or(|pace| pace.rate > 0.0 && pace.rate.is_finite())
    }
}

impl Pace {
    fn tokens_at(&self, now: f64) -> f64 {
        // At high rates a millisecond brings several.
        (now - self.at).mul_add(self.rate, self.tokens).min((self.rate / 20.0).max(1.0))
    }
}
