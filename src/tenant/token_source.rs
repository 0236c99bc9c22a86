//! Asks for the access token of one application and keeps it, in memory only. However many calls wait for a token, one
//! request is in flight.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch};

use crate::api::{CredentialKind, Reason};
use crate::auth0::{Answer, Application, CallError, Domain, ManagementApi, Token, TokenRequest};
use crate::clock;
use crate::dispatch::{ConnectionKey, Credential};
use crate::sync::lock;

use super::connection::TenantError;
use super::token_state::{Availability, Step, TokenState};

/// A request for a token has ended.
#[derive(Debug)]
pub struct TokenNews {
    /// The connection that the token is for.
    pub connection: ConnectionKey,
    /// The domain that was asked.
    pub domain: Domain,
    /// The client id of the application.
    pub client_id: String,
    /// From right before the request was sent until its response was complete.
    pub took: Duration,
    /// The answer, without the token.
    pub answer: Answer<()>,
}

/// Where a token comes from.
pub(super) struct Origin {
    pub(super) connection: ConnectionKey,
    pub(super) application: Application,
    pub(super) domain: Domain,
    pub(super) audience: String,
    pub(super) client: Arc<dyn ManagementApi>,
}

/// The access token of one application. Its worker ends when it is dropped.
pub(super) struct TokenSource {
    origin: Origin,
    state: Mutex<TokenState>,
    /// Notified when the worker may have something to do.
    changed: Arc<Notify>,
    /// Changes after each request.
    settled: watch::Sender<()>,
    news: UnboundedSender<TokenNews>,
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the tokens of {} at {}", self.origin.application.client_id(), self.origin.domain)
    }
}

impl Drop for TokenSource {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

impl TokenSource {
    /// Starts without a token; asks for one when somebody wants it.
    pub(super) fn start(origin: Origin, news: UnboundedSender<TokenNews>) -> Arc<Self> {
        let (state, changed, settled) = (Mutex::default(), Arc::default(), watch::Sender::default());
        let source = Arc::new(Self { origin, state, changed, settled, news });
        tokio::spawn(work(Arc::downgrade(&source), source.changed.clone()));
        source
    }

    /// Somebody needs a token.
    pub(super) fn want(&self) {
        self.change(TokenState::want);
    }

    /// Somebody asks for a fresh token.
    pub(super) fn refresh(&self) {
        self.change(|state| state.refresh(clock::steady()));
    }

    /// Sets whether every tenant that uses it is suspended: then nothing is asked for.
    pub(super) fn suspend(&self, is_suspended: bool) {
        self.change(|state| state.suspend(is_suspended));
    }

    /// Whether a call can be made.
    pub(super) fn availability(&self) -> Availability {
        lock(&self.state).availability(clock::steady())
    }

    /// Why the token that is held could not be renewed, if it could not.
    pub(super) fn renewal_failure(&self) -> Option<CallError> {
        lock(&self.state).failure().cloned()
    }

    /// Waits for a token, and has it asked for if that was not done yet. Returns false if the request fails.
    pub(super) async fn wait(&self) -> bool {
        let mut settled = self.settled.subscribe();
        loop {
            match self.availability() {
                Availability::Available => return true,
                Availability::Failed(_) => return false,
                Availability::Pending => self.want(),
            }
            if settled.changed().await.is_err() {
                return false;
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut TokenState)) {
        change(&mut lock(&self.state));
        self.changed.notify_one();
    }

    async fn request(&self) {
        let (asked, started) = (clock::wall(), clock::steady());
        let Origin { application, domain, audience, client, .. } = &self.origin;
        let clock_skew = lock(&self.state).clock_skew();
        let request = TokenRequest { application, domain, audience, clock_skew };
        let Answer { limits, outcome } = client.token(&request).await;
        let (now, jitter) = (clock::steady(), fastrand::f64());
        let took = now.saturating_duration_since(started);
        let ahead = limits.date.and_then(|date| ahead(date, asked, took));
        let outcome = outcome.map(|token| lock(&self.state).obtained(token, now, jitter));
        if let Err(error) = &outcome {
            lock(&self.state).failed(error.clone(), (application.signs(), ahead), now, jitter);
        }
        self.settled.send_replace(());
        let (connection, client_id) = (self.origin.connection, application.client_id().to_owned());
        let news =
            TokenNews { connection, domain: domain.clone(), client_id, took, answer: Answer { limits, outcome } };
        // The receiver is dropped only while the operator shuts down.
        let _ = self.news.send(news);
    }
}

/// How far a clock that showed `date`, in whole seconds, was ahead of ours in the middle of the request.
fn ahead(date: i64, asked: Timestamp, took: Duration) -> Option<SignedDuration> {
    let middle = asked + SignedDuration::try_from(took / 2).ok()?;
    Some(Timestamp::from_second(date).ok()?.duration_since(middle))
}

async fn work(source: Weak<TokenSource>, changed: Arc<Notify>) {
    loop {
        let step = match source.upgrade() {
            None => return,
            Some(source) => {
                let step = lock(&source.state).next(clock::steady());
                if step == Step::Request {
                    source.request().await;
                }
                step
            }
        };
        match step {
            Step::Request => {}
            Step::Wait(at) => {
                tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = changed.notified() => {}
                }
            }
            Step::Idle => changed.notified().await,
        }
    }
}

/// Why a tenant without a token cannot be used.
pub(super) fn no_token(domain: &Domain, error: &CallError) -> TenantError {
    let (reason, message) = match error {
        CallError::Unauthorized(why) | CallError::Denied(why) => {
            let message = format!(
                "{domain} gives no access token: {why}. The operator asks again when the Secret changes, on request, and \
                 every ten minutes"
            );
            (Reason::Unauthorized, message)
        }
        CallError::RateLimited(_) => {
            let message =
                format!("{domain} limits the requests for access tokens (429); the operator waits as long as it says");
            (Reason::RateLimited, message)
        }
        CallError::NotSent(why) if why.contains("certificate") => {
            (Reason::InvalidConnection, format!("{domain} could not be asked for an access token: {why}"))
        }
        CallError::Rejected(_)
        | CallError::InsufficientScope(_)
        | CallError::NotFound(_)
        | CallError::Unavailable(_)
        | CallError::NotSent(_)
        | CallError::NotProcessed
        | CallError::TokenReplaced => {
            let message = format!("the operator got no access token from {domain} and asks again: {error}");
            (Reason::Auth0Unavailable, message)
        }
    };
    TenantError::new(reason, message)
}

impl Credential for TokenSource {
    fn kind(&self) -> CredentialKind {
        CredentialKind::ClientCredentials
    }

    fn token(&self) -> Option<Token> {
        lock(&self.state).token(clock::steady()).cloned()
    }

    fn call_ended(&self, token: &Token, error: Option<&CallError>) -> bool {
        let replaced = lock(&self.state).call_ended(token, error, clock::steady());
        if error.is_some() {
            self.changed.notify_one();
        }
        replaced
    }
}
