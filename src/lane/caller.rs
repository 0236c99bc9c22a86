//! The calls of one job, in order, each through the gate and after the last look.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tracing::{info, warn};

use crate::auth0::{Answer, CallError, Endpoint, Item, Page, Read, Walk};

use super::lanes::{Lane, Lanes, SHOWN_WAIT};
use super::reading::{self, ReadError};
use super::{Connection, End, Owner, Removal, Report, Task, Unproven};

/// One call to make.
enum Call<'a> {
    Remove(&'a Endpoint, &'a [Item]),
    Page(&'a Walk),
}

impl Call<'_> {
    /// Calls of one name draw from one bucket.
    const fn name(&self) -> (&'static str, &'static str) {
        match self {
            Self::Remove(endpoint, _) => ("DELETE", endpoint.template()),
            Self::Page(walk) => ("GET", walk.read().template()),
        }
    }
}

/// Makes the calls of one job.
pub(super) struct Caller<'a> {
    lanes: &'a Lanes,
    lane: &'a Lane,
    owner: &'a Owner,
    /// Fingerprint of the last token used; 0 before the first call.
    token: AtomicU64,
}

/// The calls of a job so far.
#[derive(Default)]
struct Progress {
    accepted_at: Option<Timestamp>,
    removed: usize,
    already_absent: usize,
    seen: bool,
}

impl<'a> Caller<'a> {
    pub(super) const fn new(lanes: &'a Lanes, lane: &'a Lane, owner: &'a Owner) -> Self {
        Self { lanes, lane, owner, token: AtomicU64::new(0) }
    }

    /// `None`: dropped by the last look.
    pub(super) async fn run(&self, removal: &Removal, task: Task) -> Option<Report> {
        let mut progress = Progress::default();
        let end = match self.steps(removal, task, &mut progress).await {
            Ok(end) => end,
            Err(ReadError::Dropped) => return None,
            Err(ReadError::Call(CallError::NotFound)) => End::NotFound,
            Err(ReadError::Call(error)) => End::Failed(error),
        };
        let token = Some(self.token.load(Ordering::Relaxed)).filter(|token| *token != 0);
        let Progress { accepted_at, removed, already_absent, seen } = progress;
        Some(Report { accepted_at, removed, already_absent, seen, token, end })
    }

    async fn steps(&self, removal: &Removal, task: Task, progress: &mut Progress) -> Result<End, ReadError> {
        let mut items: BTreeSet<Item> = removal.items.iter().cloned().collect();
        let verify = match task {
            Task::Look => true,
            Task::Remove { before, after } => {
                if before {
                    match reading::present(self, &removal.endpoint, &items).await {
                        Ok(present) => {
                            progress.seen = true;
                            progress.already_absent = items.len() - present.len();
                            items = present;
                        }
                        // Without the scope to read, the removal is still wanted: it will end unproven.
                        Err(ReadError::Call(CallError::InsufficientScope(_))) => {}
                        Err(error) => return Err(error),
                    }
                    if items.is_empty() {
                        return Ok(End::Gone);
                    }
                }
                if let Some(end) = self.remove(&removal.endpoint, &items, progress).await? {
                    return Ok(end);
                }
                after
            }
        };
        if !verify {
            return Ok(End::Unproven(Unproven::Off));
        }
        match reading::present(self, &removal.endpoint, &removal.items.iter().cloned().collect()).await {
            Ok(present) if present.is_empty() => Ok(End::Gone),
            Ok(present) => Ok(End::Remaining(present.len())),
            Err(ReadError::Call(CallError::InsufficientScope(scope))) => {
                Ok(End::Unproven(Unproven::MissingScope(scope)))
            }
            Err(error) => Err(error),
        }
    }

    /// Sends the DELETEs, a batch at a time. `Some` if the answer itself is the end.
    async fn remove(
        &self,
        endpoint: &Endpoint,
        items: &BTreeSet<Item>,
        progress: &mut Progress,
    ) -> Result<Option<End>, ReadError> {
        let items: Vec<Item> = items.iter().cloned().collect();
        for batch in items.chunks(endpoint.max_items()) {
            match self.call(Call::Remove(endpoint, batch)).await {
                Ok(_) => {
                    progress.accepted_at = Some(Timestamp::now());
                    progress.removed += batch.len();
                    progress.seen = true;
                    let Owner { kind, namespace, name, uid, generation } = self.owner;
                    info!(
                        kind, %namespace, %name, %uid, generation, endpoint = endpoint.template(), items = batch.len(),
                        "Auth0 accepted the removal"
                    );
                }
                Err(ReadError::Call(CallError::NotFound)) => return self.explain_404(endpoint).await.map(Some),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// A 404 for a member's roles has three meanings: no such organization, no such user, or not a member. The last one
    /// means that there is nothing to remove (auth0-api.md 1.7 and trap 10).
    async fn explain_404(&self, endpoint: &Endpoint) -> Result<End, ReadError> {
        let Endpoint::OrganizationMemberRoles { organization, user } = endpoint else { return Ok(End::NotFound) };
        let organizations = Read::UserOrganizations { user: user.clone() };
        let wanted = BTreeSet::from([Item::Id(organization.clone())]);
        let unknown = |error| match error {
            ReadError::Call(CallError::InsufficientScope(_)) => Ok(End::NotFound),
            error => Err(error),
        };
        match reading::walk(self, organizations, wanted, usize::MAX).await {
            Ok(Some(found)) if found.is_empty() => {}
            Ok(_) => {
                return Err(ReadError::Call(CallError::Unavailable("Auth0 contradicts itself about the membership")));
            }
            Err(error) => return unknown(error),
        }
        // The user exists and is no member. One page tells whether the organization exists.
        let members = Read::List(Endpoint::OrganizationMembers { organization: organization.clone() });
        match reading::walk(self, members, BTreeSet::new(), 1).await {
            Ok(_) => Ok(End::Gone),
            Err(error) => unknown(error),
        }
    }

    pub(super) async fn page(&self, walk: &Walk) -> Result<Page, ReadError> {
        self.call(Call::Page(walk)).await
    }

    /// One call: waits at the gate, takes the last look, sends, and draws the lane's conclusions from the answer. A 429
    /// is not an answer to the caller: it shuts the gate and the call waits again (promise 11).
    async fn call(&self, call: Call<'_>) -> Result<Page, ReadError> {
        let mut refused = None;
        loop {
            let mut leave = self.lane.pass(call.name()).await.ok_or(ReadError::Dropped)?;
            let connection = self.lanes.look.look(self.owner).await.ok_or(ReadError::Dropped)?;
            self.lane.set_pace(&connection);
            let token = connection.token.fingerprint();
            // The look takes a moment in which another call's 429 may have shut the gate.
            if self.lane.is_shut() {
                continue;
            }
            if let Some((refused, error)) = refused.take()
                && refused == token
            {
                leave.answered = true;
                return Err(ReadError::Call(error));
            }
            self.token.store(token, Ordering::Relaxed);
            let answer = self.send(&connection, &call).await;
            leave.limits = answer.limits;
            match answer.outcome {
                Err(CallError::RateLimited(wait)) => self.rate_limited(wait),
                // If it was rotated while the call was on its way, the new one decides (reliability.md C4).
                Err(error @ CallError::Unauthorized(_)) => {
                    leave.answered = true;
                    refused = Some((token, error));
                }
                outcome => {
                    leave.answered = !matches!(outcome, Err(CallError::Unavailable(_)));
                    return outcome.map_err(ReadError::Call);
                }
            }
        }
    }

    async fn send(&self, connection: &Connection, call: &Call<'_>) -> Answer<Page> {
        let Connection { client, token, .. } = connection;
        match call {
            Call::Remove(endpoint, items) => {
                let answer = client.remove(token, endpoint, items, &self.owner.uid).await;
                Answer { limits: answer.limits, outcome: answer.outcome.map(|()| Page::Null) }
            }
            Call::Page(walk) => client.page(token, walk).await,
        }
    }

    fn rate_limited(&self, wait: Duration) {
        let domain = &self.lane.domain;
        warn!(%domain, seconds = wait.as_secs(), "Auth0's rate limit is reached; nothing is sent until it is over");
        self.lane.close(wait);
        if wait > SHOWN_WAIT {
            self.lanes.tell_wait(self.lane);
        }
    }
}
