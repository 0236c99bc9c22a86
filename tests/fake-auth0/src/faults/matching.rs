//! Which calls a fault applies to.

use std::sync::Arc;

use http::Method;

use super::Fault;
use crate::{kinds::Kind, log::Call};

/// The calls it applies to. Without any of these: every call.
impl Fault {
    /// Only calls to this endpoint; can be repeated for several endpoints.
    #[must_use]
    pub fn on(mut self, kind: Kind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Only the four removals.
    #[must_use]
    pub fn on_deletes(mut self) -> Self {
        self.kinds.extend(Kind::ALL.into_iter().filter(|kind| kind.is_delete()));
        self
    }

    /// Only reads of the Management API.
    #[must_use]
    pub fn on_reads(mut self) -> Self {
        self.kinds.extend(Kind::ALL.into_iter().filter(|kind| kind.is_read()));
        self
    }

    /// Only this method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only calls whose path, as on the wire, contains this.
    #[must_use]
    pub fn path_contains(self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.when(move |call| call.path.contains(&text))
    }

    /// Only calls whose body names this id or permission, see [`Call::names`].
    #[must_use]
    pub fn body_names(self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.when(move |call| call.names(&text))
    }

    /// Only calls about this user, in path or body.
    #[must_use]
    pub fn user(self, user: impl Into<String>) -> Self {
        let user = user.into();
        self.when(move |call| call.user.as_ref() == Some(&user) || call.names(&user))
    }

    /// Only reads of this page of a list, from 0, in every walk. Pages are counted along the checkpoints that were
    /// handed out, or as `page` says.
    #[must_use]
    pub fn page(self, page: u64) -> Self {
        self.when(move |call| call.page == Some(page))
    }

    /// Only calls that satisfy this.
    #[must_use]
    pub fn when(mut self, predicate: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Self {
        self.predicates.push(Arc::new(predicate));
        self
    }

    /// Lets the first `calls` calls that match pass.
    #[must_use]
    pub fn skip(mut self, calls: u64) -> Self {
        self.skip = calls;
        self
    }

    /// Only every n-th of the calls that match and are not skipped, beginning with the n-th.
    #[must_use]
    pub fn every(mut self, n: u64) -> Self {
        self.every = n;
        self
    }

    /// Only this many calls, then never again.
    #[must_use]
    pub fn times(mut self, calls: u64) -> Self {
        self.times = Some(calls);
        self
    }

    /// Only once.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    pub(crate) fn fits(&self, call: &Call) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&call.kind))
            && self.method.as_ref().is_none_or(|method| *method == call.method)
            && self.predicates.iter().all(|predicate| predicate(call))
    }
}
