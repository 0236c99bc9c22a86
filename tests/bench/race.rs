//! One operator works on objects that exist when it starts, at an Auth0 that answers at once: from the start of its
//! process until the last access is gone and the last object is Ready.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::auth0::{Auth0, Conditions};
use crate::cluster::{Cluster, Kind, Namespace, Removal};
use crate::common::progress;
use crate::counters::{Counts, Mark, memory};
use crate::operator::{Operator, Who};
use crate::watching::Watch;

/// Lets the API server finish the work that the creation of the objects caused.
pub const PAUSE: Duration = Duration::from_secs(2);

/// The result of one operator.
pub struct Run {
    pub objects: usize,
    /// The time until the last DELETE that removed something was answered.
    pub gone: Duration,
    /// Counts up to the moment when the last object was Ready.
    pub counts: Counts,
    /// Resident memory in megabytes after the run; `peak`, the most.
    pub resident: f64,
    pub peak: f64,
    /// Fields of the status of a finished object.
    pub fields: BTreeSet<String>,
}

impl Run {
    /// Objects that became Ready per second.
    pub fn rate(&self) -> f64 {
        self.objects as f64 / self.counts.seconds
    }
}

/// Prepares a namespace: the objects exist, and so does what they remove.
pub async fn prepare<'a>(
    cluster: &'a Cluster<'a>,
    auth0: &Auth0,
    namespace: &'static str,
    conditions: Conditions,
    objects: usize,
) -> Namespace<'a> {
    let fake = auth0.tenant(conditions, |tenant| Removal::Role.fill(tenant, objects)).await;
    let ns = cluster.namespace(namespace, &fake);
    ns.connect(0, &[]);
    ns.apply(Removal::Role, 0..objects).await;
    ns
}

/// Runs an operator in a prepared namespace.
pub async fn run(who: Who<'_>, ns: &Namespace<'_>, objects: usize, what: &str) -> Run {
    progress(&format!("{objects} objects in {}: {what}", ns.name));
    tokio::time::sleep(PAUSE).await;
    let (client, fake) = (&ns.cluster.client, &ns.fake);
    let mut watch = Watch::start(ns.cluster, Kind::UserRoles, ns.name).await;
    let mark = Mark::now(client).await;
    let began = mark.time();
    let operator = Operator::start(who, ns).await;
    let last = watch.wait(objects).await;
    let counts = mark.until(last, Some(operator.pid), client).await;
    let gone = last_removal(ns, objects);
    operator.quiet().await;
    let (resident, peak) = (memory(operator.pid, "VmRSS"), memory(operator.pid, "VmHWM"));
    operator.stop();
    let fields = fields(&status_of(ns, 0).await);
    // Later queries need not go through these calls.
    fake.reset_calls();
    Run { objects, gone: gone - began, counts, resident, peak, fields }
}

/// When the last DELETE that removed something was answered.
fn last_removal(ns: &Namespace<'_>, objects: usize) -> Instant {
    let answers = ns.fake.deletes().into_iter().filter_map(|call| call.answer());
    let removals: Vec<_> = answers.filter(|answer| answer.removed > 0).collect();
    let removed: usize = removals.iter().map(|answer| answer.removed).sum();
    assert_eq!(removed, objects, "everything was taken away, once");
    removals.iter().map(|answer| answer.at).max().expect("there was something to take away")
}

/// The status of the n-th object.
pub async fn status_of(ns: &Namespace<'_>, n: usize) -> Value {
    let object = ns.api(Kind::UserRoles).get(&Removal::Role.name(n)).await.expect("an object");
    object.data["status"].clone()
}

/// The fields of a status that are set, and its conditions by type.
fn fields(status: &Value) -> BTreeSet<String> {
    fn collect(value: &Value, path: &str, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| collect(value, &format!("{path}.{name}"), into));
            }
            Value::Array(items) => {
                let name = |item: &Value| format!("{path}[{}]", item["type"].as_str().unwrap_or_default());
                items.iter().for_each(|item| collect(item, &name(item), into));
            }
            _ => drop(into.insert(path.to_owned())),
        }
    }
    let mut all = BTreeSet::new();
    collect(status, "status", &mut all);
    all
}
