//! `make soak`: hours of churn, after which nothing is left that was not there before (promise 14).
//!
//! One operator is measured and lives through all of it: objects that are applied, edited and deleted, rotated tokens,
//! 429s and restarts of the API server. A second one, for a namespace of its own, is restarted again and again. Before
//! that, tenants of 3,000 domains and 1,000 CA bundles of one tenant come and go.

#![allow(clippy::print_stderr, reason = "it runs for long and says how it goes")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fake_auth0::Fault;
use futures::{StreamExt, stream};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use rescind::api::{Auth0Tenant, ConditionType, OrgMemberRoleRemoval, OrgMembershipRemoval};
use rescind::api::{UserPermissionRevocation, UserRoleRevocation};
use serde_json::{Value, json};

use crate::harness::*;
use crate::metrics::{address, scrape};
use crate::process::{HostFiles, Process};

const DOMAINS: usize = 3_000;
const BUNDLES: usize = 1_000;
/// Of each kind, in a round.
const PEOPLE: usize = 12;

/// What must not grow.
#[derive(Clone, Copy, Debug)]
struct Level {
    megabytes: f64,
    descriptors: f64,
    tasks: f64,
    series: usize,
    /// Jobs and calls.
    queued: f64,
}

impl Level {
    async fn now(address: std::net::SocketAddr) -> Self {
        let scrape = scrape(address).await;
        let value = |name| scrape.value(name, &[]);
        assert!(!scrape.text.contains("soak.example") || value("rescind_queue_jobs") > 0.0, "series of a past domain");
        Self {
            megabytes: (value("process_resident_memory_bytes") / 1e6 * 10.0).round() / 10.0,
            descriptors: value("process_open_fds"),
            tasks: value("rescind_tasks"),
            series: scrape.families.iter().map(|family| family.samples.len()).sum(),
            queued: value("rescind_queue_jobs") + value("rescind_queue_calls_in_flight"),
        }
    }

    /// The level once nothing has happened for a while: connections that are not used any more are closed after 90 s.
    async fn at_rest(address: std::net::SocketAddr, what: &str) -> Self {
        tokio::time::sleep(Duration::from_secs(100)).await;
        let level = Self::now(address).await;
        eprintln!("{what}: {level:?}");
        level
    }
}

/// A namespace in which people leave.
struct Site {
    env: Environment,
    rounds: AtomicUsize,
}

impl Site {
    fn spec(&self, kind: usize, user: &str) -> Value {
        match kind {
            0 => json!({"userId": user, "roles": [ROLE]}),
            1 => {
                let read = json!({"resourceServerIdentifier": API, "permissionName": "read:x"});
                json!({"userId": user, "permissions": [read]})
            }
            2 => json!({"organizationId": ORG, "members": [user]}),
            _ => json!({"organizationId": ORG, "userId": user, "roles": [ROLE]}),
        }
    }

    /// People come, leave, and their objects are edited and deleted.
    async fn round(&self) {
        let round = self.rounds.fetch_add(1, Relaxed);
        let user = |kind: usize, n: usize| format!("auth0|{kind}-{}-{n}", round % 50);
        self.env.fake.edit(|tenant| {
            for n in 0..PEOPLE {
                tenant.user(user(0, n)).role(ROLE);
                tenant.user(user(1, n)).permission(API, "read:x");
                tenant.organization(ORG).member(&user(2, n)).member(&user(3, n)).member_role(&user(3, n), ROLE);
            }
        });
        let leaving = (0..4 * PEOPLE).map(|n| async move {
            let (kind, user) = (n % 4, user(n % 4, n / 4));
            let (name, spec) = (format!("r{round}-{n}"), self.spec(kind, &user));
            match kind {
                0 => self.leave::<UserRoleRevocation>(&name, spec, n).await,
                1 => self.leave::<UserPermissionRevocation>(&name, spec, n).await,
                2 => self.leave::<OrgMembershipRemoval>(&name, spec, n).await,
                _ => self.leave::<OrgMemberRoleRemoval>(&name, spec, n).await,
            }
        });
        stream::iter(leaving).buffer_unordered(16).collect::<()>().await;
    }

    /// Applies an object, suspends and resumes every third, waits for its end, and deletes it.
    async fn leave<K>(&self, name: &str, spec: Value, n: usize)
    where
        K: rescind::revocation::Revocation
            + kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + serde::Serialize
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug
            + Send
            + 'static,
    {
        self.patiently(|| self.apply::<K>(name, json!({"spec": spec, "metadata": {"labels": {"soak": "true"}}}))).await;
        if n.is_multiple_of(3) {
            for suspend in [true, false] {
                self.patiently(|| self.apply::<K>(name, json!({"spec": {"suspend": suspend}}))).await;
            }
        }
        let started = Instant::now();
        loop {
            let object = self.env.api::<K>().get(name).await.ok();
            let ready = object.as_ref().and_then(|object| object.status()?.condition(ConditionType::Ready).cloned());
            if ready.as_ref().is_some_and(|ready| ready.status == "True") {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(300), "{name} of {}: {ready:?}", self.env.namespace);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.patiently(|| async { self.env.api::<K>().delete(name, &DeleteParams::default()).await.map(drop) }).await;
    }

    async fn apply<K>(&self, name: &str, part: Value) -> kube::Result<()>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let mut object = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}});
        let created = part["spec"].get("suspend").is_none();
        object["spec"] = part["spec"].clone();
        let api = self.env.api::<K>();
        if created {
            api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object)).await.map(drop)
        } else {
            api.patch(name, &PatchParams::default(), &Patch::Merge(part)).await.map(drop)
        }
    }

    /// Does it again while the API server is restarted.
    async fn patiently<F: Future<Output = kube::Result<()>>>(&self, act: impl Fn() -> F) {
        let started = Instant::now();
        while let Err(error) = act().await {
            assert!(started.elapsed() < Duration::from_secs(120), "{error}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn rotate(&self) {
        let token = self.env.fake.token(&self.env.fake.all_scopes());
        let patch = json!({"data": {"token": STANDARD.encode(token)}});
        let api = self.env.api::<k8s_openapi::api::core::v1::Secret>();
        let params = PatchParams::default();
        let patch = Patch::Merge(patch);
        self.patiently(|| async { api.patch("auth0-management", &params, &patch).await.map(drop) }).await;
    }
}

/// Tenants of many domains, none of which can be reached, each with a removal, 24 at a time.
async fn many_domains(env: &Environment) {
    let audience = "https://soak.example/api/v2/";
    let token = format!("eyJh.{}.c2ln", URL_SAFE_NO_PAD.encode(json!({"aud": audience}).to_string()));
    let labels = json!({"name": "passing", "labels": {"rescind.dev/credentials": "true"}});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": labels, "stringData": {"token": token}});
    env.api::<k8s_openapi::api::core::v1::Secret>()
        .patch("passing", &PatchParams::apply("test").force(), &Patch::Apply(secret))
        .await
        .unwrap();
    let passing = (0..DOMAINS).map(|n| async move {
        let name = format!("passing-{n}");
        let reference = json!({"tokenSecretRef": {"name": "passing"}});
        let spec = json!({"domain": format!("d{n}.soak.example"), "audience": audience, "credentials": reference});
        env.put::<Auth0Tenant>(&name, spec).await;
        let mut removal = roles(USER);
        removal["tenantRef"] = json!({ "name": name });
        env.put::<UserRoleRevocation>(&name, removal).await;
        let tried = |tenant: &Auth0Tenant| {
            let ready = tenant.status.as_ref().and_then(|status| status.condition(ConditionType::Ready));
            ready.is_some_and(|ready| ready.message.contains("could not be sent"))
        };
        env.wait(&name, tried).await;
        env.delete::<UserRoleRevocation>(&name).await;
        env.delete::<Auth0Tenant>(&name).await;
    });
    stream::iter(passing).buffer_unordered(24).collect::<()>().await;
}

/// One tenant with one CA bundle after the other, each of which is used.
async fn many_bundles(env: &Environment) {
    for n in 0..BUNDLES {
        let bundle = STANDARD.encode(format!("bundle {n}\n{}", env.fake.ca_pem()));
        env.put_tenant(json!({ "caBundle": bundle })).await;
        let (name, user) = (format!("bundle-{n}"), format!("auth0|bundle-{n}"));
        env.fake.edit(|tenant| drop(tenant.user(user.as_str()).role(ROLE)));
        env.put::<UserRoleRevocation>(&name, roles(&user)).await;
        env.reason::<UserRoleRevocation>(&name, "Removed").await;
        env.delete::<UserRoleRevocation>(&name).await;
    }
}

fn start(site: &Site, metrics: std::net::SocketAddr, files: Option<&HostFiles>) -> Process {
    let (env, metrics) = (&site.env, metrics.to_string());
    let domains = format!("{},*.soak.example", env.fake.domain());
    let args = [
        ["--watch-namespaces", &env.namespace],
        ["--namespace", &env.namespace],
        ["--allowed-domains", &domains],
        ["--health-probe-bind-address", "0"],
        ["--metrics-bind-address", &metrics],
    ];
    // No kubelet would restart an operator that lost its lease while the API server was away.
    let args = [args.as_flattened(), &["--leader-elect=false"]].concat();
    match files {
        Some(files) => Process::run_as(files.command(), env.plane.kubeconfig_path(), &args),
        None => Process::run(env.plane.kubeconfig_path(), &args),
    }
}

async fn site(plane: &'static stack::ControlPlane, name: &str) -> Arc<Site> {
    let env = Environment::with(plane, prompt_fake().await, name).await;
    env.fake.counts_only(true);
    Arc::new(Site { env, rounds: AtomicUsize::new(0) })
}

/// Two sites until `end`: the operator of the second is ended, by SIGTERM or a crash, every third round.
async fn churn(measured: &Site, other: &Site, address: std::net::SocketAddr, end: Instant) {
    let mut restarted = start(other, crate::metrics::address(), None);
    let (mut round, mut told) = (0_u32, Instant::now());
    while round == 0 || Instant::now() < end {
        round += 1;
        if round.is_multiple_of(4) {
            let limited = || Fault::status(429).header("Retry-After", "1").times(3);
            for site in [measured, other] {
                site.env.fake.fault(limited());
            }
        }
        if round.is_multiple_of(2) {
            tokio::join!(measured.rotate(), other.rotate());
        }
        let restart = async {
            if round.is_multiple_of(3) {
                if round.is_multiple_of(2) {
                    restarted.kill().await
                } else {
                    assert_eq!(restarted.terminate().await, Some(0));
                }
                start(other, crate::metrics::address(), None)
            } else {
                restarted
            }
        };
        let plane = measured.env.plane;
        let outage = async {
            if round.is_multiple_of(10) {
                tokio::task::spawn_blocking(|| plane.restart_apiserver().unwrap()).await.unwrap();
            }
        };
        (_, _, restarted, _) = tokio::join!(measured.round(), other.round(), restart, outage);
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            eprintln!("round {round}: {:?}", Level::now(address).await);
        }
    }
    eprintln!("{round} rounds of {} objects in each of two namespaces", 4 * PEOPLE);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes an hour: make soak"]
async fn nothing_is_left_after_hours_of_churn() {
    let minutes: u64 = std::env::var("RESCIND_SOAK_MINUTES").map_or(60, |text| text.parse().unwrap());
    // Its API server is restarted, so it is not the one of the other tests.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plane = Box::leak(Box::new(stack::ControlPlane::start().unwrap()));
    let crds: String = rescind::api::crds().iter().map(|crd| format!("---\n{}", crd.yaml().unwrap())).collect();
    plane.apply(&crds).unwrap();
    let (measured, other) = (site(plane, "measured").await, site(plane, "other").await);
    // No DNS server answers, so that domains that do not exist fail at once.
    let files = HostFiles::new("127.0.0.1 localhost\n");
    let address = address();
    let mut operator = start(&measured, address, files.as_ref());
    // Everything happens once before the first measurement.
    churn(&measured, &other, address, Instant::now() + Duration::from_secs(100)).await;
    let before = Level::at_rest(address, "before").await;

    if files.is_some() {
        tokio::join!(many_domains(&measured.env), many_bundles(&measured.env));
    } else {
        many_bundles(&measured.env).await;
    }
    measured.env.put_tenant(json!({})).await;
    measured.round().await;
    let passed = Level::at_rest(address, "after the domains and the bundles").await;
    churn(&measured, &other, address, Instant::now() + Duration::from_secs(60 * minutes)).await;
    let after = Level::at_rest(address, "after the churn").await;

    let left = measured.env.api::<UserRoleRevocation>().list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.len(), 0, "the test itself leaves nothing");
    for level in [passed, after] {
        assert_eq!(level.queued, 0.0, "{level:?}");
        assert!(level.megabytes <= before.megabytes + 8.0, "{before:?} {level:?}");
        assert!(level.descriptors <= before.descriptors + 2.0, "{before:?} {level:?}");
        assert!(level.tasks <= before.tasks + 3.0, "{before:?} {level:?}");
        // An outcome that had not happened yet adds a series for its method and path.
        assert!(level.series <= before.series + 30, "{before:?} {level:?}");
    }
    assert_eq!(operator.terminate().await, Some(0));
}
