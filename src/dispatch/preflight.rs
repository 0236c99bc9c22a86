//! The question that is asked right before each call (promise 5). Answered by whoever knows the owners.

use futures::future::BoxFuture;

use super::connection::{Connection, ConnectionKey};
use super::job::{Owner, Refusal};

/// The preflight check.
pub trait Preflight: Send + Sync + 'static {
    /// Whether a call may be made for this owner, and how. May ask the API server; bounded in time.
    fn check<'a>(&'a self, owner: &'a Owner) -> BoxFuture<'a, Result<Connection, Refusal>>;

    /// The same from the caches alone, once more right before the call leaves. Must not block.
    fn recheck(&self, owner: &Owner) -> Result<ConnectionKey, Refusal>;

    /// Whether this process may send anything at all, now.
    fn may_send(&self) -> bool;
}
