//! What the fair queue tells apart: priorities, traffic classes, and positions in the queue.

use foldhash::HashMap;

use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::limiter::Route;

use super::namespaces::NamespaceId;

/// Calls of a higher priority are sent first. The variants are in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Priority {
    /// A DELETE, or a read that a DELETE depends on.
    Removal,
    /// A read that verifies a removal.
    Proof,
    /// A read that only finds out what is there.
    Observation,
}

/// Calls of one class are admitted or held back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TrafficClass {
    pub(crate) priority: Priority,
    pub(crate) route: Route,
    pub(crate) connection: ConnectionKey,
}

/// A position of a work source in the queue of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) class: TrafficClass,
    pub(crate) ns: NamespaceId,
    /// Within a namespace and class, the lowest is served first.
    pub(crate) arrival: u64,
}

/// All positions of a work source: while it is ready, one for each namespace that waits for it.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    pub(crate) ready: bool,
    pub(crate) by_namespace: HashMap<NamespaceId, (Priority, u64)>,
}

/// Which calls may be sent now. Given by the circuit breakers and rate limiters.
pub(crate) trait Admission {
    /// Whether the domain's limits let a call of this class be sent. The answer is the same for all classes of the same
    /// priority, route and limit profile.
    fn admits_class(&self, class: &TrafficClass) -> bool;
    /// Whether the connection's own limits let a call be sent.
    fn admits_connection(&self, connection: ConnectionKey) -> bool;
}
