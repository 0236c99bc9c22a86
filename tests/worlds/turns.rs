//! Promise 10 in a world: namespaces take turns. An object that certainly waits for its first call is passed over at
//! most once by each other namespace, counted in DELETEs of one kind with one connection.
//!
//! What waits is not asked of the dispatcher. An object counts as waiting only where nothing excuses the wait: it has
//! been the same for a while, nothing was ever sent for it, and Auth0 has refused nothing to its connection.

use std::collections::{HashMap, HashSet};
use std::mem::discriminant;

use rescind::auth0::{CallError, Endpoint, Item, Question, Read};
use tokio::task::Id;

use crate::auth0::{Millis, Wire};
use crate::clock::Wall;
use crate::cluster::{Cluster, Key, Object, State, token_of};
use crate::restraints::removes_for;
use crate::versions::Version;

/// After this time without a change an object has certainly been submitted, and waits for no other to share its call.
const SETTLED: Millis = 1800;
/// After a failed call its endpoint may pause for this long.
const PAUSES: Millis = 120_000;
/// How long a call takes at most, from its check to its answer.
const IN_FLIGHT: Millis = 60_000;
/// A namespace with so many calls may have its share of the calls in flight.
const SHARE: usize = 12;

/// Calls of one kind with one connection are admitted or held back together.
type Lane = (String, u64, std::mem::Discriminant<Endpoint>);

/// The turns of the namespaces in one process.
#[derive(Debug, Default)]
pub struct Turns {
    began: Millis,
    version: Version,
    /// The number of calls that were started.
    started: u64,
    calls: HashMap<Id, Started>,
    /// The objects for which a call was started.
    served: HashSet<String>,
    /// The last call of each namespace, and the times of all.
    last: HashMap<String, (u64, Vec<Millis>)>,
    /// How often each object was passed over since its namespace had a call, as of which call, and since when it waits.
    passed: HashMap<String, (usize, u64, Millis)>,
    /// When a call was last started for an item. While one is in flight, no other is sent.
    items: HashMap<(Endpoint, Item), Millis>,
    /// The questions whose answers have not come yet. All who ask the same wait for them.
    asked: HashSet<(String, u64, Question)>,
    refused: HashSet<(String, u64)>,
    failed: HashMap<(String, Endpoint), Millis>,
}

#[derive(Debug)]
struct Started {
    number: u64,
    /// The objects that waited when the call was started.
    waiting: Vec<Waiting>,
}

#[derive(Clone, Debug)]
struct Waiting {
    uid: String,
    namespace: String,
    lane: Lane,
    since: Millis,
}

impl Turns {
    /// A new process starts.
    pub fn new(began: Millis, version: Version) -> Self {
        Self { began, version, ..Self::default() }
    }

    /// The task `call` checks one of the objects that it is for.
    pub fn checked(
        &mut self,
        (cluster, wall): (&Cluster, &Wall),
        accepted: &HashSet<(String, u64)>,
        call: Id,
        (namespace, uid): (&str, &str),
        at: Millis,
    ) {
        if !self.calls.contains_key(&call) {
            self.started += 1;
            let mut waiting = self.waiting(cluster, wall, at);
            waiting.retain(|waiting| accepted.contains(&(waiting.lane.0.clone(), waiting.lane.1)));
            self.calls.insert(call, Started { number: self.started, waiting });
        }
        let number = self.calls[&call].number;
        self.served.insert(uid.to_owned());
        if let Some((endpoint, items)) = cluster.object(uid).and_then(|object| object.target.as_ref()) {
            self.items.extend(items.iter().map(|item| ((endpoint.clone(), item.clone()), at)));
        }
        let last = self.last.entry(namespace.to_owned()).or_default();
        if last.0 != number {
            last.0 = number;
            last.1.push(at);
        }
    }

    /// The task `call` sends a DELETE. Returns the objects that were passed over, and how often.
    pub fn deletes(&mut self, call: Id, domain: &str, token: u64, endpoint: &Endpoint) -> Vec<(String, usize)> {
        let Some(Started { number, waiting }) = self.calls.remove(&call) else { return Vec::new() };
        let lane = (domain.to_owned(), token, discriminant(endpoint));
        let mut passed = Vec::new();
        for waiting in waiting.into_iter().filter(|waiting| waiting.lane == lane) {
            let last = self.last.get(&waiting.namespace).map_or(0, |last| last.0);
            if last >= number || self.served.contains(&waiting.uid) {
                continue;
            }
            let (times, as_of, since) = self.passed.entry(waiting.uid.clone()).or_default();
            if last > *as_of || *since != waiting.since {
                *times = 0;
            }
            (*times, *as_of, *since) = (*times + 1, number, waiting.since);
            passed.push((waiting.uid, *times));
        }
        passed
    }

    /// A read leaves that answers a question.
    pub fn asks(&mut self, domain: &str, token: u64, question: &Question) {
        self.asked.insert((domain.to_owned(), token, question.clone()));
    }

    /// A call was answered.
    pub fn answered(&mut self, domain: &str, token: u64, wire: &Wire) {
        if let Wire::Get(Read::Answer(question), _) = wire {
            self.asked.remove(&(domain.to_owned(), token, question.clone()));
        }
    }

    /// A call had no success.
    pub fn failed(&mut self, domain: &str, token: u64, wire: &Wire, error: &CallError, at: Millis) {
        if matches!(error, CallError::Unauthorized(_) | CallError::InsufficientScope(_) | CallError::Denied(_)) {
            self.refused.insert((domain.to_owned(), token));
        }
        if let Wire::Delete(endpoint, _) | Wire::Get(Read::List(endpoint), _) = wire {
            self.failed.insert((domain.to_owned(), endpoint.clone()), at);
        }
    }

    fn waiting(&self, cluster: &Cluster, wall: &Wall, at: Millis) -> Vec<Waiting> {
        if at < self.began + SETTLED {
            return Vec::new();
        }
        let waits = |(key, object): (&Key, &std::sync::Arc<Object>)| self.waits((cluster, wall), key, object, at);
        cluster.now.iter().filter_map(waits).collect()
    }

    fn waits(&self, (cluster, wall): (&Cluster, &Wall), key: &Key, object: &Object, at: Millis) -> Option<Waiting> {
        let (endpoint, items) = object.target.as_ref()?;
        let is_new = object.status["observedGeneration"] == -1 && !self.served.contains(&object.uid);
        let connection = |state: &State| {
            let same = state.get(key).filter(|same| same.uid == object.uid && same.generation == object.generation)?;
            let removes = |at| removes_for(state, key, same, self.version, wall.at(at));
            let tenant = removes(at - SETTLED).and(removes(at))?;
            // Its first call is a read, which is admitted by other limits than a DELETE.
            let verification = same.spec.get("verification").or_else(|| tenant.spec.get("verification"));
            if verification.is_some_and(|verification| verification == "BeforeAndAfter") {
                return None;
            }
            // A connection that no tenant had for a while is forgotten, and begins again.
            let is_old = tenant.edited <= self.began;
            let domain = tenant.spec["domain"].as_str()?.to_owned();
            is_old.then_some((domain, token_of(state, &key.1, tenant)?))
        };
        let was_set = wall.jumped_since(at - SETTLED);
        let (domain, token) = connection(&cluster.now).filter(|_| is_new && !was_set)?;
        let same = |state: &State| connection(state).is_some_and(|other| other == (domain.clone(), token));
        let has_failed =
            self.failed.get(&(domain.clone(), endpoint.clone())).is_some_and(|failed| failed + PAUSES > at);
        let busy = self.last.get(&key.1).map_or(0, |(_, calls)| calls.iter().filter(|c| **c + IN_FLIGHT > at).count());
        let started = |item: &Item| self.items.get(&(endpoint.clone(), item.clone())).copied();
        let on_its_way = items.iter().filter_map(started).any(|started| started + IN_FLIGHT > at);
        let mut asked = self.asked.iter().filter(|(of, with, _)| *of == domain && *with == token);
        let is_asked = asked.any(|(.., question)| needs(endpoint, items, question));
        let is_refused = self.refused.contains(&(domain.clone(), token));
        let excused = has_failed || on_its_way || is_asked || busy >= SHARE || is_refused;
        if excused || !cluster.since(at - SETTLED).all(same) {
            return None;
        }
        let lane = (domain, token, discriminant(endpoint));
        Some(Waiting { uid: object.uid.clone(), namespace: key.1.clone(), lane, since: object.edited })
    }
}

/// Whether an object with this target may have to know the answer before it acts.
fn needs(endpoint: &Endpoint, items: &[Item], question: &Question) -> bool {
    match question {
        Question::LoginMembership { organization } | Question::MemberCount { organization } => {
            endpoint.organization() == Some(organization)
        }
        Question::ApiSettings { identifier } => items
            .iter()
            .any(|item| matches!(item, Item::Permission { resource_server, .. } if resource_server == identifier)),
        Question::RoleHolders { role } => items.iter().any(|item| matches!(item, Item::Id(id) if id == role)),
    }
}
