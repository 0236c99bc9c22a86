//! The operator in a world: its real dispatcher, preflight check, tenants, reconcile and status writer, run by kube's
//! own controllers. Only the watches are simulated: the caches learn of each change a moment later.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::runtime::Controller;
use kube::runtime::controller::Action;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::Event;
use rescind::api::Auth0Tenant;
use rescind::auth0::AllowedDomains;
use rescind::dispatch::{
    Connection, ConnectionKey, DeleteFinished, Dispatcher, Observer, Owner, Preflight, Purpose, Refusal, Report,
    RequestFinished, View,
};
use rescind::revocation::{
    Context, ForEachKind, PreflightChecker, Progress, ReconcileState, Revocation, Shared, TenantCheck, for_each_kind,
    is_settled, is_verdict_changed, reconcile,
};
use rescind::tenant::{Listing, Secrets, Tenants};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth0::Millis;
use crate::cluster::Key;
use crate::versions::Version;
use crate::world::World;

/// A cache that received something within this time is fresh.
const FRESH: Millis = 1000;

/// One process.
pub struct Operator {
    world: Arc<World>,
    version: Version,
    /// Its number in the world.
    process: usize,
    leads: Arc<AtomicBool>,
    ended: CancellationToken,
    dispatcher: Arc<Dispatcher>,
    shared: Arc<Shared>,
    feeds: Feeds,
    wake_namespace: Wakers<str>,
    /// The uids of the objects in its caches.
    cached: Arc<Mutex<HashSet<String>>>,
    heard: Arc<AtomicU64>,
    /// The number of events of the cluster that its caches have received.
    taken: usize,
}

/// Puts an object, or its deletion, into a cache.
type Feed = Box<dyn FnMut(&Key, Option<Value>) + Send>;
/// Triggers a reconcile of the owner of a job.
type WakeOwner = Box<dyn Fn(&Owner) + Send + Sync>;
type Feeds = HashMap<&'static str, Feed>;
type Wakers<T> = Arc<Mutex<Vec<Box<dyn Fn(&T) + Send + Sync>>>>;

/// The world, and the number of the process.
struct Deaf(Arc<World>, usize);

impl Observer for Deaf {
    fn request_finished(&self, request: &RequestFinished<'_>) {
        self.0.request_finished(request.owners);
    }

    fn delete_finished(&self, delete: &DeleteFinished<'_>) {
        self.0.delete_finished(self.1, delete.domain, delete.owners, delete.items, delete.outcome.is_ok());
    }

    fn owner_gone(&self, _: &Owner, _: &Report) {}

    fn guard_refused(&self, _: &Owner, _: &str) {}

    fn task_restarted(&self) {
        self.0.violated(9, "the dispatcher's worker panicked");
    }
}

/// Sees for whom calls are checked, and leaves the answer to the real check.
struct Witness {
    preflight: Arc<PreflightChecker>,
    world: Arc<World>,
    process: usize,
}

impl Preflight for Witness {
    fn check<'a>(&'a self, owner: &'a Owner, purpose: Purpose) -> BoxFuture<'a, Result<Connection, Refusal>> {
        self.world.checked(self.process, owner);
        async move {
            let result = self.preflight.check(owner, purpose).await;
            match &result {
                Ok(_) => self.world.passed(self.process, owner, purpose),
                Err(_) => self.world.handed_back(owner),
            }
            result
        }
        .boxed()
    }

    fn recheck(&self, owner: &Owner, purpose: Purpose) -> Result<ConnectionKey, Refusal> {
        self.preflight.recheck(owner, purpose)
    }

    fn may_send(&self) -> bool {
        self.preflight.may_send()
    }
}

impl Operator {
    /// Starts a process, whose caches first list everything.
    pub fn start(world: &Arc<World>, version: Version) -> Self {
        let process = world.process_starts(version);
        let (leads, ended) = (Arc::new(AtomicBool::new(true)), CancellationToken::new());
        let heard = Arc::new(AtomicU64::new(0));
        let client = world.client(version, process);
        let preflight = PreflightChecker::new(client.clone(), {
            let (leads, world) = (leads.clone(), world.clone());
            Box::new(move || {
                world.step();
                leads.load(Ordering::Relaxed)
            })
        });
        let observer = Arc::new(Deaf(world.clone(), process));
        let witness = Arc::new(Witness { preflight: preflight.clone(), world: world.clone(), process });
        let (dispatcher, mut woken) = Dispatcher::new(witness, observer.clone());
        let allowed = AllowedDomains::parse(["*.test"]).unwrap();
        let connecting = world.clone();
        let tenants = Tenants::connecting(allowed, Arc::new(move |domain, _| Ok(connecting.way_to(domain, process))));
        tokio::spawn(crate::allot::allot(tenants.clone()));
        let (tenant_store, tenant_writer) = reflector::store::<Auth0Tenant>();
        let (secret_store, secret_writer) = reflector::store::<Secret>();
        let mut secrets = Secrets::default();
        secrets.add(None, secret_store, listed());
        tenants.add(None, tenant_store, secrets);
        let fresh = {
            let (heard, world) = (heard.clone(), world.clone());
            Arc::new(move || heard.load(Ordering::Relaxed) + FRESH > world.now())
        };
        let wake_namespace: Wakers<str> = Arc::default();
        let changed = wake_namespace.clone();
        let shared = Arc::new(Shared {
            dispatcher: dispatcher.clone(),
            tenants: tenants.clone(),
            state: Arc::new(ReconcileState::default()),
            observer,
            announce: Box::new(|_| {}),
            tenant_changed: Box::new(move |key| {
                changed.lock().unwrap().iter().for_each(|wake| wake(key.namespace.as_deref().unwrap_or_default()));
            }),
        });
        let cached: Arc<Mutex<HashSet<String>>> = Arc::default();
        let mut kinds = Kinds {
            world: world.clone(),
            client,
            shared: shared.clone(),
            preflight,
            check: TenantCheck::new(tenants.clone(), fresh.clone(), None),
            fresh,
            feeds: HashMap::new(),
            cached: cached.clone(),
            wake_namespace: wake_namespace.clone(),
            by_kind: HashMap::new(),
            ended: ended.clone(),
        };
        for_each_kind(&mut kinds);
        let Kinds { mut feeds, by_kind, .. } = kinds;
        let (wake, all) = (wake_namespace.clone(), shared.clone());
        let news = move |namespace: &str| {
            let alive = tenants.retain();
            all.dispatcher.retain(&alive.connections);
            all.state.retain(&alive.connections);
            wake.lock().unwrap().iter().for_each(|wake| wake(namespace));
        };
        let news = Arc::new(news);
        feeds.insert("auth0tenants", feed(tenant_writer, news.clone()));
        feeds.insert("secrets", feed(secret_writer, news));
        tokio::spawn(async move {
            while let Some(owner) = woken.recv().await {
                if let Some(wake) = by_kind.get(owner.kind) {
                    wake(&owner);
                }
            }
        });
        let mut operator = Self {
            world: world.clone(),
            version,
            process,
            leads,
            ended,
            dispatcher,
            shared,
            feeds,
            wake_namespace,
            cached,
            heard,
            taken: world.changes(),
        };
        operator.list();
        operator
    }

    fn list(&mut self) {
        let state = self.world.state();
        // Tenants and Secrets first, because the controllers wait for them.
        for first in [true, false] {
            for (key, object) in &state {
                let is_first = matches!(key.0, "auth0tenants" | "secrets");
                if is_first == first
                    && let Some(feed) = self.feeds.get_mut(key.0)
                {
                    feed(key, Some(self.version.read(object.json(key))));
                }
            }
        }
        self.heard.store(self.world.now(), Ordering::Relaxed);
    }

    /// Delivers the changes that are due to the caches; returns when the next is due.
    pub fn feed(&mut self) -> Option<Millis> {
        let (now, lag) = (self.world.now(), self.world.plan.cache_lag);
        while let Some((at, key, object)) = self.world.change(self.taken, now.saturating_sub(lag)) {
            if at + lag > now {
                return Some(at + lag);
            }
            self.taken += 1;
            let object = object.map(|object| self.version.read(object.json(&key)));
            if let Some(feed) = self.feeds.get_mut(key.0) {
                feed(&key, object);
            }
            self.heard.store(now, Ordering::Relaxed);
        }
        None
    }

    /// The wall clock was set, and it has noticed that.
    pub fn follow_clock(&self) {
        for n in 0..self.world.plan.namespaces {
            self.wake_namespace.lock().unwrap().iter().for_each(|wake| wake(&format!("ns{n}")));
        }
    }

    /// The objects of which it knows something, although its caches hold them no more.
    pub fn remembers_in_vain(&self) -> Vec<String> {
        let knows =
            |uid: &&String| self.shared.state.remembers(uid) || !matches!(self.dispatcher.view(uid), View::Absent);
        self.world
            .inner()
            .cluster
            .uids
            .iter()
            .filter(|uid| !self.cached.lock().unwrap().contains(*uid))
            .filter(knows)
            .cloned()
            .collect()
    }

    /// Ends the process at once. Calls that it has sent stay in flight.
    pub fn crash(self) {
        self.leads.store(false, Ordering::Relaxed);
        self.world.process_ends(self.process);
        self.ended.cancel();
        let dispatcher = self.dispatcher.clone();
        tokio::spawn(async move { dispatcher.close().await });
    }
}

/// A listing that is complete.
fn listed() -> tokio::sync::watch::Receiver<Listing> {
    tokio::sync::watch::channel(Listing::Complete).1
}

fn feed<K>(mut writer: Writer<K>, changed: Arc<dyn Fn(&str) + Send + Sync>) -> Feed
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    writer.apply_watcher_event(&Event::Init);
    writer.apply_watcher_event(&Event::InitDone);
    let mut versions = HashMap::new();
    Box::new(move |key, object| {
        match object {
            Some(object) => {
                let spec = (object["spec"].clone(), object["data"].clone());
                let object: K = serde_json::from_value(object).unwrap();
                writer.apply_watcher_event(&Event::Apply(object));
                if versions.insert(key.clone(), spec.clone()) == Some(spec) {
                    return;
                }
            }
            None => {
                versions.remove(key);
                let gone = ObjectRef::<K>::new(&key.2).within(&key.1);
                if let Some(object) = writer.as_reader().get(&gone) {
                    writer.apply_watcher_event(&Event::Delete((*object).clone()));
                }
            }
        }
        changed(&key.1);
    })
}

struct Kinds {
    world: Arc<World>,
    client: kube::Client,
    shared: Arc<Shared>,
    preflight: Arc<PreflightChecker>,
    check: Arc<TenantCheck>,
    fresh: Arc<dyn Fn() -> bool + Send + Sync>,
    feeds: Feeds,
    cached: Arc<Mutex<HashSet<String>>>,
    wake_namespace: Wakers<str>,
    by_kind: HashMap<&'static str, WakeOwner>,
    ended: CancellationToken,
}

impl ForEachKind for Kinds {
    fn visit<K: Revocation>(&mut self) {
        let (store, mut writer) = reflector::store::<K>();
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        self.preflight.add(None, store.clone(), self.fresh.clone(), self.check.clone());
        let (wake, woken) = mpsc::unbounded::<ObjectRef<K>>();
        let (changed, changes) = mpsc::unbounded::<K>();
        let context =
            Arc::new(Context { client: self.client.clone(), store: store.clone(), shared: self.shared.clone() });
        let controller = Controller::for_stream(changes.map(Ok), store.clone())
            .reconcile_on(woken)
            .graceful_shutdown_on(self.ended.clone().cancelled_owned());
        let (reconciles, permits, world) =
            (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(16)), self.world.clone());
        let step = move |object: Arc<K>, context: Arc<Context<K>>| {
            world.step();
            let (nth, permits) = (reconciles.fetch_add(1, Ordering::Relaxed), permits.clone());
            async move {
                if nth % 5 == 1 {
                    // It begins a while after it was scheduled; meanwhile the object may have changed.
                    tokio::time::sleep(Duration::from_millis(nth % 400)).await;
                }
                // Now and then there is no permit to write.
                let permit = permits.try_acquire_owned().ok().filter(|_| nth % 7 > 0);
                let progress = reconcile(object.clone(), context.clone(), permit).await;
                context.forget_if_gone(&object);
                let action = match progress {
                    Ok(Progress::Done(after)) => after.map_or_else(Action::await_change, Action::requeue),
                    Ok(Progress::AwaitPermit) => Action::requeue(Duration::from_millis(100)),
                    Err(_) => Action::requeue(Duration::from_millis(500 + 100 * (nth % 30))),
                };
                Ok::<_, std::convert::Infallible>(action)
            }
        };
        let run = controller.run(step, |_, error, _| match *error {}, context).for_each(|_| std::future::ready(()));
        let ended = self.ended.clone();
        tokio::spawn(async move { ended.run_until_cancelled(run.boxed()).await });

        let (waker, names) = (wake.clone(), store.clone());
        self.wake_namespace.lock().unwrap().push(Box::new(move |namespace: &str| {
            for object in names.state().iter().filter(|object| object.namespace().as_deref() == Some(namespace)) {
                let _ = waker.unbounded_send(ObjectRef::from_obj(&**object));
            }
        }));
        let wake_owner = move |owner: &Owner| {
            let _ = wake.unbounded_send(ObjectRef::new(&owner.name).within(&owner.namespace));
        };
        self.by_kind.insert(K::KIND, Box::new(wake_owner));
        let shared = self.shared.clone();
        let cached = self.cached.clone();
        let take = move |key: &Key, object: Option<Value>| {
            let before = store.get(&ObjectRef::new(&key.2).within(&key.1));
            let now: Option<K> = object.map(|object| serde_json::from_value(object).unwrap());
            let same = |now: &K| before.as_ref().is_some_and(|before| before.uid() == now.uid());
            if let Some(before) = before.as_ref().filter(|_| !now.as_ref().is_some_and(same)) {
                writer.apply_watcher_event(&Event::Delete((**before).clone()));
                cached.lock().unwrap().remove(&before.uid().unwrap());
                shared.deleted(&**before);
            }
            let Some(now) = now else { return };
            let uid = now.uid().unwrap();
            shared.state.seen(&uid, now.resource_version().as_deref());
            // A settled object is not reconciled any more, whichever process finished it, and leaves the cache.
            if is_settled(&now) {
                writer.apply_watcher_event(&Event::Delete(now));
                cached.lock().unwrap().remove(&uid);
                return shared.forget(&uid);
            }
            writer.apply_watcher_event(&Event::Apply(now.clone()));
            cached.lock().unwrap().insert(uid);
            let asks = |object: &K| (object.uid(), object.meta().generation, object.annotations().clone());
            if before.is_none_or(|before| asks(&before) != asks(&now) || is_verdict_changed(&*before, &now)) {
                let _ = changed.unbounded_send(now);
            }
        };
        self.feeds.insert(Box::leak(K::plural(&()).into_owned().into_boxed_str()), Box::new(take));
    }
}
