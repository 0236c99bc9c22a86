//! One watch and one cache for each kind and scope, and whether a cache is up to date.
//!
//! Start reading at `watch_kind` in `watch.rs`, through which every event goes:
//!
//! - `watch.rs`: a watch with a backoff of its own, which fills a cache and never ends.
//! - `resync.rs`: lists again when the resource version has expired, and every hour.
//! - `readable.rs`: one object that cannot be parsed does not fail the list or the watch that it came with.
//! - `store_writer.rs`: writes events into the cache, and turns a list into the changes that it makes.
//! - `settled.rs`: the few bytes that are kept of an object that needs no reconcile.
//! - `freshness.rs`: whether the cache was up to date a moment ago. The preflight check reads it before each call.
//! - `key.rs`: namespace and name. `memory.rs`: a measurement of what an object costs.
//!
//! Each cache has a watch of its own. kube's shared streams are not used: a subscriber can miss its wake-up when an
//! object is deleted before it was delivered, and deletions are not delivered at all.

mod freshness;
mod key;
#[cfg(test)]
mod memory;
mod readable;
mod resync;
mod settled;
mod store_writer;
mod watch;

pub(crate) use key::Key;
pub(crate) use settled::Settled;
pub(crate) use store_writer::Change;
pub use watch::WatchTiming;
pub(crate) use watch::{Cache, Selection, watch_cluster, watch_kind};
