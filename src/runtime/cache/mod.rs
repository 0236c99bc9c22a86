//! What the API server has, as far as watches tell: a cache for each kind, and whether it may be believed.

mod freshness;
mod resync;
mod store_writer;
mod watch;

pub use watch::WatchTiming;
pub(crate) use watch::{Cache, Namespaced, watch_kind};
