//! The handle of a test or the program: it starts a tenant, seeds it, steers it, and reads what happened.
//!
//! It only delegates to the other modules. How the tenant misbehaves is chosen in `fake/steer.rs`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    Call, Calls, Change, Client, Edit, Kind, Relation, State, TokenSpec, WaitTimeout, all_scopes, changes::Changing,
    serve::serve, tenant::Tenant, tls,
};

mod steer;

/// A tenant could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificates could not be made.
    #[error("no certificates could be made: {0}")]
    Certificates(String),
    /// The socket could not be opened.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// One tenant, serving on a port of its own until the last handle is dropped.
///
/// Handles are cheap to clone. Dropping the last one panics if there was a write other than the four removals and the
/// token request, see [`FakeAuth0::forbidden_writes`].
#[derive(Clone, Debug)]
pub struct FakeAuth0 {
    tenant: Arc<Tenant>,
    address: SocketAddr,
    server: Arc<Server>,
}

#[derive(Debug)]
struct Server {
    tenant: Arc<Tenant>,
    task: JoinHandle<()>,
    forbidden_writes_allowed: AtomicBool,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        self.tenant.faults.clear();
        let forbidden = self.tenant.log.forbidden();
        if forbidden.is_empty() || self.forbidden_writes_allowed.load(Relaxed) || std::thread::panicking() {
            return;
        }
        let told: Vec<String> = forbidden.iter().map(|call| format!("  {call}")).collect();
        panic!("writes other than the four removals reached the fake Auth0:\n{}", told.join("\n"));
    }
}

/// Start and addresses.
impl FakeAuth0 {
    /// An empty tenant on a free port.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub async fn start() -> Self {
        match Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), State::default()).await {
            Ok(fake) => fake,
            Err(error) => panic!("the fake Auth0 does not start: {error}"),
        }
    }

    /// A tenant with this state, at this address. Its task runs on the current Tokio runtime.
    ///
    /// # Errors
    ///
    /// When the address is taken or no certificates can be made.
    pub async fn start_on(address: SocketAddr, state: State) -> Result<Self, StartError> {
        let tls = tls::tls()?;
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let tenant = Arc::new(Tenant::new(address.port(), state));
        let task = tokio::spawn(serve(listener, Arc::clone(&tenant), tls));
        let forbidden_writes_allowed = AtomicBool::new(false);
        let server = Arc::new(Server { tenant: Arc::clone(&tenant), task, forbidden_writes_allowed });
        Ok(Self { tenant, address, server })
    }

    /// `localhost:PORT`: what goes into `spec.domain`.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.tenant.domain
    }

    /// `https://localhost:PORT/api/v2/`: the only audience it accepts.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.tenant.audience
    }

    /// The full URL of a path such as `/api/v2/roles/rol_…`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.tenant.domain)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority that signed its certificate, as PEM; the same for all tenants of a process.
    #[must_use]
    pub fn ca_pem(&self) -> &'static str {
        tls::tls().map_or("", |tls| &tls.ca_pem)
    }

    /// The same in base64, for `spec.caBundle`.
    #[must_use]
    pub fn ca_base64(&self) -> String {
        STANDARD.encode(self.ca_pem())
    }
}

/// State: see [`State`].
impl FakeAuth0 {
    /// Changes the state as an administrator would, without lag.
    pub fn edit<R>(&self, change: impl FnOnce(&mut Edit<'_>) -> R) -> R {
        self.tenant.state_mut().edit(change)
    }

    /// Adds relations as an administrator would while a test runs: unlike after [`FakeAuth0::edit`], lists show them
    /// with their lag.
    pub fn give(&self, relations: impl IntoIterator<Item = Relation>) {
        self.change(|changing| relations.into_iter().for_each(|relation| changing.give(&relation)));
    }

    /// Removes relations as another client would while a test runs: unlike after [`FakeAuth0::edit`], lists show this
    /// with their lag.
    pub fn take(&self, relations: impl IntoIterator<Item = Relation>) {
        self.change(|changing| relations.into_iter().for_each(|relation| changing.take(&relation)));
    }

    fn change(&self, change: impl FnOnce(&mut Changing<'_>)) {
        let lagging = self.tenant.quirks().switches.lagging_lists;
        let (mut state, mut lags) = (self.tenant.state_mut(), self.tenant.lags());
        change(&mut Changing { state: &mut state, lags: &mut lags, lagging });
    }

    /// A snapshot; costs a few pointers.
    #[must_use]
    pub fn state(&self) -> State {
        self.tenant.state().clone()
    }

    /// What changed since a snapshot.
    #[must_use]
    pub fn changes_since(&self, before: &State) -> Vec<Change> {
        before.diff(&self.state())
    }

    /// Asserts that exactly these relations were removed since the snapshot, and nothing else changed.
    ///
    /// # Panics
    ///
    /// If anything else was removed or added, or something is still there.
    #[track_caller]
    pub fn assert_removed_exactly(&self, before: &State, expected: impl IntoIterator<Item = Relation>) {
        let mut expected: Vec<Change> = expected.into_iter().map(Change::Removed).collect();
        expected.sort();
        let found = self.changes_since(before);
        let told = |title: &str, some: &[Change], other: &[Change]| -> String {
            let only = some.iter().filter(|change| !other.contains(change));
            only.map(|change| format!("\n  {title}: {change}")).collect()
        };
        let complaint = told("expected, did not happen", &expected, &found) + &told("unexpected", &found, &expected);
        assert!(complaint.is_empty(), "the tenant did not change as expected:{complaint}");
    }
}

/// Tokens and applications.
impl FakeAuth0 {
    /// A token with these scopes, good for a day.
    #[must_use]
    pub fn token(&self, scopes: &[&str]) -> String {
        self.token_with(&TokenSpec::new(scopes.iter().copied()))
    }

    /// A token as described.
    #[must_use]
    pub fn token_with(&self, spec: &TokenSpec) -> String {
        self.tenant.tokens.issue(spec, &self.tenant.domain, self.tenant.epoch())
    }

    /// Makes a token invalid (401 from now on). Returns whether it was valid.
    pub fn revoke_token(&self, token: &str) -> bool {
        self.tenant.tokens.revoke(token)
    }

    /// Makes every token issued so far invalid.
    pub fn revoke_all_tokens(&self) {
        self.tenant.tokens.revoke_all();
    }

    /// Every scope any call asks for.
    #[must_use]
    pub fn all_scopes(&self) -> Vec<&'static str> {
        all_scopes()
    }

    /// Adds an application, or replaces the one of the same id.
    pub fn client(&self, client: Client) {
        self.tenant.clients().set(client);
    }

    /// Removes an application; its tokens stay valid.
    pub fn remove_client(&self, id: &str) {
        self.tenant.clients().remove(id);
    }
}

/// What happened.
impl FakeAuth0 {
    /// All calls so far, those in flight included, oldest first.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.tenant.log.calls()
    }

    /// All calls to one endpoint.
    #[must_use]
    pub fn calls_to(&self, kind: Kind) -> Calls {
        self.calls().into_iter().filter(|call| call.kind == kind).collect()
    }

    /// All removals.
    #[must_use]
    pub fn deletes(&self) -> Calls {
        self.calls().into_iter().filter(|call| call.kind.is_delete()).collect()
    }

    /// The number of calls to an endpoint; also known when only counts are kept.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.tenant.log.count(kind)
    }

    /// The number of all calls.
    #[must_use]
    pub fn total(&self) -> u64 {
        Kind::ALL.into_iter().map(|kind| self.count(kind)).sum()
    }

    /// Waits until the calls satisfy `enough`, which is checked now and after each arrival and answer.
    ///
    /// # Errors
    ///
    /// When that does not happen in time; the error tells the last calls.
    pub async fn wait_for(
        &self,
        condition: impl Fn(&[Arc<Call>]) -> bool,
        timeout: Duration,
    ) -> Result<Calls, WaitTimeout> {
        self.tenant.log.wait_until(|log| condition(&log.calls()), timeout).await
    }

    /// Waits until an endpoint has had at least this many calls.
    ///
    /// # Errors
    ///
    /// When that does not happen in time; the error tells the last calls.
    pub async fn wait_for_count(&self, kind: Kind, calls: u64, timeout: Duration) -> Result<Calls, WaitTimeout> {
        self.tenant.log.wait_until(|log| log.count(kind) >= calls, timeout).await
    }

    /// Forgets the calls and counts so far, but not the forbidden writes.
    pub fn reset_calls(&self) {
        self.tenant.log.reset();
    }

    /// Keeps counts only (for benchmarks), or calls, too.
    pub fn counts_only(&self, on: bool) {
        self.tenant.log.counts_only(on);
    }

    /// The number of calls in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.tenant.log.in_flight()
    }

    /// The most calls that were ever in flight at once.
    #[must_use]
    pub fn max_in_flight(&self) -> usize {
        self.tenant.log.max_in_flight()
    }

    /// The number of connections accepted so far, and of those open now.
    #[must_use]
    pub fn connections(&self) -> (u64, usize) {
        (self.tenant.accepted.load(Relaxed), self.tenant.open.load(Relaxed))
    }

    /// Writes that are none of the four removals nor the token request. They were answered 405.
    #[must_use]
    pub fn forbidden_writes(&self) -> Calls {
        self.tenant.log.forbidden()
    }

    /// Lets the last handle be dropped without a panic although there were forbidden writes.
    pub fn allow_forbidden_writes(&self) {
        self.server.forbidden_writes_allowed.store(true, Relaxed);
    }
}
