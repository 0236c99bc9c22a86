//! Counts what the check right before a call refuses, so that one that always says no is seen.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::dispatch::{Connection, ConnectionKey, Owner, Preflight, Refusal};
use crate::telemetry::metrics::Metrics;

pub(crate) struct CountedPreflight {
    pub(crate) preflight: Arc<dyn Preflight>,
    pub(crate) metrics: Metrics,
}

impl Preflight for CountedPreflight {
    fn check<'a>(&'a self, owner: &'a Owner) -> BoxFuture<'a, Result<Connection, Refusal>> {
        self.preflight.check(owner).inspect(|checked| self.count(checked.as_ref().err())).boxed()
    }

    fn recheck(&self, owner: &Owner) -> Result<ConnectionKey, Refusal> {
        self.preflight.recheck(owner).inspect_err(|why| self.count(Some(why)))
    }

    fn may_send(&self) -> bool {
        self.preflight.may_send()
    }
}

impl CountedPreflight {
    fn count(&self, why: Option<&Refusal>) {
        if let Some(why) = why {
            self.metrics.refused(*why);
        }
    }
}
