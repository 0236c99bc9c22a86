//! The check before each call (docs/design.md, promise 5). The room that knows the objects implements it.

use futures::future::BoxFuture;

use super::connection::{Connection, ConnectionKey};
use super::job::{Owner, Purpose, Refusal};

/// Decides whether a call may be sent for an object.
pub trait Preflight: Send + Sync + 'static {
    /// Returns the connection to use for this object, or the reason why no call for this purpose may be sent for it. May
    /// ask the API server, but must return within a bounded time.
    fn check<'a>(&'a self, owner: &'a Owner, purpose: Purpose) -> BoxFuture<'a, Result<Connection, Refusal>>;

    /// Checks the object again right before the call is sent, this time from the caches alone. Must not block.
    fn recheck(&self, owner: &Owner, purpose: Purpose) -> Result<ConnectionKey, Refusal>;

    /// Whether this process may send any call now, because it is the leader.
    fn may_send(&self) -> bool;
}
