//! What a leader runs: one dispatcher, one controller of tenants, and a scope for each watched namespace or one for all.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::dispatch::{Dispatcher, Observer};
use crate::revocation::{
    ForEachKind, MutationCache, PreflightChecker, ReasonChange, ReconcileState, Revocation, for_each_kind,
};
use crate::telemetry::audit::AuditRecorder;
use crate::telemetry::audit_log::AuditLog;
use crate::telemetry::events;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;
use crate::tenant::{KindRow, Tenants};

use super::controllers::{
    CallObserver, ClusterTenants, CountedPreflight, Dependents, Scope, TenantController, TenantQueues, follow_brakes,
    follow_clock, route, watch_requester_policy,
};
use super::election::LeadershipToken;
use super::settings::Settings;
use super::tasks::Tasks;

/// After a change of the connections the clean-up waits this long, because many may change at once.
const CLEANUP_DELAY: Duration = Duration::from_secs(1);
/// Without a change the clean-up runs this often: what was still needed the last time, such as a wait that Auth0 asked
/// for, may not be needed any more.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60);

/// Everything a leader runs, and what it takes to end it.
pub(super) struct Work {
    pub(super) tasks: Tasks,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) state: Arc<ReconcileState>,
    /// Ends the controllers when it is cancelled.
    pub(super) ending: CancellationToken,
}

impl Work {
    /// Starts it. Nothing is sent to Auth0 while `leadership` does not hold.
    pub(super) fn start(
        settings: &Settings,
        client: &Client,
        readiness: &Readiness,
        metrics: &Metrics,
        leadership: LeadershipToken,
        audit: &AuditLog,
    ) -> Self {
        let mut tasks = Tasks::default();
        let ending = CancellationToken::new();
        let checker = PreflightChecker::new(client.clone(), Box::new(move || leadership.holds()));
        let tenants = Tenants::new(settings.allowed_domains.clone(), settings.timeouts);
        let (state, queues) = (Arc::new(ReconcileState::default()), Arc::new(TenantQueues::default()));
        let recorder = AuditRecorder {
            log: audit.clone(),
            metrics: metrics.clone(),
            checker: checker.clone(),
            requester_policy: watch_requester_policy(client, settings, readiness, &mut tasks),
            traces: settings.traces.clone(),
        };
        let calls = Arc::new(CallObserver { audit: recorder, tenants: tenants.clone(), queues: queues.clone() });
        if let Some(news) = tenants.token_news() {
            let calls = calls.clone();
            tasks.services.spawn(async move { calls.follow_tokens(news).await });
        }
        let observer: Arc<dyn Observer> = calls;
        let preflight = CountedPreflight { preflight: checker.clone(), metrics: metrics.clone() };
        let (dispatcher, woken) = Dispatcher::new(Arc::new(preflight), observer.clone());
        metrics.object_counts.dispatcher(dispatcher.clone());
        metrics.object_counts.tokens(tenants.clone());
        let (announce, events): (mpsc::Sender<ReasonChange>, _) = events::channel();
        tasks.services.spawn(events::record(client.clone(), events));

        let controller = Arc::new(TenantController {
            client: client.clone(),
            tenants,
            dispatcher: dispatcher.clone(),
            dependents: Dependents::default(),
            queues,
            kinds: KindRows::all(),
            announce: announce.clone(),
            audit: audit.clone(),
            connections: Notify::new(),
            shown: Mutex::default(),
            mutations: MutationCache::default(),
            begun: Instant::now(),
        });
        if let Some(asked) = controller.tenants.brakes().asked() {
            let queues = controller.queues.clone();
            tasks.services.spawn(async move { follow_brakes(&queues, asked).await });
        }
        tasks.services.spawn(follow_clock(controller.clone()));
        tasks.services.spawn(clean_up(controller.clone(), state.clone(), metrics.clone()));
        let cluster = ClusterTenants { client, controller: &controller, settings, metrics, readiness, ended: &ending };
        let cluster_tenants = cluster.start(&mut tasks);
        let scopes = namespaces(settings).into_iter().map(|namespace| Scope {
            namespace,
            client: client.clone(),
            dispatcher: dispatcher.clone(),
            checker: checker.clone(),
            observer: observer.clone(),
            state: state.clone(),
            tenants: controller.clone(),
            cluster_tenants: cluster_tenants.clone(),
            announce: announce.clone(),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            settings: settings.clone(),
            shutdown: ending.clone(),
        });
        let queues = scopes.map(|scope| scope.start(&mut tasks)).collect();
        tasks.services.spawn(route(woken, queues));
        Self { tasks, dispatcher, state, ending }
    }
}

/// Collects the removal kinds with the rows of their endpoints.
#[derive(Default)]
struct KindRows(Vec<KindRow>);

impl KindRows {
    fn all() -> Vec<KindRow> {
        let mut rows = Self::default();
        for_each_kind(&mut rows);
        rows.0
    }
}

impl ForEachKind for KindRows {
    fn visit<K: Revocation>(&mut self) {
        self.0.push((K::KIND, K::row()));
    }
}

/// The namespace of each scope; `None` for all namespaces.
fn namespaces(settings: &Settings) -> Vec<Option<String>> {
    match settings.watch_namespaces.as_slice() {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    }
}

/// Forgets what is remembered of connections and domains that no tenant object has any more (promise 14); never
/// returns.
async fn clean_up(controller: Arc<TenantController>, state: Arc<ReconcileState>, metrics: Metrics) {
    loop {
        let _ = tokio::time::timeout(CLEANUP_INTERVAL, controller.connections.notified()).await;
        tokio::time::sleep(CLEANUP_DELAY).await;
        let alive = controller.tenants.retain();
        controller.dispatcher.retain(&alive.connections);
        state.retain(&alive.connections);
        metrics.retain(&alive.domains);
    }
}
