//! What a lane tells of its calls, and what it can be asked about itself. Whoever counts and keeps records does it above.

use std::time::Duration;

use crate::auth0::{Answer, CallError, Domain, Endpoint, Item, Page};

use super::Owner;

/// Hears of every call that left. Told in the middle of the work, so it must not wait for anything.
pub trait Meter: Send + Sync + 'static {
    /// A call ended.
    fn called(&self, call: &Called<'_>);

    /// That call was a DELETE.
    fn removed(&self, deletion: &Deletion<'_>);
}

/// Hears and forgets.
impl Meter for () {
    fn called(&self, _: &Called<'_>) {}
    fn removed(&self, _: &Deletion<'_>) {}
}

/// A call that ended.
#[derive(Debug)]
pub struct Called<'a> {
    /// Where to.
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
pub struct Deletion<'a> {
    /// Where to.
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

/// A lane at one moment.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Which lane.
    pub domain: Domain,
    /// Jobs that have not ended.
    pub jobs: usize,
    /// Calls begun and not ended.
    pub in_flight: usize,
    /// How long the oldest of these jobs has been there; zero if there is none.
    pub oldest: Duration,
    /// How long nothing will be sent, as after a 429; zero if it is open.
    pub closed_for: Duration,
}
