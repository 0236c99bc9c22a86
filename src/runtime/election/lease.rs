//! The elector: acquires, renews and releases the Lease, as `candidate.rs` decides.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::FIELD_MANAGER;
use crate::kube_error::explain;
use crate::telemetry::readiness::{Readiness, Role};

use super::candidate::{Candidate, ElectionTiming, Step, holder};
use super::clock::{self, LeadershipToken};
use super::lease_watch::LeaseWatch;

/// The longest time for releasing the Lease at shutdown. If it fails, the others wait for the Lease to expire.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why this replica does not lead any more. What to do: restart it, as a Deployment does by itself.
#[derive(Debug, Error)]
pub enum Lost {
    /// Another replica holds the Lease.
    #[error("the lease is now held by {0}")]
    Taken(String),
    /// The Lease could not be renewed within the renew deadline.
    #[error("the lease could not be renewed for {0:?}: {1}")]
    Expired(Duration, String),
}

/// What an attempt to acquire or renew the Lease came to.
enum Attempt {
    Leading,
    /// The Lease is not ours. Who holds it, and the version that was read, if they are known.
    Standby {
        holder: Option<String>,
        version: Option<String>,
    },
    Lost(String),
}

/// Takes part in the election on behalf of this replica.
pub(crate) struct Elector {
    api: Api<Lease>,
    namespace: String,
    /// Name of the Lease.
    name: String,
    candidate: Candidate,
    /// The Lease as we wrote it last. A renewal is based on it and need not read the Lease first.
    written: Option<Lease>,
    timing: ElectionTiming,
    leadership: LeadershipToken,
    readiness: Readiness,
    lease_watch: LeaseWatch,
}

impl Elector {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        timing: ElectionTiming,
        readiness: Readiness,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            candidate: Candidate::new(identity(), timing),
            written: None,
            timing,
            leadership: LeadershipToken::default(),
            readiness,
            lease_watch: LeaseWatch::default(),
        }
    }

    /// Whether this process may act, kept current by the renewals.
    pub(crate) fn leadership(&self) -> LeadershipToken {
        self.leadership.clone()
    }

    /// The name under which this replica holds the Lease.
    pub(crate) fn identity(&self) -> &str {
        self.candidate.identity()
    }

    /// Waits until we hold the Lease. Returns false if `shutdown` came first.
    pub(crate) async fn acquire(&mut self, shutdown: &CancellationToken) -> bool {
        let waited_for = format!("the lease {} in namespace {}", self.name, self.namespace);
        self.readiness.expect(&waited_for, &waited_for);
        let mut leader = None;
        loop {
            let Some(attempt) = self.try_until(shutdown).await else { return false };
            let version = match attempt {
                Ok(Attempt::Leading) => {
                    info!(namespace = self.namespace, "leading");
                    self.readiness.set_role(Role::Leader);
                    self.readiness.ready(&waited_for);
                    return true;
                }
                Ok(Attempt::Standby { holder, version }) => {
                    // A standby is ready when it is able to take over.
                    self.readiness.set_role(Role::Standby { leader: holder.clone() });
                    self.readiness.ready(&waited_for);
                    if holder.is_some() && leader != holder {
                        info!(leader = holder, namespace = self.namespace, "standing by");
                        leader = holder;
                    }
                    version
                }
                // Only a leader can lose the Lease.
                Ok(Attempt::Lost(_)) => None,
                Err(why) => {
                    self.readiness.problem(&waited_for, &why);
                    None
                }
            };
            let pause = self.timing.retry_period.mul_f64(1.0 + 0.2 * fastrand::f64());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return false,
                () = tokio::time::sleep(pause) => {}
                () = self.lease_watch.freed(&self.api, &self.name, version.as_deref()) => {}
            }
        }
    }

    /// An attempt that `shutdown` ends, but only after a grace period: a write in flight may make us the leader, and
    /// then the Lease has to be released.
    async fn try_until(&mut self, shutdown: &CancellationToken) -> Option<Result<Attempt, String>> {
        let attempt = self.try_acquire_or_renew();
        tokio::pin!(attempt);
        tokio::select! {
            biased;
            attempt = &mut attempt => Some(attempt),
            () = shutdown.cancelled() => tokio::time::timeout(RELEASE_TIMEOUT, attempt).await.ok(),
        }
    }

    /// Renews the Lease that [`Self::acquire`] got, until it is lost. Cancel-safe. The caller must stop at once when
    /// this returns: the time until another replica can take over is for the calls in flight.
    pub(crate) async fn keep_renewing(&mut self) -> Lost {
        let mut problem = None;
        loop {
            let left = self.left();
            tokio::time::sleep(self.timing.retry_period.min(left)).await;
            // Read again, because this process may have been stopped during the sleep. Then it must not go on.
            let left = self.left();
            if left.is_zero() {
                self.leadership.set(None);
                let why =
                    problem.unwrap_or_else(|| "this process was paused, or the API server did not answer".to_owned());
                return Lost::Expired(self.timing.renew_deadline, why);
            }
            match tokio::time::timeout(left, self.try_acquire_or_renew()).await {
                Ok(Ok(Attempt::Leading)) => problem = None,
                Ok(Ok(Attempt::Lost(holder))) => {
                    self.leadership.set(None);
                    return Lost::Taken(holder);
                }
                // Somebody else wrote the Lease; the next attempt reads it.
                Ok(Ok(Attempt::Standby { .. })) | Err(_) => {}
                Ok(Err(why)) => {
                    if problem.is_none() {
                        warn!(seconds_left = self.left().as_secs(), "the lease cannot be renewed: {why}");
                    }
                    problem = Some(why);
                }
            }
        }
    }

    /// Releases the Lease, so that another replica takes over at once. To be called when no call to Auth0 is in flight.
    pub(crate) async fn release(mut self) {
        self.leadership.set(None);
        let released = async {
            // A renewal that was cancelled may still reach the API server and cause a conflict.
            while !self.try_release().await? {}
            Ok::<_, kube::Error>(())
        };
        match tokio::time::timeout(RELEASE_TIMEOUT, released).await {
            Ok(Ok(())) => info!(namespace = self.namespace, "released the lease"),
            Ok(Err(error)) => warn!("the lease could not be released and has to expire: {}", explain(&error)),
            Err(_) => warn!("the lease could not be released in time and has to expire"),
        }
    }

    /// Returns false on a conflict, after which it is to be tried again.
    async fn try_release(&mut self) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(true) };
        let spec = lease.spec.take().unwrap_or_default();
        if holder(&spec) != Some(self.candidate.identity()) {
            return Ok(true);
        }
        lease.spec = Some(self.candidate.release_spec(&spec, Timestamp::now()));
        match self.api.replace(&self.name, &params(), &lease).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn left(&self) -> Duration {
        self.candidate.until().unwrap_or_default().saturating_sub(clock::now())
    }

    /// One attempt: reads the Lease, unless our last write is known, and writes it if the candidate says so. The write
    /// succeeds only if no other client has written it since. An error says what is wrong and what to do.
    async fn try_acquire_or_renew(&mut self) -> Result<Attempt, String> {
        let timeout = self.timing.renew_deadline / 2;
        let read = match self.written.take() {
            Some(written) => Some(written),
            None => call(timeout, self.api.get_opt(&self.name)).await?.map_err(|error| self.explain(&error, "read"))?,
        };
        let version = read.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        let spec = read.as_ref().map(|lease| lease.spec.clone().unwrap_or_default());
        let seen = spec.as_ref().map(|spec| (spec, version.as_deref().unwrap_or_default()));
        let step = self.candidate.observe(seen, clock::now(), Timestamp::now());
        let sent = clock::now();
        let written = match step {
            Step::Wait(holder) => return Ok(Attempt::Standby { holder, version }),
            Step::Lost(holder) => return Ok(Attempt::Lost(holder)),
            Step::Create(spec) => call(timeout, self.api.create(&params(), &new_lease(&self.name, spec))).await?,
            Step::Replace(spec) => {
                let lease = Lease { spec: Some(spec), ..read.unwrap_or_default() };
                call(timeout, self.api.replace(&self.name, &params(), &lease)).await?
            }
        };
        match written {
            Ok(written) => {
                self.written = Some(written);
                self.candidate.record_renewal(sent);
                self.leadership.set(self.candidate.until());
                Ok(Attempt::Leading)
            }
            // Another candidate was faster.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(Attempt::Standby { holder: None, version: None })
            }
            // Somebody deleted the Lease.
            Err(kube::Error::Api(status)) if status.is_not_found() && version.is_some() => {
                Ok(Attempt::Standby { holder: None, version: None })
            }
            Err(error) => Err(self.explain(&error, "write")),
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the enum is of another crate")]
    fn explain(&self, error: &kube::Error, verb: &str) -> String {
        let namespace = &self.namespace;
        match error {
            kube::Error::Api(status) if status.is_forbidden() => format!(
                "not allowed to {verb} the lease {} in namespace {namespace}: check the operator's RBAC (leases: get, \
                 create, update, watch) and --lease-name",
                self.name
            ),
            kube::Error::Api(status) if status.is_not_found() => {
                format!("there is no namespace {namespace}: create it, or set --namespace")
            }
            error => explain(error),
        }
    }
}

/// A call with a deadline, because kube's client has no read timeout. It is not retried before the next attempt.
async fn call<T>(timeout: Duration, call: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(timeout, call).await.map_err(|_| format!("the API server did not answer in {timeout:?}"))
}

fn new_lease(name: &str, spec: LeaseSpec) -> Lease {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    Lease { metadata, spec: Some(spec) }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// The pod's name, and a random part that differs at each start.
fn identity() -> String {
    let host = std::env::var("HOSTNAME")
        .or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"))
        .map(|host| host.trim().to_owned())
        .ok()
        .filter(|host| !host.is_empty());
    format!("{}_{:016x}", host.as_deref().unwrap_or("rescind"), fastrand::u64(..))
}
