//! One world: people, objects and tenants on one side, Auth0 on the other, the operator in between, all on one virtual
//! clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use http_body_util::BodyExt;
use kube::client::Body;
use rescind::auth0::{CallError, Domain, Item, ManagementApi, Page, Token};
use rescind::dispatch::{Owner, Purpose};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::auth0::{EPOCH, Millis, Tenant, Wire};
use crate::clock::Wall;
use crate::cluster::{Cluster, Key, Object, State, failure, tenant_of, token_of};
use crate::coverage::Coverage;
use crate::invariants::{Books, condition};
use crate::plan::Plan;
use crate::process::Process;
use crate::settled::removals;
use crate::versions::{Version, meant};
use crate::wires::Wires;

/// Answers that are laid down, whatever the model of Auth0 would say.
pub type Script = Box<dyn Fn(&Wire) -> Option<Result<Page, CallError>> + Send + Sync>;

/// A world.
pub struct World {
    pub plan: Plan,
    pub script: Option<Script>,
    start: Instant,
    inner: Mutex<Inner>,
    /// The number of each token by its fingerprint.
    pub tokens: HashMap<u64, u64>,
    /// Notified when the operator has written a status, and when a promise is broken.
    pub news: Notify,
}

pub struct Inner {
    pub rng: Rng,
    pub cluster: Cluster,
    pub wall: Wall,
    pub auth0: BTreeMap<String, Tenant>,
    pub books: Books,
    pub coverage: Coverage,
    pub is_calm: bool,
    /// Whether to print everything that happens.
    pub tells: bool,
    /// The number of status writes so far.
    pub writes: u64,
    /// The number of steps of the operator so far.
    steps: u64,
}

/// The most tokens that a world can have.
pub const TOKENS: u64 = 64;

/// Ten times the steps of the operator that the busiest world needs.
const ENDLESS: u64 = 20_000;

impl World {
    pub fn new(plan: Plan, script: Option<Script>) -> Arc<Self> {
        let rng = Rng::with_seed(plan.seed);
        fastrand::seed(plan.seed);
        let (cluster, auth0) = crate::begin::begin(&plan);
        let now = jiff::Timestamp::from_second(EPOCH).unwrap();
        let fingerprint = |n: u64| {
            let text = format!("e30.e30.{n}");
            (Token::read(text.as_bytes(), "https://any/api/v2/", now).unwrap().fingerprint(), n)
        };
        let inner = Inner {
            rng,
            cluster,
            wall: Wall::default(),
            auth0,
            books: Books::new(plan.calm),
            coverage: Coverage::default(),
            is_calm: false,
            tells: std::env::var_os("RESCIND_WORLD").is_some(),
            writes: 0,
            steps: 0,
        };
        let tokens = (0..TOKENS).map(fingerprint).collect();
        Arc::new(Self { plan, script, start: Instant::now(), inner: Mutex::new(inner), tokens, news: Notify::new() })
    }

    pub fn now(&self) -> Millis {
        u64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    /// What the wall clock of the operator shows.
    pub fn wall(&self) -> jiff::Timestamp {
        let now = self.now();
        self.inner().wall.at(now)
    }

    /// Somebody sets the wall clock.
    pub fn jump(&self, seconds: i64) {
        let now = self.now();
        let mut inner = self.inner();
        inner.wall.jump(now, seconds);
        inner.coverage.count("clock", if seconds < 0 { "set back" } else { "set forward" });
        rescind::clock::begin_at(inner.wall.at(now));
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// The change of this number, if there is one: its time and its object, as it was at `time`.
    pub fn change(&self, number: usize, time: Millis) -> Option<(Millis, Key, Option<Arc<Object>>)> {
        let inner = self.inner();
        let (at, key) = inner.cluster.events.get(number)?;
        Some((*at, key.clone(), inner.cluster.at(time).get(key).cloned()))
    }

    /// The number of changes so far.
    pub fn changes(&self) -> usize {
        self.inner().cluster.events.len()
    }

    pub fn state(&self) -> State {
        self.inner().cluster.now.clone()
    }

    pub fn violated(&self, promise: u8, what: &str) {
        let at = self.now();
        self.inner().books.violated(promise, at, what);
        self.news.notify_one();
    }

    /// Counts a step of the operator: a reconcile, a preflight check, a request to the API server, a call to Auth0. If
    /// it takes steps without end, virtual time stands still, so this is where the world has to end.
    pub fn step(&self) {
        let mut inner = self.inner();
        inner.steps += 1;
        let is_endless = inner.steps == ENDLESS;
        drop(inner);
        if is_endless {
            self.violated(9, &format!("{ENDLESS} steps: something never comes to rest"));
        }
    }

    /// A process starts; returns its number.
    pub fn process_starts(&self, version: Version) -> usize {
        let at = self.now();
        let processes = &mut self.inner().books.processes;
        processes.push(Process::new(at, version));
        processes.len() - 1
    }

    /// People did something.
    pub fn people_acted(&self) {
        let Inner { books, cluster, .. } = &mut *self.inner();
        let connection = |(key, object): (&Key, &Arc<Object>)| {
            let tenant = tenant_of(&cluster.now, key, object)?;
            Some((tenant.spec["domain"].as_str()?.to_owned(), token_of(&cluster.now, &key.1, tenant)?))
        };
        let used = removals(&cluster.now).filter_map(connection).collect();
        books.processes.iter_mut().for_each(|process| process.tenants_have(&used));
    }

    /// From now on nothing may leave this process.
    pub fn process_ends(&self, process: usize) {
        let at = self.now();
        self.inner().books.processes[process].ended = Some(at);
    }

    /// The process crashes, or another takes over.
    pub fn crashes(&self) {
        let at = self.now();
        let Inner { books, cluster, .. } = &mut *self.inner();
        books.crashed(cluster, at);
    }

    /// A call of this process for this owner is checked, and others of the same task.
    pub fn checked(&self, process: usize, owner: &Owner) {
        let at = self.now();
        let Inner { books, cluster, wall, .. } = &mut *self.inner();
        books.call_starts(cluster, process, owner, (at, wall));
    }

    /// The check lets a call of this process for this owner pass.
    pub fn passed(&self, process: usize, owner: &Owner, purpose: Purpose) {
        let at = self.now();
        let Inner { books, cluster, wall, .. } = &mut *self.inner();
        let version = books.processes[process].version;
        let is_delete = purpose == Purpose::Remove;
        books.check_owner(cluster, &owner.uid, is_delete, version, (at, wall.at(at)));
    }

    /// The check refuses a call for this owner.
    pub fn handed_back(&self, owner: &Owner) {
        let at = self.now();
        self.inner().books.handed_back(&owner.uid, at);
    }

    /// A DELETE for these owners was answered.
    pub fn delete_finished(
        &self,
        process: usize,
        domain: &Domain,
        owners: &[Owner],
        items: &[Item],
        is_accepted: bool,
    ) {
        let at = self.now();
        let Inner { books, cluster, wall, tells, .. } = &mut *self.inner();
        let uids: Vec<&str> = owners.iter().map(|owner| &*owner.uid).collect();
        let version = books.processes[process].version;
        books.delete_was_for(cluster, version, &uids, (at, wall));
        if is_accepted {
            if *tells {
                let names: Vec<_> = owners.iter().map(|owner| format!("{}/{}", owner.namespace, owner.name)).collect();
                println!("{at} accepted for {names:?}");
            }
            books.processes[process].unproved.extend(uids.iter().map(|uid| (*uid).to_owned()));
            books.delete_accepted(cluster, &domain.to_string(), &uids, items, (at, wall));
        }
    }

    /// A call to Auth0 for these owners ended.
    pub fn request_finished(&self, owners: &[Owner]) {
        assert!(!owners.is_empty(), "a call without an owner");
    }

    pub fn way_to(self: &Arc<Self>, domain: &Domain, process: usize) -> Arc<dyn ManagementApi> {
        Arc::new(Wires { world: self.clone(), domain: domain.to_string(), process })
    }

    /// The client with which this process uses the API server of this world.
    pub fn client(self: &Arc<Self>, version: Version, process: usize) -> kube::Client {
        let world = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let world = world.clone();
            async move { Ok::<_, std::convert::Infallible>(world.answer(request, (version, process)).await) }
        });
        kube::Client::new(service, "default")
    }

    async fn answer(&self, request: http::Request<Body>, who: (Version, usize)) -> http::Response<Body> {
        let is_put = request.method() == http::Method::PUT;
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let (wait, fails) = self.trouble(is_put);
        // A watch may deliver the change before the request is answered.
        let half = Duration::from_millis(wait) / 2;
        tokio::time::sleep(half).await;
        let (code, value) =
            if fails { failure(500, "InternalError") } else { self.serve(&path, is_put.then_some(&body), who) };
        tokio::time::sleep(half).await;
        let value = serde_json::to_vec(&who.0.read(value)).unwrap();
        http::Response::builder().status(code).body(Body::from(value)).unwrap()
    }

    fn trouble(&self, is_put: bool) -> (Millis, bool) {
        self.step();
        let mut inner = self.inner();
        let Plan { preflight, unconfirmed, write_faults, .. } = self.plan;
        if inner.is_calm {
            return (1, false);
        }
        let percent = inner.rng.u64(..100);
        if is_put {
            let fails = percent < write_faults;
            if fails {
                inner.coverage.count("api", "write fails");
            }
            return (inner.rng.u64(1..20), fails);
        }
        if percent < unconfirmed {
            inner.coverage.count("api", "no answer in time");
            return (7000, false);
        }
        (inner.rng.u64(preflight.0..=preflight.1), false)
    }

    fn serve(&self, path: &str, put: Option<&[u8]>, (version, process): (Version, usize)) -> (u16, Value) {
        let parts: Vec<&str> = path.split('/').collect();
        // /apis/rescind.dev/v1alpha1/namespaces/NAMESPACE/PLURAL/NAME[/status]
        let (namespace, plural, name) = (parts[5], parts[6], parts[7]);
        let mut inner = self.inner();
        let Some(key) = inner.cluster.now.keys().find(|k| k.0 == plural && k.1 == namespace && k.2 == name).cloned()
        else {
            return failure(404, "NotFound");
        };
        let Some(body) = put else { return inner.cluster.get(&key) };
        let (at, mut body) = (self.now(), serde_json::from_slice::<Value>(body).unwrap());
        let status = version.completed(std::mem::take(&mut body["status"]));
        body["status"] = version.written(&status);
        let before = inner.cluster.now[&key].clone();
        let answer = inner.cluster.put_status(at, &key, &body);
        if answer.0 == 200 {
            inner.wrote(&key, &before, &status, at);
            if condition(&status, "Ready").is_some_and(|ready| ready["status"] == "True") {
                inner.books.processes[process].unproved.remove(&before.uid);
            }
            self.news.notify_one();
        }
        answer
    }
}

impl Inner {
    fn wrote(&mut self, key: &Key, before: &Object, status: &Value, at: Millis) {
        if self.tells {
            let (uid, generation) = (&before.uid, before.generation);
            println!("{at} status of {}/{} {uid} generation {generation}: {status}", key.1, key.2);
        }
        self.writes += 1;
        let reason = condition(status, "Ready").and_then(|ready| ready["reason"].as_str()).unwrap_or("none").to_owned();
        self.coverage.count("reason", &reason);
        self.books.status_written(&self.cluster, key, before, status, at);
        self.books.observed(&self.cluster, key, before, status, at);
        let domain = status["domain"].as_str().map(str::to_owned);
        let before_it = condition(&before.status, "Ready").and_then(|ready| ready["reason"].as_str()).map(meant);
        let is_other = |field: &str| before.status[field] != status[field];
        let is_news = before_it != Some(&reason) || is_other("drift") || is_other("result");
        if let Some(auth0) = domain.and_then(|domain| self.auth0.get(&domain)).filter(|_| is_news) {
            self.books.verdict(key, before, status, auth0, at);
        }
    }
}
