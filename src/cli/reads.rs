//! Reads of Auth0, one after the other, and never so many that the tenant's own users feel it: twice the reserve of the
//! tenant is left alone, and a 429 is waited out.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use thiserror::Error;

use crate::auth0::{
    Answer, CallError, Domain, Endpoint, Fact, Item, Lookup, Page, Query, Question, Read, Reader, Token, Walk,
    WalkError, WalkStep,
};
use crate::clock;
use crate::dispatch::{CallOutcome, ConnectionKey, Limiter, Limits};

use super::screen::Screen;

/// How often a read is tried that got no usable answer.
const TRIES: u32 = 4;
/// The longest time that a read waits for its turn, all pauses together.
const PATIENCE: Duration = Duration::from_secs(300);

/// Why something could not be read. Then it is not known: neither there nor gone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The token lacks this scope: grant it, then get another token.
    #[error("the token lacks {0}")]
    Scope(String),
    /// Auth0 does not know what was asked for.
    #[error("Auth0 does not know it")]
    NotFound,
    /// Auth0 did not let it be read, or could not be reached: see the text.
    #[error("{0}")]
    Failed(String),
}

impl From<CallError> for ReadError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::InsufficientScope(scope) => Self::Scope(scope),
            CallError::NotFound(_) => Self::NotFound,
            CallError::Rejected(_) | CallError::Unauthorized(_) | CallError::Denied(_) => {
                Self::Failed(error.to_string())
            }
            CallError::RateLimited(_) | CallError::Unavailable(_) | CallError::NotSent(_) => {
                Self::Failed(error.to_string())
            }
            CallError::NotProcessed | CallError::TokenReplaced => Self::Failed(error.to_string()),
        }
    }
}

impl From<WalkError> for ReadError {
    fn from(error: WalkError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What a complete read has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The wanted items that are there.
    pub present: BTreeSet<Item>,
    /// The ids of the roles through which the user has wanted permissions all the same.
    pub through_roles: BTreeSet<std::sync::Arc<str>>,
}

/// Reads one Auth0 tenant.
#[derive(Debug)]
pub struct Reads<'a> {
    reader: Reader,
    token: Token,
    /// Where the reads go.
    pub domain: Domain,
    limiter: Limiter,
    key: ConnectionKey,
    /// How many calls were made.
    pub calls: usize,
    screen: &'a Screen,
}

impl<'a> Reads<'a> {
    /// Reads with this token, leaving `limits` alone.
    pub fn new(reader: Reader, token: Token, domain: Domain, limits: Limits, screen: &'a Screen) -> Self {
        let key = ConnectionKey::new(&domain, None, token.fingerprint());
        let mut limiter = Limiter::new(clock::steady());
        limiter.set_limits(key, limits);
        Self { reader, token, domain, limiter, key, calls: 0, screen }
    }

    /// The scopes of the token, if it names them.
    pub fn scopes(&self) -> Option<&[String]> {
        self.token.scopes().map(|scopes| &**scopes)
    }

    /// Which of `wanted` are at the endpoint, by a complete read of its list.
    pub async fn find(&mut self, endpoint: &Endpoint, wanted: BTreeSet<Item>) -> Result<Found, ReadError> {
        let items: Vec<Item> = wanted.iter().cloned().collect();
        let (walk, present) = self.walk(Walk::new(Read::List(endpoint.clone()), wanted)).await?;
        Ok(Found { present, through_roles: walk.through_roles(&items) })
    }

    /// Which of `wanted`, ids of organizations, the user is a member of.
    pub async fn organizations_of(&mut self, user: &str, wanted: BTreeSet<Item>) -> Result<BTreeSet<Item>, ReadError> {
        let read = Read::UserOrganizations { user: user.into() };
        Ok(self.walk(Walk::new(read, wanted)).await?.1)
    }

    /// All entries of a list, as Auth0 shows them.
    pub async fn entries(&mut self, read: Read) -> Result<Vec<Value>, ReadError> {
        Ok(self.walk(Walk::collecting(read)).await?.0.into_entries())
    }

    /// All entries that a lookup finds, as Auth0 shows them.
    pub async fn look_up(&mut self, lookup: Lookup) -> Result<Vec<Value>, ReadError> {
        self.entries(Read::Lookup(lookup)).await
    }

    /// The answer to a question.
    pub async fn fact(&mut self, question: Question) -> Result<Fact, ReadError> {
        let (walk, _) = self.walk(Walk::new(Read::Answer(question), BTreeSet::new())).await?;
        walk.fact().cloned().ok_or_else(|| ReadError::Failed("Auth0's answer does not say it".to_owned()))
    }

    async fn walk(&mut self, mut walk: Walk) -> Result<(Walk, BTreeSet<Item>), ReadError> {
        let needed = walk.read().scopes();
        let has_one = |held: &[String]| needed.iter().any(|scope| held.iter().any(|own| own == scope));
        if self.scopes().is_some_and(|held| !has_one(held)) {
            return Err(ReadError::Scope(needed.join(" or ")));
        }
        let mut tries = 0;
        loop {
            let (read, query) = (walk.read().clone(), walk.query());
            let page = self.page(&read, &query).await?;
            match walk.take(&page) {
                Ok(WalkStep::More) => {}
                Ok(WalkStep::Done(found)) => return Ok((walk, found)),
                Err(error @ WalkError::TooLong) => return Err(error.into()),
                Err(error) => {
                    tries += 1;
                    if tries == TRIES {
                        return Err(error.into());
                    }
                    if error == WalkError::InconsistentPages {
                        walk.restart();
                    }
                }
            }
        }
    }

    /// One page. What Auth0 asks to wait is waited, and what got no usable answer is tried again.
    async fn page(&mut self, read: &Read, query: &Query) -> Result<Page, ReadError> {
        let began = clock::steady();
        let mut tries = 0;
        loop {
            let answer = self.paced(read, query, began).await?;
            let error = match answer.outcome {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            let pause = match &error {
                CallError::RateLimited(wait) => *wait,
                CallError::Unavailable(_) | CallError::NotSent(_) | CallError::NotProcessed => {
                    tries += 1;
                    Duration::from_secs(1 << (tries - 1))
                }
                CallError::Rejected(_) | CallError::Unauthorized(_) | CallError::Denied(_) => return Err(error.into()),
                CallError::InsufficientScope(_) | CallError::NotFound(_) | CallError::TokenReplaced => {
                    return Err(error.into());
                }
            };
            if tries == TRIES || clock::steady() + pause > began + PATIENCE {
                return Err(error.into());
            }
            self.screen.progress(format!("{error}; trying again in {} s", pause.as_secs().max(1)));
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends one read when the limiter lets it.
    async fn paced(&mut self, read: &Read, query: &Query, began: Instant) -> Result<Answer<Page>, ReadError> {
        let route = ("GET", read.template());
        let mut permit = loop {
            let now = clock::steady();
            if now > began + PATIENCE {
                let text = "Auth0's rate limit is used up by other clients; try again later";
                return Err(ReadError::Failed(text.to_owned()));
            }
            if let Some(at) = self.limiter.wait_until(route, self.key, now) {
                sleep_until(at).await;
                continue;
            }
            break self.limiter.acquire(route, now);
        };
        let slot = self.limiter.reserve_slot(self.key, clock::steady());
        sleep_until(slot).await;
        // Another client can only have drawn since the last answer, which was this command's own: it will show.
        let _ = self.limiter.confirm((route, self.key), &mut permit, clock::steady());
        self.calls += 1;
        self.screen.progress(format!("reading {} ({} calls)", self.domain, self.calls));
        let answer = self.reader.page(&self.token, read, query).await;
        let outcome = match &answer.outcome {
            Ok(_) => CallOutcome::Success,
            Err(CallError::RateLimited(_)) => CallOutcome::RateLimited,
            Err(error) if error.is_auth0s_own() => CallOutcome::Failure,
            Err(_) => CallOutcome::NoAnswer,
        };
        self.limiter.finished(route, outcome, &answer.limits, permit, clock::steady());
        Ok(answer)
    }
}

async fn sleep_until(at: Instant) {
    tokio::time::sleep_until(at.into()).await;
}
