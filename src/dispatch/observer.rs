//! What is told of the calls, and what can be asked of a queue. Whoever counts and keeps records does it above.

use std::time::Duration;

use crate::auth0::{Answer, CallError, Domain, Endpoint, Item, Page};

use super::connection::ConnectionKey;
use super::job::{Owner, Report};

/// Hears of every call that left. Told in the middle of the work, so it must not wait for anything.
pub trait Observer: Send + Sync + 'static {
    /// A call ended.
    fn request_finished(&self, call: &RequestFinished<'_>);

    /// That call was a DELETE.
    fn delete_finished(&self, deletion: &DeleteFinished<'_>);

    /// An object was deleted between an accepted DELETE and its proof: nobody will read this report.
    fn owner_gone(&self, owner: &Owner, partial: &Report);

    /// A task panicked, and was begun anew.
    fn task_restarted(&self);
}

/// Hears and forgets.
impl Observer for () {
    fn request_finished(&self, _: &RequestFinished<'_>) {}
    fn delete_finished(&self, _: &DeleteFinished<'_>) {}
    fn owner_gone(&self, _: &Owner, _: &Report) {}
    fn task_restarted(&self) {}
}

/// A call that ended.
#[derive(Debug)]
pub struct RequestFinished<'a> {
    /// With which connection it was made.
    pub connection: ConnectionKey,
    /// Where it went.
    pub domain: &'a Domain,
    /// The HTTP method.
    pub method: &'static str,
    /// The path with its ids left out.
    pub endpoint: &'static str,
    /// Whose removals it served; some of them, if it is a read for very many.
    pub owners: &'a [Owner],
    /// Its name in Auth0's logs, if it has one.
    pub correlation: Option<&'a str>,
    /// From the first byte sent to the last received.
    pub took: Duration,
    /// What came of it.
    pub answer: &'a Answer<Page>,
}

/// A DELETE that ended.
#[derive(Debug)]
pub struct DeleteFinished<'a> {
    /// Where it went.
    pub domain: &'a Domain,
    /// At which endpoint.
    pub endpoint: &'a Endpoint,
    /// What it named.
    pub items: &'a [Item],
    /// Whose removals it carried.
    pub owners: &'a [Owner],
    /// Its name in Auth0's logs.
    pub correlation: &'a str,
    /// How long it took.
    pub took: Duration,
    /// Accepted, or why not.
    pub outcome: Result<(), &'a CallError>,
}

/// The queue of one domain at one moment.
#[derive(Clone, Debug)]
pub struct QueueStats {
    /// Which domain.
    pub domain: Domain,
    /// Jobs that have not ended.
    pub jobs: usize,
    /// Calls begun and not ended.
    pub in_flight: usize,
    /// How long the oldest of these jobs has been there; zero if there is none.
    pub oldest: Duration,
    /// How long nothing will be sent, as after a 429; zero if the breaker is closed.
    pub open_for: Duration,
}
