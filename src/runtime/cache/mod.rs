//! What the API server has, as far as watches tell: a cache for each kind, and whether it may be believed.

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
pub(crate) use store_writer::{Change, number};
pub use watch::WatchTiming;
pub(crate) use watch::{Cache, Namespaced, Selection, watch_kind};
