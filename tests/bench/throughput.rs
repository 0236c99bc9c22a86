//! Removals per second, and what the same API server manages when it is asked for nothing but their status writes.

use std::sync::Arc;
use std::time::Instant;

use kube::api::{Patch, PatchParams};
use rescind::api::FIELD_MANAGER;
use serde_json::json;

use crate::counters::{Counts, Mark};
use crate::load::{CONCURRENCY, Finished, for_each};
use crate::operator::Operator;
use crate::progress;
use crate::world::{NAMESPACE, RAW, World, apply, name};

/// One measured stretch.
pub struct Phase {
    pub objects: usize,
    pub counts: Counts,
}

impl Phase {
    pub fn rate(&self) -> f64 {
        self.objects as f64 / self.counts.seconds
    }

    pub fn and(self, other: Self) -> Self {
        Self { objects: self.objects + other.objects, counts: self.counts.and(other.counts) }
    }
}

/// What the API server manages for a client that does nothing else.
pub struct Raw {
    pub applies: Phase,
    pub patches: Phase,
}

impl Raw {
    pub fn and(self, other: Self) -> Self {
        Self { applies: self.applies.and(other.applies), patches: self.patches.and(other.patches) }
    }
}

/// Applies objects, and then PATCHes the status of each as the operator would.
pub async fn raw(world: &mut World<'_>, objects: usize) -> Raw {
    progress(&format!("{objects} raw applies and as many raw status PATCHes"));
    let numbers = world.used_raw..world.used_raw + objects;
    world.used_raw = numbers.end;
    let mark = Mark::now(&world.client).await;
    let api = world.api(RAW);
    let uids = for_each(numbers.clone(), move |number| {
        let api = api.clone();
        async move { apply(&api, RAW, number).await }
    });
    let uids = uids.await;
    let applies = Phase { objects, counts: mark.until(Instant::now(), &world.client).await };

    let mark = Mark::now(&world.client).await;
    let (api, status, first, uids) = (world.api(RAW), world.status.clone(), numbers.start, Arc::new(uids));
    for_each(numbers, move |number| {
        let (api, name, uid) = (api.clone(), name(number), uids[number - first].clone());
        let patch = Patch::Apply(json!({
            "apiVersion": "rescind.dev/v1alpha1",
            "kind": "UserRoleRevocation",
            "metadata": {"name": name, "namespace": RAW, "uid": uid},
            "status": status,
        }));
        async move {
            let written = api.patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &patch).await;
            drop(written.expect("a good status"));
        }
    })
    .await;
    let patches = Phase { objects, counts: mark.until(Instant::now(), &world.client).await };
    Raw { applies, patches }
}

/// Objects that are there before the operator is: from its start to the last Ready. The operator is left running.
pub async fn existing(world: &mut World<'_>, objects: usize) -> (Operator, Phase) {
    progress(&format!("removals of {objects} objects that exist before the operator starts"));
    create(world, objects).await;
    world.fake.counts_only(true);
    let mut finished = Finished::count(world.api(NAMESPACE)).await;
    let mark = Mark::now(&world.client).await;
    let (operator, _) = Operator::start(world.plane, world.fake.domain(), NAMESPACE).await;
    let counts = mark.until(finished.wait(objects).await, &world.client).await;
    (operator, Phase { objects, counts })
}

/// Objects that are applied while the operator runs: from the first apply to the last Ready.
pub async fn applied(world: &mut World<'_>, objects: usize) -> Phase {
    progress(&format!("removals of {objects} objects, applied {CONCURRENCY} at a time while the operator runs"));
    let mut finished = Finished::count(world.api(NAMESPACE)).await;
    let mark = Mark::now(&world.client).await;
    create(world, objects).await;
    let counts = mark.until(finished.wait(objects).await, &world.client).await;
    Phase { objects, counts }
}

async fn create(world: &mut World<'_>, objects: usize) {
    let numbers = world.used..world.used + objects;
    world.used = numbers.end;
    let api = world.api(NAMESPACE);
    for_each(numbers, move |number| {
        let api = api.clone();
        async move { drop(apply(&api, NAMESPACE, number).await) }
    })
    .await;
}
