//! When an application asks for an access token, and what comes of it. Pure: the time is an argument.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use crate::auth0::{CallError, Token};

/// A refused application is tried again after this long, because the refusal may have been mended in Auth0. As often a
/// token is renewed that lacks a scope which may have been granted since.
pub(super) const REFUSED_RETRY: Duration = Duration::from_secs(600);
/// The pause after the first failure that may pass by itself; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// A token is renewed at this part of its life, or up to a twentieth of its life earlier.
const RENEW_AT: f64 = 0.8;
const SPREAD: f64 = 0.05;
/// A token is not renewed more often than this, however short its life is.
const MIN_RENEWAL: Duration = Duration::from_secs(1);
/// Clocks that differ by this much or more may be why Auth0 refused a signed assertion.
const SKEW: SignedDuration = SignedDuration::from_secs(5);

/// The access token of one application, and how the requests for it fare.
#[derive(Debug, Default)]
pub(super) struct TokenState {
    held: Option<Held>,
    failure: Option<Failure>,
    failures: u32,
    /// Somebody needs a token, and none is held.
    wanted: bool,
    /// Auth0 rejected the token before the one that is held or asked for, and has accepted no call since.
    is_replacement: bool,
    clock_skew: SignedDuration,
    /// Every tenant that uses it is suspended, so nothing may be sent, not even to renew it.
    is_suspended: bool,
}

#[derive(Debug)]
struct Held {
    token: Token,
    since: Instant,
    renew_at: Option<Instant>,
    ends: Option<Instant>,
}

/// Why there is no token, or why the one that is held could not be renewed.
#[derive(Clone, Debug)]
struct Failure {
    error: CallError,
    retry_at: Instant,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask for a token.
    Request,
    /// Nothing before this time, unless something changes.
    Wait(Instant),
    /// Nothing, unless something changes.
    Idle,
}

/// Whether a call can be made.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Availability {
    /// With a token that is held.
    Available,
    /// There will be a token, or a failure, soon.
    Pending,
    /// Not for now: the last request failed.
    Failed(CallError),
}

impl TokenState {
    /// The token, as long as it lasts.
    pub(super) fn token(&self, now: Instant) -> Option<&Token> {
        let held = self.held.as_ref()?;
        held.ends.is_none_or(|ends| now < ends).then_some(&held.token)
    }

    /// Whether a call can be made.
    pub(super) fn availability(&self, now: Instant) -> Availability {
        match (self.token(now), &self.failure) {
            (Some(_), _) => Availability::Available,
            (None, Some(failure)) => Availability::Failed(failure.error.clone()),
            (None, None) => Availability::Pending,
        }
    }

    /// Why the token that is held could not be renewed.
    pub(super) fn failure(&self) -> Option<&CallError> {
        self.failure.as_ref().map(|failure| &failure.error)
    }

    /// How far Auth0's clock is ahead of ours, as far as is known.
    pub(super) const fn clock_skew(&self) -> SignedDuration {
        self.clock_skew
    }

    /// Somebody needs a token.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// Somebody asks for a fresh token, because something was changed in Auth0. It does not end a wait after a 429.
    pub(super) fn refresh(&mut self, now: Instant) {
        if !matches!(self.failure(), Some(CallError::RateLimited(_))) {
            self.failure = None;
        }
        self.wanted = true;
        if let Some(held) = &mut self.held {
            held.renew_at = Some(now);
        }
    }

    /// Sets whether every tenant that uses it is suspended.
    pub(super) fn suspend(&mut self, is_suspended: bool) {
        self.is_suspended = is_suspended;
    }

    /// What to do next.
    pub(super) fn next(&self, now: Instant) -> Step {
        if self.is_suspended {
            return Step::Idle;
        }
        let due = match &self.held {
            None if self.wanted => now,
            Some(Held { renew_at: Some(at), .. }) => *at,
            None | Some(Held { renew_at: None, .. }) => return Step::Idle,
        };
        let at = self.failure.as_ref().map_or(due, |failure| due.max(failure.retry_at));
        if at <= now { Step::Request } else { Step::Wait(at) }
    }

    /// Auth0 gave a token. `jitter` is from 0 to 1.
    pub(super) fn obtained(&mut self, token: Token, now: Instant, jitter: f64) {
        let life = token.lifetime().and_then(|life| Duration::try_from(life).ok());
        let renewal = |life: Duration| life.mul_f64(RENEW_AT - SPREAD * jitter).max(MIN_RENEWAL);
        let renew_at = life.map(|life| now + renewal(life));
        self.held = Some(Held { token, since: now, renew_at, ends: life.map(|life| now + life) });
        (self.failure, self.failures, self.wanted) = (None, 0, false);
    }

    /// A request failed. `server_ahead` is how far Auth0's clock was ahead in its answer, `signed` says whether the
    /// request was signed: if that may be why Auth0 refused it, it is repeated at once with the right time.
    pub(super) fn failed(
        &mut self,
        error: CallError,
        (signed, server_ahead): (bool, Option<SignedDuration>),
        now: Instant,
        jitter: f64,
    ) {
        let skew = server_ahead.unwrap_or(self.clock_skew);
        let was_wrong = (skew - self.clock_skew).abs() >= SKEW;
        self.clock_skew = skew;
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6)).min(MAX_PAUSE);
        let pause = if let CallError::RateLimited(wait) = &error {
            *wait
        } else if signed && was_wrong && matches!(error, CallError::Unauthorized(_)) {
            Duration::ZERO
        } else if error.is_auth0s_own() {
            REFUSED_RETRY
        } else {
            doubled.mul_f64(1.0 + 0.2 * jitter)
        };
        self.failures = self.failures.saturating_add(1);
        // Objects that wait do not look again before there is news, so the retry must not depend on them.
        self.wanted = true;
        if !pause.is_zero() {
            self.failure = Some(Failure { error, retry_at: now + pause });
        }
    }

    /// A call with this token has ended. Returns whether Auth0 rejected it and it is replaced, which happens once until
    /// a call is accepted again.
    pub(super) fn call_ended(&mut self, token: &Token, error: Option<&CallError>, now: Instant) -> bool {
        let is_held = self.held.as_ref().is_some_and(|held| held.token.fingerprint() == token.fingerprint());
        match error {
            Some(CallError::Unauthorized(_)) if is_held && self.is_replacement => {
                self.held = None;
                self.wanted = false;
                false
            }
            Some(CallError::Unauthorized(_)) if is_held => {
                (self.held, self.is_replacement, self.wanted) = (None, true, true);
                true
            }
            // An earlier token: by now there is another one, or it is asked for.
            Some(CallError::Unauthorized(_)) => self.held.is_some() || self.wanted,
            Some(CallError::InsufficientScope(_) | CallError::Denied(_)) if is_held => {
                self.is_replacement = false;
                if let Some(held) = self.held.as_mut().filter(|held| now >= held.since + REFUSED_RETRY) {
                    held.renew_at = Some(now);
                }
                false
            }
            Some(error) if !error.is_auth0s_own() => false,
            None | Some(_) => {
                self.is_replacement &= !is_held;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, seconds: i64) -> Token {
        let answer = serde_json::json!({"access_token": text, "expires_in": seconds});
        Token::issued(&answer, jiff::Timestamp::UNIX_EPOCH).unwrap()
    }

    const REJECTED: CallError = CallError::Unauthorized("401");

    fn holding(seconds: i64, now: Instant) -> TokenState {
        let mut state = TokenState::default();
        state.want();
        state.obtained(token("a", seconds), now, 0.0);
        state
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_token_is_asked_for_when_it_is_wanted_and_renewed_before_it_ends() {
        let now = Instant::now();
        let mut state = TokenState::default();
        assert_eq!((state.next(now), state.availability(now)), (Step::Idle, Availability::Pending));
        state.want();
        assert_eq!(state.next(now), Step::Request);
        state.obtained(token("a", 1000), now, 1.0);
        assert_eq!(state.next(now), Step::Wait(now + seconds(750)));
        let state = holding(1000, now);
        assert_eq!(state.next(now + seconds(799)), Step::Wait(now + seconds(800)));
        assert_eq!(state.next(now + seconds(800)), Step::Request);
        assert!(state.token(now + seconds(999)).is_some() && state.token(now + seconds(1000)).is_none());
    }

    /// Promise 5: nothing is sent while suspended, and what was due follows afterwards.
    #[test]
    fn nothing_is_asked_for_while_suspended() {
        let now = Instant::now();
        let mut state = holding(1000, now);
        state.suspend(true);
        assert_eq!(state.next(now + seconds(900)), Step::Idle);
        state.refresh(now);
        assert_eq!(state.next(now + seconds(900)), Step::Idle);
        state.suspend(false);
        assert_eq!(state.next(now + seconds(900)), Step::Request);
    }

    #[test]
    fn failures_are_retried_at_their_own_pace() {
        let now = Instant::now();
        let pause = |errors: &[CallError]| {
            let mut state = TokenState::default();
            state.want();
            for error in errors {
                state.failed(error.clone(), (false, None), now, 0.0);
            }
            assert_eq!(state.availability(now), Availability::Failed(errors.last().unwrap().clone()));
            match state.next(now) {
                Step::Wait(at) => at - now,
                step => panic!("{step:?}"),
            }
        };
        let lost = || CallError::no_answer("x");
        assert_eq!(pause(&[lost()]), seconds(1));
        assert_eq!(pause(&[lost(), lost(), lost()]), seconds(4));
        assert_eq!(pause(&vec![lost(); 20]), MAX_PAUSE);
        assert_eq!(pause(&[REJECTED]), REFUSED_RETRY);
        assert_eq!(pause(&[CallError::Denied("x")]), REFUSED_RETRY);
        assert_eq!(pause(&[CallError::RateLimited(seconds(42))]), seconds(42));
    }

    #[test]
    fn a_failed_renewal_leaves_the_token_that_is_held() {
        let now = Instant::now();
        let mut state = holding(1000, now);
        let later = now + seconds(900);
        state.failed(CallError::no_answer("x"), (false, None), later, 0.0);
        assert_eq!(state.availability(later), Availability::Available);
        assert!(state.failure().is_some());
        assert!(matches!(state.availability(now + seconds(1000)), Availability::Failed(_)));
    }

    #[test]
    fn a_rejected_token_is_replaced_once() {
        let now = Instant::now();
        let mut state = holding(1000, now);
        let (first, second) = (token("a", 1000), token("b", 1000));
        assert!(state.call_ended(&first, Some(&REJECTED), now));
        assert!(state.call_ended(&first, Some(&REJECTED), now), "another call with it that was in flight");
        assert_eq!(state.next(now), Step::Request);
        state.obtained(second.clone(), now, 0.0);
        assert!(state.call_ended(&first, Some(&REJECTED), now), "by now there is another");
        assert!(!state.call_ended(&second, Some(&REJECTED), now), "the second 401 is the tenant's trouble");
        assert!(!state.call_ended(&first, Some(&REJECTED), now));
        assert_eq!(state.next(now), Step::Idle, "no storm");
        state.want();
        state.obtained(second.clone(), now, 0.0);
        assert!(!state.call_ended(&second, None, now));
        assert!(state.call_ended(&second, Some(&REJECTED), now), "a call was accepted in between");
    }

    #[test]
    fn a_scope_that_was_granted_since_is_found_with_a_fresh_token() {
        let now = Instant::now();
        let mut state = holding(86_400, now);
        let lacking = CallError::InsufficientScope("update:users".into());
        assert!(!state.call_ended(&token("a", 1), Some(&lacking), now + seconds(599)));
        assert_ne!(state.next(now + seconds(600)), Step::Request);
        assert!(!state.call_ended(&token("a", 1), Some(&lacking), now + seconds(600)));
        assert_eq!(state.next(now + seconds(600)), Step::Request);
        assert!(state.token(now + seconds(600)).is_some(), "meanwhile the old one is used");
    }

    #[test]
    fn a_refusal_because_of_the_clock_is_repeated_once_with_the_right_time() {
        let now = Instant::now();
        let mut state = TokenState::default();
        state.want();
        let ahead = SignedDuration::from_secs(-300);
        state.failed(REJECTED, (true, Some(ahead)), now, 0.0);
        assert_eq!((state.next(now), state.clock_skew()), (Step::Request, ahead));
        state.failed(REJECTED, (true, Some(ahead)), now, 0.0);
        assert_eq!(state.next(now), Step::Wait(now + REFUSED_RETRY));
        let mut state = TokenState::default();
        state.failed(REJECTED, (false, Some(ahead)), now, 0.0);
        assert_ne!(state.next(now), Step::Request, "a client secret has no clock");
    }

    #[test]
    fn a_fresh_token_on_request_ends_a_refusal_but_no_wait_after_a_429() {
        let now = Instant::now();
        let mut state = TokenState::default();
        state.failed(REJECTED, (false, None), now, 0.0);
        state.refresh(now);
        assert_eq!(state.next(now), Step::Request);
        state.failed(CallError::RateLimited(seconds(9)), (false, None), now, 0.0);
        state.refresh(now);
        assert_eq!(state.next(now), Step::Wait(now + seconds(9)));
        let mut state = holding(1000, now);
        state.refresh(now);
        assert_eq!((state.next(now), state.availability(now)), (Step::Request, Availability::Available));
    }
}
