//! Tells when the lease is free, so that a standby need not wait for its next look. It only wakes: what counts is read
//! then. Where it cannot watch, a standby is some two seconds slower.

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};

use super::candidate::{LEASE, holder};

#[derive(Default)]
pub(super) struct LeaseWatch(Option<BoxStream<'static, kube::Result<WatchEvent<Lease>>>>);

impl LeaseWatch {
    /// Returns when the lease, seen last at `version`, was given up or deleted; never if that cannot be told. May be
    /// dropped and asked again.
    pub(super) async fn freed(&mut self, api: &Api<Lease>, version: Option<&str>) {
        if self.0.is_none() {
            let params = WatchParams::default().fields(&format!("metadata.name={LEASE}")).timeout(220);
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
                // Over, or too old: the next look starts another.
                Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => self.0 = None,
            }
        }
        std::future::pending().await
    }
}
