//! Counts the refusals of the preflight check, so that one that always refuses shows in a metric.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::dispatch::{Connection, ConnectionKey, Owner, Preflight, Purpose, Refusal};
use crate::telemetry::metrics::Metrics;

pub(crate) struct CountedPreflight {
    pub(crate) preflight: Arc<dyn Preflight>,
    pub(crate) metrics: Metrics,
}

impl Preflight for CountedPreflight {
    fn check<'a>(&'a self, owner: &'a Owner, purpose: Purpose) -> BoxFuture<'a, Result<Connection, Refusal>> {
        self.preflight.check(owner, purpose).inspect(|checked| self.count(checked.as_ref().err())).boxed()
    }

    fn recheck(&self, owner: &Owner, purpose: Purpose) -> Result<ConnectionKey, Refusal> {
        self.preflight.recheck(owner, purpose).inspect_err(|refusal| self.count(Some(refusal)))
    }

    fn may_send(&self) -> bool {
        self.preflight.may_send()
    }
}

impl CountedPreflight {
    fn count(&self, refusal: Option<&Refusal>) {
        if let Some(refusal) = refusal {
            self.metrics.refused(*refusal);
        }
    }
}
