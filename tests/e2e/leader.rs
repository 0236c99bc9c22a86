//! Leader election: of two replicas one works; the other takes over when the first is killed, paused or ended, and
//! nothing is lost.
//!
//! Replicas are processes with the timing of production (15, 10 and 2 s), because that is what users have.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fake_auth0::{Fault, Kind, Relation};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector;
use kube::runtime::watcher::Event;
use kube::{Api, Resource};
use rescind::api::{Auth0Tenant, UserRoleRevocation};
use rescind::auth0::{AllowedDomains, Timeouts};
use rescind::dispatch::{
    Connection, ConnectionKey, Dispatcher, End, History, Job, Owner, Preflight, Purpose, Refusal, Task, View,
};
use rescind::revocation::{IsFresh, PreflightChecker, Revocation, TenantCheck};
use rescind::runtime::{ElectionTiming, Error, LEASE, Lost};
use rescind::tenant::{BrakeFacts, Listing, Secrets, Tenants};
use serde_json::json;

use crate::harness::*;
use crate::process::Process;

/// Waits until a replica other than `not` holds the lease and returns its identity.
async fn leader(env: &Environment, not: &str) -> String {
    let holder = |lease: &Lease| lease.spec.clone().and_then(|spec| spec.holder_identity).unwrap_or_default();
    let api: Api<Lease> = env.api();
    let another = |lease: Option<&Lease>| lease.is_some_and(|lease| !["", not].contains(&&*holder(lease)));
    let lease = within(kube::runtime::wait::await_condition(api, LEASE, another)).await.unwrap();
    holder(&lease.unwrap())
}

/// Starts two replicas, of which the first leads.
async fn two(env: &Environment) -> (Process, Process, String) {
    let first = Process::start(env);
    let name = leader(env, "").await;
    (first, Process::start(env), name)
}

/// Gives the role to `count` users and returns their ids.
fn people(env: &Environment, count: usize) -> Vec<String> {
    let people: Vec<String> = (0..count).map(|number| format!("auth0|person{number}")).collect();
    env.fake.edit(|tenant| people.iter().for_each(|person| drop(tenant.user(person.clone()).role(ROLE))));
    people
}

async fn removed(env: &Environment, people: &[String]) {
    for number in 0..people.len() {
        env.reason::<UserRoleRevocation>(&format!("person{number}"), "Removed").await;
    }
}

/// kill -9 in the middle of a call.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_followed_when_its_time_has_run_out() {
    let env = Environment::new("leader-kill").await;
    let before = env.fake.state();
    let (first, _second, name) = two(&env).await;
    let held = env.fake.fault(Fault::hold().on(Kind::DeleteUserRoles).once());
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    held.arrived().await;
    let killed = Instant::now();
    first.kill().await;
    held.release();
    env.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    leader(&env, &name).await;
    // The leader renewed its lease at most two seconds before.
    assert!(killed.elapsed() > Duration::from_secs(12), "after {:?}", killed.elapsed());
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    env.reason::<UserRoleRevocation>("jack", "Removed").await;
    env.fake.assert_removed_exactly(&before, [Relation::user_role(USER, ROLE), Relation::user_role(OTHER_USER, ROLE)]);
    let calls = env.calls();
    assert!(env.fake.count(Kind::DeleteUserRoles) <= 3, "jane's twice, jack's once: {calls:?}");
}

/// A leader is paused for longer than its lease, with calls in flight and many more waiting; the other replica does all
/// the work; then the first resumes, sends nothing, and ends. Both its own clock and the preflight check prevent a
/// call; the check alone is tested below.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_leader_that_wakes_up_sends_nothing() {
    let env = Environment::new("leader-pause").await;
    let people = people(&env, 40);
    let before = env.fake.state();
    let (mut first, _second, name) = two(&env).await;
    // The objects wait in the first replica, whose circuit breaker closes again while it is paused.
    env.fake.fault(Fault::status(429).header("Retry-After", "30").on(Kind::DeleteUserRoles).once());
    let put = async |number: usize| {
        env.put::<UserRoleRevocation>(&format!("person{number}"), roles(&people[number])).await;
    };
    put(0).await;
    env.reason::<UserRoleRevocation>("person0", "RateLimited").await;
    for number in 1..people.len() {
        put(number).await;
    }
    for number in 1..people.len() {
        env.reason::<UserRoleRevocation>(&format!("person{number}"), "Queued").await;
    }
    let calls = env.fake.count(Kind::DeleteUserRoles);
    first.signal("STOP");
    leader(&env, &name).await;
    removed(&env, &people).await;
    let all = env.fake.total();
    first.signal("CONT");
    assert_eq!(first.ended().await, Some(1));
    assert_eq!(env.fake.total(), all, "{:?}", env.calls());
    let log = first.log();
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("rescind: lost the leadership"), "{last}");
    assert!(log.contains("\"code\":\"RSA041W\""), "the audit log has it, too");
    env.fake.assert_removed_exactly(&before, people.iter().map(|person| Relation::user_role(person, ROLE)));
    let deletes = env.fake.count(Kind::DeleteUserRoles) - calls;
    assert_eq!(deletes, people.len() as u64, "one each: {:?}", env.calls());
}

/// SIGTERM with a call in flight: the call ends, its result is written, and the lease is handed over.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_hands_over() {
    let env = Environment::new("leader-term").await;
    env.put_tenant(json!({"verification": "Never"})).await;
    let (mut first, mut second, name) = two(&env).await;
    let held = env.fake.fault(Fault::hold_answer().on(Kind::DeleteUserRoles).once());
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    held.arrived().await;
    first.signal("TERM");
    held.release();
    assert_eq!(first.ended().await, Some(0));
    let next = leader(&env, &name).await;
    env.reason::<UserRoleRevocation>("jane", "RemovedUnverified").await;
    env.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("jack", "RemovedUnverified").await;
    assert_eq!(env.fake.count(Kind::DeleteUserRoles), 2, "one each: {:?}", env.calls());

    // The same again, idle and timed.
    let mut third = Process::start(&env);
    third.says("standing by").await;
    let asked = Instant::now();
    second.signal("TERM");
    let last = leader(&env, &next).await;
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!(second.ended().await, Some(0));
    assert_ne!(last, name);
    // The last replica releases the lease.
    assert_eq!(third.terminate().await, Some(0));
    let spec = env.api::<Lease>().get(LEASE).await.unwrap().spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_duration_seconds), (Some(""), Some(1)));
    assert_eq!(spec.lease_transitions, Some(2));
}

/// The API server answers slowly about the lease. While it answers within the renew deadline, the leader stays. When it
/// is silent for longer, the leader ends, by its own clock, even if no other replica has taken over.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_ends() {
    let env = Environment::new("leader-slow").await;
    let delay = Arc::new(Mutex::new(Duration::ZERO));
    let (delayed, direct) = (delay.clone(), env.client.clone());
    let slow = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let delay = if request.uri().path().contains("/leases") { *delayed.lock().unwrap() } else { Duration::ZERO };
        let direct = direct.clone();
        async move {
            tokio::time::sleep(delay).await;
            direct.send(request).await
        }
    });
    let client = kube::Client::new(slow, "default");
    let timing = ElectionTiming {
        lease_duration: Duration::from_secs(6),
        renew_deadline: Duration::from_secs(4),
        retry_period: Duration::from_millis(200),
    };
    let (settings, shutdown) = (env.settings_with(|s| s.election = Some(timing)), Default::default());
    let operator = tokio::spawn(rescind::runtime::run(settings, client, shutdown));
    let name = leader(&env, "").await;
    // Somebody deletes the lease: its holder is alive and creates it again.
    env.delete::<Lease>(LEASE).await;
    assert_eq!(leader(&env, "").await, name);
    *delay.lock().unwrap() = Duration::from_secs(1);
    let renewed = |lease: &Lease| lease.spec.clone().and_then(|spec| spec.renew_time).unwrap();
    let mut last = renewed(&env.api::<Lease>().get(LEASE).await.unwrap());
    for _ in 0..4 {
        let lease = env.wait::<Lease>(LEASE, |lease| renewed(lease) != last).await;
        assert_eq!(lease.spec.as_ref().unwrap().holder_identity.as_ref(), Some(&name));
        last = renewed(&lease);
    }
    *delay.lock().unwrap() = Duration::from_secs(3600);
    let silent = Instant::now();
    let ended = within(operator).await.unwrap();
    assert!(matches!(ended, Err(Error::Lost(Lost::Expired(..)))), "{ended:?}");
    assert!(silent.elapsed() < timing.renew_deadline + Duration::from_secs(1), "{:?}", silent.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_cannot_be_had_is_explained() {
    let env = Environment::bare("leader-rights").await;
    let process = |kubeconfig: &std::path::Path, namespace: &str| {
        Process::run(kubeconfig, &["--health-probe-bind-address", "0", "--namespace", namespace])
    };
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": env.namespace}});
    env.plane.apply(&account.to_string()).unwrap();
    let token = env.plane.service_account_token(&env.namespace, "a").unwrap();
    let kubeconfig = env.plane.write_kubeconfig_for(&env.namespace, &token).unwrap();
    let mut nowhere = process(env.plane.kubeconfig_path(), "nowhere");
    let forbidden = process(&kubeconfig, &env.namespace);
    nowhere.says("there is no namespace nowhere: create it, or set --namespace").await;
    forbidden
        .says(&format!("not allowed to read the lease rescind-leader in namespace {}: check", env.namespace))
        .await;
    assert_eq!(nowhere.terminate().await, Some(0));
}

/// Promise 5, without an API server: everything allows the call except the lease.
#[tokio::test]
async fn the_preflight_asks_whether_this_process_leads() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let fake = fake_auth0::FakeAuth0::start().await;
    let meta = |name: &str| json!({"name": name, "namespace": "n", "uid": name, "generation": 1});
    let mut secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "s", "namespace": "n", "labels": {"rescind.dev/credentials": "true"}},
    }))
    .unwrap();
    let token = k8s_openapi::ByteString(fake.token(&fake.all_scopes()).into_bytes());
    secret.data = Some([("token".to_owned(), token)].into());
    let tenant = json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "Auth0Tenant", "metadata": meta("default"),
        "spec": {
            "domain": fake.domain(), "caBundle": fake.ca_base64(),
            "credentials": {"tokenSecretRef": {"name": "s", "key": "token"}},
            "rateLimit": {"maxRequestsPerSecond": 10, "reservePercent": 20}, "verification": "After", "mode": "Remove",
            "brake": {"maxRemovals": 1000, "window": "1h", "maxShareOfOrganization": 25},
            "protected": {"userIds": [], "roleIds": [], "organizationIds": [], "keepHolders": []}, "suspend": false,
        },
    });
    let object = json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation", "metadata": meta("jane"), "spec": roles(USER),
    });
    let mut secrets = Secrets::default();
    let (_listing, complete) = tokio::sync::watch::channel(Listing::Complete);
    secrets.add(None, cache(secret), complete);
    let allowed = AllowedDomains::parse([fake.domain()]).unwrap();
    let mut tenant: Auth0Tenant = serde_json::from_value(tenant).unwrap();
    // No API server has filled in the defaults.
    tenant.spec.tenant.unknown.clear();
    let tenants = Tenants::new(allowed, Timeouts::default());
    tenants.add(None, cache(tenant), secrets);
    let mut object: UserRoleRevocation = serde_json::from_value(object).unwrap();
    object.spec.options.unknown.clear();

    // No API server listens here; the caches are fresh, so none is asked.
    let client = kube::Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let owner = Owner {
        kind: "UserRoleRevocation",
        namespace: "n".into(),
        name: "jane".into(),
        uid: "jane".into(),
        generation: 1,
    };
    let (leads, fresh): (_, IsFresh) = (Arc::new(AtomicBool::new(true)), Arc::new(|| true));
    let asked = leads.clone();
    let checker = PreflightChecker::new(client, Box::new(move || asked.load(Relaxed)));
    tokio::spawn(allot(tenants.clone()));
    checker.add(None, cache(object.clone()), fresh.clone(), TenantCheck::new(tenants, fresh, None));
    let connection = checker.check(&owner, Purpose::Remove).await.expect("everything speaks for it");
    assert!(checker.may_send());
    leads.store(false, Relaxed);
    assert_eq!(checker.check(&owner, Purpose::Remove).await.unwrap_err(), Refusal::NotLeading);
    assert!(!checker.may_send());

    // The lease expires while the preflight check asks about the owners of a call.
    let (dispatcher, mut woken) = Dispatcher::new(Arc::new(TooLate(connection.clone())), Arc::new(()));
    let task = Task::Remove { before: false, after: false };
    let job = Job { owner, removal: object.removal(), task, history: History::default() };
    dispatcher.submit(&connection, job);
    within(woken.recv()).await;
    let View::Ended { report, .. } = dispatcher.view("jane") else { panic!("{:?}", dispatcher.view("jane")) };
    assert_eq!(report.end, End::HandedBack(Refusal::NotLeading));
    assert_eq!(fake.total(), 0);
}

/// Allots what is asked for, as the controller of the tenants does.
async fn allot(tenants: Arc<Tenants>) {
    let mut asked = tenants.brakes().asked().unwrap();
    while let Some(key) = asked.recv().await {
        let window = Duration::from_secs(3600);
        let facts = BrakeFacts { generation: 1, max: 9, window, per_minute: 9, ..BrakeFacts::default() };
        let plan = tenants.brakes().decide(&key, &facts, None).unwrap();
        tenants.brakes().written(&key, Some(&plan), None);
    }
}

struct TooLate(Connection);

impl Preflight for TooLate {
    fn check<'a>(&'a self, _: &'a Owner, _: Purpose) -> futures::future::BoxFuture<'a, Result<Connection, Refusal>> {
        Box::pin(async { Ok(self.0.clone()) })
    }

    fn recheck(&self, _: &Owner, _: Purpose) -> Result<ConnectionKey, Refusal> {
        Ok(self.0.key)
    }

    fn may_send(&self) -> bool {
        false
    }
}

fn cache<K: Resource<DynamicType = ()> + Clone + 'static>(object: K) -> reflector::Store<K> {
    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&Event::Apply(object));
    store
}
