//! What the dispatcher reports about its calls and queues. Metrics, audit and traces are implemented in `telemetry`.

use std::time::Duration;

use crate::auth0::{Answer, CallError, Domain, Endpoint, Item, Page};

use super::connection::ConnectionKey;
use super::job::{Owner, Report};

/// Is notified of every call that was sent. The methods are called in the middle of the work, so they must not block.
pub trait Observer: Send + Sync + 'static {
    /// A call has ended.
    fn request_finished(&self, call: &RequestFinished<'_>);

    /// A DELETE has ended. Called after [`Self::request_finished`], and only if the request may have reached Auth0.
    fn delete_finished(&self, deletion: &DeleteFinished<'_>);

    /// An object was deleted after Auth0 had accepted its DELETE and before the job ended, so this report will not be
    /// fetched.
    fn owner_gone(&self, owner: &Owner, partial: &Report);

    /// A guard of the tenant refuses an object: nothing is sent for it, for this reason.
    fn guard_refused(&self, owner: &Owner, why: &str);

    /// A task panicked and was restarted.
    fn task_restarted(&self);
}

/// Ignores everything.
impl Observer for () {
    fn request_finished(&self, _: &RequestFinished<'_>) {}
    fn delete_finished(&self, _: &DeleteFinished<'_>) {}
    fn owner_gone(&self, _: &Owner, _: &Report) {}
    fn guard_refused(&self, _: &Owner, _: &str) {}
    fn task_restarted(&self) {}
}

/// A call that has ended.
#[derive(Debug)]
pub struct RequestFinished<'a> {
    /// The connection it was made with.
    pub connection: ConnectionKey,
    /// The domain it went to.
    pub domain: &'a Domain,
    /// The HTTP method.
    pub method: &'static str,
    /// The path with placeholders instead of ids.
    pub endpoint: &'static str,
    /// The objects it was made for. For a read that serves many, only some of them.
    pub owners: &'a [Owner],
    /// The correlation id that Auth0's logs show, if the call is a DELETE that may have reached Auth0.
    pub correlation: Option<&'a str>,
    /// From right before the request was sent until its response was complete.
    pub took: Duration,
    /// The response.
    pub answer: &'a Answer<Page>,
}

/// A DELETE that has ended.
#[derive(Debug)]
pub struct DeleteFinished<'a> {
    /// The domain it went to.
    pub domain: &'a Domain,
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// The items it named.
    pub items: &'a [Item],
    /// The objects it was made for.
    pub owners: &'a [Owner],
    /// The correlation id that Auth0's logs show.
    pub correlation: &'a str,
    /// From right before the request was sent until its response was complete.
    pub took: Duration,
    /// Whether Auth0 accepted it.
    pub outcome: Result<(), &'a CallError>,
}

/// The state of a domain's queue at one moment.
#[derive(Clone, Debug)]
pub struct QueueStats {
    /// The domain.
    pub domain: Domain,
    /// Jobs that have not ended.
    pub jobs: usize,
    /// Calls that were started and have not ended, including those that are still being checked.
    pub in_flight: usize,
    /// The time since the oldest of these jobs was submitted; zero if there is none.
    pub oldest: Duration,
    /// The time until the domain's circuit breaker lets calls through again; zero if it is not open.
    pub open_for: Duration,
}
