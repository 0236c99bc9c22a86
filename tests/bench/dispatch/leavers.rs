//! Rescind at work: a crowd leaves, somebody of another team comes in between, another client uses the same tenant.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_auth0::Call;
use futures::{StreamExt, TryStreamExt};
use kube::ResourceExt;
use kube::api::{ListParams, WatchEvent, WatchParams};
use rescind::api::ConditionType;
use tokio::task::JoinHandle;

use crate::operator::Operator;
use crate::progress;
use crate::tenant::{LEAVING, OTHER, OTHER_TEAM, SHARED, TEAM, Tenant, member};

const PATIENCE: Duration = Duration::from_secs(900);

pub struct Offboarded {
    pub deletes: usize,
    pub calls: usize,
    pub limited: usize,
    pub lost: usize,
    pub early: usize,
    pub before_other: usize,
    /// From the first DELETE to the last.
    pub seconds: f64,
}

pub async fn offboard(tenant: &Tenant<'_>, objects: usize) -> Offboarded {
    progress(&format!("applying {objects} objects"));
    tenant.apply(TEAM, LEAVING, (0..objects).map(|n| member(LEAVING, n))).await;
    let finished = watch(tenant, TEAM, objects).await;
    progress(&format!("{objects} people leave one organization, 10 a call, 50 calls a second"));
    let (operator, _) = Operator::start(tenant.plane, tenant.fake.domain(), &format!("{TEAM},{OTHER_TEAM}")).await;
    // In the thick of it, one of another team.
    while tenant.fake.deletes().len() < 100.min(objects / 20) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let other = watch(tenant, OTHER_TEAM, 1).await;
    tenant.apply(OTHER_TEAM, OTHER, std::iter::once(member(OTHER, 0))).await;
    let applied = Instant::now();
    let ready = finished.await.expect("all finish");
    other.await.expect("the other one, too");
    operator.stop();

    let calls = tenant.fake.calls();
    let deletes: Vec<&Arc<Call>> = calls.iter().filter(|call| call.method == http::Method::DELETE).collect();
    let removed_at = removals(&deletes);
    let own = deletes.iter().find(|call| call.organization.as_deref() == Some(OTHER)).expect("its call").at;
    let before = deletes.iter().filter(|call| call.at > applied && call.at < own);
    let state = tenant.fake.state();
    let gone = |n: &usize| !state.is_member(LEAVING, &member(LEAVING, *n));
    let early = |n: &usize| ready.get(&name(*n)).zip(removed_at.get(&member(LEAVING, *n))).is_none_or(|(r, d)| r < d);
    Offboarded {
        deletes: deletes.len() - 1,
        calls: calls.len() - 2,
        limited: calls.iter().filter(|call| call.status() == Some(429)).count(),
        lost: (0..objects).filter(|n| !gone(n)).count(),
        early: (0..objects).filter(early).count(),
        before_other: before.count(),
        seconds: deletes.last().unwrap().at.duration_since(deletes[0].at).as_secs_f64(),
    }
}

fn name(n: usize) -> String {
    format!("{}-{n:06}", LEAVING.replace('_', "-"))
}

/// When each person was removed by a DELETE that succeeded.
fn removals(deletes: &[&Arc<Call>]) -> HashMap<String, Instant> {
    let mut at = HashMap::new();
    for call in deletes.iter().filter(|call| call.status() == Some(204)) {
        let members = call.body.as_ref().and_then(|body| body["members"].as_array()).into_iter().flatten();
        for member in members.filter_map(|member| member.as_str()) {
            at.entry(member.to_owned()).or_insert(call.at);
        }
    }
    at
}

/// When each of `objects` objects of a namespace became Ready, once all did.
async fn watch(tenant: &Tenant<'_>, namespace: &str, objects: usize) -> JoinHandle<HashMap<String, Instant>> {
    let api = tenant.api(namespace);
    let now = api.list_metadata(&ListParams::default().limit(1)).await.expect("a list");
    let mut version = now.metadata.resource_version.expect("lists have versions");
    tokio::spawn(async move {
        let mut ready = HashMap::new();
        let deadline = Instant::now() + PATIENCE;
        while ready.len() < objects {
            assert!(Instant::now() < deadline, "{} of {objects} objects are ready", ready.len());
            let params = WatchParams::default().timeout(60);
            let mut events = api.watch(&params, &version).await.expect("a watch").boxed();
            while let Some(event) = events.try_next().await.expect("a watch that goes on") {
                let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else { continue };
                version = object.resource_version().unwrap();
                let condition = object.status.as_ref().and_then(|status| status.condition(ConditionType::Ready));
                if condition.is_some_and(|ready| ready.status == "True") {
                    ready.entry(object.name_any()).or_insert_with(Instant::now);
                }
                if ready.len() >= objects {
                    break;
                }
            }
        }
        ready
    })
}

pub struct Shared {
    /// Of all calls of this kind that got through.
    pub share: f64,
    pub refused: usize,
}

/// The same beside a client that asks for a fifth of the refill.
pub async fn beside_another(tenant: &Tenant<'_>, objects: usize) -> Shared {
    progress(&format!("{objects} people leave while another client uses a fifth of the bucket"));
    tenant.fake.reset_calls();
    tenant.refill();
    tenant.reserve(20);
    tenant.apply(TEAM, SHARED, (0..objects).map(|n| member(SHARED, n))).await;
    let finished = watch(tenant, TEAM, objects).await;
    let (operator, _) = Operator::start(tenant.plane, tenant.fake.domain(), &format!("{TEAM},{OTHER_TEAM}")).await;
    while tenant.fake.deletes().len() < 10 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (mut got, mut refused) = (0_usize, 0_usize);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut last = tenant.fake.deletes().len();
    let first = last;
    let mut idle = 0;
    // As long as the crowd's DELETEs go on.
    while idle < 10 {
        tick.tick().await;
        match tenant.fake.drain(fake_auth0::Group::MembersWrite, 1) {
            1 => got += 1,
            _ => refused += 1,
        }
        let now = tenant.fake.deletes().len();
        idle = if now == last { idle + 1 } else { 0 };
        last = now;
    }
    let got = got.saturating_sub(idle);
    finished.await.expect("all finish");
    operator.stop();
    Shared { share: got as f64 / (got + last - first) as f64, refused }
}
