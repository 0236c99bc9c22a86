//! An AIMD limiter for limits that no header reports: it speeds up with every answer, and halves its rate after a
//! refusal. Times are seconds since the limiter began.

/// The most calls in flight before anything is known.
const FIRST_WINDOW: f64 = 2.0;
/// The slowest rate in calls per second, and the slowest rate after a first refusal, which may have been exceptional.
const SLOWEST: f64 = 0.25;
const SLOWEST_AFTER_FIRST_REFUSAL: f64 = 2.0;
/// The growth of the rate per second, as an exponent: far from the rate that was refused it doubles in five seconds,
/// around that rate it grows slowly.
const GROWTH: (f64, f64) = (0.15, 0.005);
/// The ratios to the refused rate that count as around it.
const AROUND_REFUSED: std::ops::Range<f64> = 0.9..1.1;
/// Once the rate is this many times the refused one, the limit is dropped.
const DROPPED_ABOVE: f64 = 8.0;
/// The rate of calls is averaged over about this many seconds.
const AVERAGED_SECONDS: f64 = 2.0;

/// Two limits: one on calls in flight to routes without a reported bucket, which doubles with every round trip; and,
/// after a refusal, one on calls per second to all routes.
#[derive(Debug)]
pub(super) struct Aimd {
    window: f64,
    /// The average number of calls per second, and when it was computed.
    recent: (f64, f64),
    rate_limit: Option<RateLimit>,
}

#[derive(Debug)]
struct RateLimit {
    rate: f64,
    refused: f64,
    tokens: f64,
    at: f64,
    /// When the rate last grew, and when it was last refused. Calls that were sent before that refusal say nothing new.
    grown_at: f64,
    refused_at: f64,
}

impl Default for Aimd {
    fn default() -> Self {
        Self { window: FIRST_WINDOW, recent: (0.0, 0.0), rate_limit: None }
    }
}

impl Aimd {
    /// Whether no more calls to routes without a reported bucket may be in flight.
    pub(super) fn is_full(&self, in_flight: i64) -> bool {
        in_flight as f64 >= self.window
    }

    /// When the next call may be sent; `None` if it may now.
    pub(super) fn wait_until(&self, now: f64) -> Option<f64> {
        let limit = self.rate_limit.as_ref()?;
        let tokens = limit.tokens_at(now);
        (tokens < 1.0).then(|| now + (1.0 - tokens) / limit.rate + 1e-6)
    }

    /// Whether more calls were counted than the rate allows.
    pub(super) fn is_overdrawn(&self, now: f64) -> bool {
        self.rate_limit.as_ref().is_some_and(|limit| limit.tokens_at(now) < -1e-6)
    }

    /// A call that was counted is not sent after all.
    pub(super) fn give_back(&mut self, now: f64) {
        if let Some(limit) = &mut self.rate_limit {
            (limit.tokens, limit.at) = (limit.tokens_at(now) + 1.0, now);
        }
        self.recent = ((self.recent_rate(now) - 1.0 / AVERAGED_SECONDS).max(0.0), now);
    }

    /// Counts a call.
    pub(super) fn sent(&mut self, now: f64) {
        if let Some(limit) = &mut self.rate_limit {
            (limit.tokens, limit.at) = (limit.tokens_at(now) - 1.0, now);
        }
        self.recent = (self.recent_rate(now) + 1.0 / AVERAGED_SECONDS, now);
    }

    fn recent_rate(&self, now: f64) -> f64 {
        self.recent.0 * ((self.recent.1 - now) / AVERAGED_SECONDS).exp()
    }

    /// A call was answered with anything but a refusal. `unreported`: its route has no reported bucket.
    pub(super) fn increase(&mut self, unreported: bool, now: f64) {
        if unreported {
            self.window += 1.0;
        }
        let Some(limit) = &mut self.rate_limit else { return };
        let growth = if AROUND_REFUSED.contains(&(limit.rate / limit.refused)) { GROWTH.1 } else { GROWTH.0 };
        limit.rate *= (growth * (now - limit.grown_at).min(1.0)).exp();
        limit.grown_at = now;
        if limit.rate > DROPPED_ABOVE * limit.refused {
            self.rate_limit = None;
        }
    }

    /// A call that was sent at `sent` was refused. `refill`: the tokens per second that its headers promise, if they
    /// do.
    pub(super) fn decrease(&mut self, sent: f64, refill: Option<f64>, now: f64) {
        let (rate, refused) = match &self.rate_limit {
            Some(limit) if sent < limit.refused_at => return,
            Some(limit) => {
                ((limit.rate / 2.0).max(refill.unwrap_or_default()).max(SLOWEST).min(limit.rate), limit.rate)
            }
            // Calls were sent faster than the bucket fills, but an unknown part of them drew on what it held. So the
            // refused rate is set low enough for the new rate to grow fast.
            None => {
                let rate =
                    refill.unwrap_or((self.recent_rate(now) / 2.0).max(SLOWEST_AFTER_FIRST_REFUSAL)).max(SLOWEST);
                (rate, rate / AROUND_REFUSED.end)
            }
        };
        self.rate_limit = Some(RateLimit { rate, refused, tokens: 0.0, at: now, grown_at: now, refused_at: now });
    }

    pub(super) fn check(&self) -> bool {
        self.window >= FIRST_WINDOW
            && self.rate_limit.as_ref().is_none_or(|limit| limit.rate > 0.0 && limit.rate.is_finite())
    }
}

impl RateLimit {
    fn tokens_at(&self, now: f64) -> f64 {
        // At high rates, several tokens come in a millisecond; a small burst is allowed.
        (now - self.at).mul_add(self.rate, self.tokens).min((self.rate / 20.0).max(1.0))
    }
}
