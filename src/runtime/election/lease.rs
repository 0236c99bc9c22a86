//! Of several replicas one leads: who holds the lease does the work, and only while its claim is known to stand.
//!
//! Ours, because what is there either believes in itself while the API server is away or follows no kube release.
//! `candidate` decides, `clock` keeps the time, `lease_watch` wakes a standby early, and this file
//! calls.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::FIELD_MANAGER;

use crate::runtime::kube_error::explain;
use crate::telemetry::readiness::{Readiness, Role};

use super::candidate::{Candidate, LEASE, Step, Timing, holder};
use super::clock::{self, LeadershipToken};
use super::lease_watch::LeaseWatch;

/// Giving up the lease at the end may take this long; if it fails, the others wait for it to run out.
const RELEASE_WITHIN: Duration = Duration::from_secs(2);

/// Why this process does not lead any more. What to do: nothing; start it again.
#[derive(Debug, Error)]
pub enum Lost {
    /// Somebody else has it.
    #[error("the lease is {0}'s now")]
    Taken(String),
    /// It could not be renewed in time.
    #[error("the lease could not be renewed for {0:?}: {1}")]
    Expired(Duration, String),
}

/// What a look at the lease came to.
enum Looked {
    Leading,
    /// Not ours (any more, or yet). Who has it, and the version that was seen.
    Standing {
        holder: Option<String>,
        version: Option<String>,
    },
    Lost(String),
}

/// Takes part in the election.
pub(crate) struct Elector {
    api: Api<Lease>,
    namespace: String,
    candidate: Candidate,
    /// The lease as we wrote it last: while nobody else writes it, it need not be read.
    written: Option<Lease>,
    timing: Timing,
    leadership: LeadershipToken,
    readiness: Readiness,
    lease_watch: LeaseWatch,
}

impl Elector {
    pub(crate) fn new(client: Client, namespace: &str, timing: Timing, readiness: Readiness) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            candidate: Candidate::new(identity(), timing),
            written: None,
            timing,
            leadership: LeadershipToken::default(),
            readiness,
            lease_watch: LeaseWatch::default(),
        }
    }

    /// Until when this process may act; stays current.
    pub(crate) fn leadership(&self) -> LeadershipToken {
        self.leadership.clone()
    }

    /// Waits until the lease is ours; false if `shutdown` came first.
    pub(crate) async fn acquire(&mut self, shutdown: &CancellationToken) -> bool {
        let waited_for = format!("the lease {LEASE} in namespace {}", self.namespace);
        self.readiness.expect(&waited_for, &waited_for);
        let mut leader = None;
        loop {
            let Some(looked) = self.look_until(shutdown).await else { return false };
            let version = match looked {
                Ok(Looked::Leading) => {
                    info!(namespace = self.namespace, "leading");
                    self.readiness.set_role(Role::Leader);
                    self.readiness.ready(&waited_for);
                    return true;
                }
                Ok(Looked::Standing { holder, version }) => {
                    // Ready to take over is as ready as a standby can be.
                    self.readiness.set_role(Role::Standby { leader: holder.clone() });
                    self.readiness.ready(&waited_for);
                    if holder.is_some() && leader != holder {
                        info!(leader = holder, namespace = self.namespace, "standing by");
                        leader = holder;
                    }
                    version
                }
                // Only a leader loses.
                Ok(Looked::Lost(_)) => None,
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
                () = self.lease_watch.freed(&self.api, version.as_deref()) => {}
            }
        }
    }

    /// A look that `shutdown` breaks off, but not at once: a write that is on its way may make us the leader, and then the
    /// lease has to be given up again.
    async fn look_until(&mut self, shutdown: &CancellationToken) -> Option<Result<Looked, String>> {
        let look = self.look();
        tokio::pin!(look);
        tokio::select! {
            biased;
            looked = &mut look => Some(looked),
            () = shutdown.cancelled() => tokio::time::timeout(RELEASE_WITHIN, look).await.ok(),
        }
    }

    /// Renews what [`Self::acquire`] got until it is lost; may be dropped. Whoever lost it must end at once: the margin
    /// until somebody else takes it is for calls on their way.
    pub(crate) async fn keep_renewing(&mut self) -> Lost {
        let mut trouble = None;
        loop {
            let left = self.left();
            tokio::time::sleep(self.timing.retry_period.min(left)).await;
            // Also when this process was stopped meanwhile: what it was doing then must not go on.
            let left = self.left();
            if left.is_zero() {
                self.leadership.set(None);
                let why =
                    trouble.unwrap_or_else(|| "this process did not run, or the API server was silent".to_owned());
                return Lost::Expired(self.timing.renew_deadline, why);
            }
            match tokio::time::timeout(left, self.look()).await {
                Ok(Ok(Looked::Leading)) => trouble = None,
                Ok(Ok(Looked::Lost(holder))) => {
                    self.leadership.set(None);
                    return Lost::Taken(holder);
                }
                // Somebody wrote to it in between; the next look tells who.
                Ok(Ok(Looked::Standing { .. })) | Err(_) => {}
                Ok(Err(why)) => {
                    if trouble.is_none() {
                        warn!(seconds_left = self.left().as_secs(), "the lease cannot be renewed: {why}");
                    }
                    trouble = Some(why);
                }
            }
        }
    }

    /// Gives the lease up, so that another takes over at once. Nothing is sent any more when this is called.
    pub(crate) async fn release(mut self) {
        self.leadership.set(None);
        let released = async {
            // A renewal that was broken off may still come between.
            while !self.try_release().await? {}
            Ok::<_, kube::Error>(())
        };
        match tokio::time::timeout(RELEASE_WITHIN, released).await {
            Ok(Ok(())) => info!(namespace = self.namespace, "the lease is given up"),
            Ok(Err(error)) => warn!("the lease could not be given up and has to run out: {}", explain(&error)),
            Err(_) => warn!("the lease could not be given up in time and has to run out"),
        }
    }

    /// False: try again.
    async fn try_release(&mut self) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.api.get_opt(LEASE).await? else { return Ok(true) };
        let spec = lease.spec.take().unwrap_or_default();
        if holder(&spec) != Some(self.candidate.identity()) {
            return Ok(true);
        }
        lease.spec = Some(self.candidate.release_spec(&spec, Timestamp::now()));
        match self.api.replace(LEASE, &params(), &lease).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn left(&self) -> Duration {
        self.candidate.until().unwrap_or_default().saturating_sub(clock::now())
    }

    /// One read, unless our own last write is known, and, if it says so, one write that succeeds only if nothing changed
    /// since.
    async fn look(&mut self) -> Result<Looked, String> {
        let patience = self.timing.renew_deadline / 2;
        let read = match self.written.take() {
            Some(written) => Some(written),
            None => call(patience, self.api.get_opt(LEASE)).await?.map_err(|error| self.explain(&error, "read"))?,
        };
        let version = read.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        let spec = read.as_ref().map(|lease| lease.spec.clone().unwrap_or_default());
        let seen = spec.as_ref().map(|spec| (spec, version.as_deref().unwrap_or_default()));
        let step = self.candidate.look(seen, clock::now(), Timestamp::now());
        let sent = clock::now();
        let written = match step {
            Step::Wait(holder) => return Ok(Looked::Standing { holder, version }),
            Step::Lost(holder) => return Ok(Looked::Lost(holder)),
            Step::Create(spec) => call(patience, self.api.create(&params(), &new_lease(spec))).await?,
            Step::Replace(spec) => {
                let lease = Lease { spec: Some(spec), ..read.unwrap_or_default() };
                call(patience, self.api.replace(LEASE, &params(), &lease)).await?
            }
        };
        match written {
            Ok(written) => {
                self.written = Some(written);
                self.candidate.record_renewal(sent);
                self.leadership.set(self.candidate.until());
                Ok(Looked::Leading)
            }
            // Another was faster.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(Looked::Standing { holder: None, version: None })
            }
            // Somebody deleted it.
            Err(kube::Error::Api(status)) if status.is_not_found() && version.is_some() => {
                Ok(Looked::Standing { holder: None, version: None })
            }
            Err(error) => Err(self.explain(&error, "write")),
        }
    }

    fn explain(&self, error: &kube::Error, verb: &str) -> String {
        let namespace = &self.namespace;
        match error {
            kube::Error::Api(status) if status.is_forbidden() => format!(
                "not allowed to {verb} leases in namespace {namespace}: check the operator's RBAC (leases: get, create, \
                 update, watch)"
            ),
            kube::Error::Api(status) if status.is_not_found() => {
                format!("there is no namespace {namespace}: create it, or set --namespace")
            }
            error => explain(error),
        }
    }
}

/// kube has no read timeout. A call that failed is not repeated before the next look.
async fn call<T>(patience: Duration, call: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(patience, call).await.map_err(|_| format!("the API server did not answer in {patience:?}"))
}

fn new_lease(spec: LeaseSpec) -> Lease {
    let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
    Lease { metadata, spec: Some(spec) }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// Tells which pod it is, and one start of it from the next.
fn identity() -> String {
    let host = std::env::var("HOSTNAME")
        .or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"))
        .map(|host| host.trim().to_owned())
        .ok()
        .filter(|host| !host.is_empty());
    format!("{}_{:016x}", host.as_deref().unwrap_or("rescind"), fastrand::u64(..))
}
