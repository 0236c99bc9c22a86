//! Watches the Lease, so that a standby takes over at once when the leader gives it up. It only wakes the standby,
//! which then reads the Lease. If the watch fails, the standby is at most one retry period slower (two seconds).

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};

use super::candidate::holder;

/// A watch request that outlives the calls of [`Self::freed`].
#[derive(Default)]
pub(super) struct LeaseWatch(Option<BoxStream<'static, kube::Result<WatchEvent<Lease>>>>);

impl LeaseWatch {
    /// Returns when the Lease `name`, last read at `version`, is given up or deleted; never if the watch fails.
    /// Cancel-safe.
    pub(super) async fn freed(&mut self, api: &Api<Lease>, name: &str, version: Option<&str>) {
        if self.0.is_none() {
            let params = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(220);
            let Some(version) = version else { return std::future::pending().await };
            let Ok(events) = api.watch(&params, version).await else { return std::future::pending().await };
            self.0 = Some(events.boxed());
        }
        while let Some(events) = &mut self.0 {
            match events.next().await {
                Some(Ok(WatchEvent::Deleted(_))) => return,
                Some(Ok(WatchEvent::Added(lease) | WatchEvent::Modified(lease))) => {
                    if lease.spec.as_ref().and_then(holder).is_none() {
                        return;
                    }
                }
                Some(Ok(WatchEvent::Bookmark(_))) => {}
                // The watch timed out or its version expired. The next call starts another.
                Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => self.0 = None,
            }
        }
        std::future::pending().await
    }
}
