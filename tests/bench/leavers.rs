//! A crowd leaves one organization while Auth0 limits the calls, answers slowly and shows an old list for a while.
//! Meanwhile an object of another team arrives. Then the same beside another client of the tenant.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_auth0::{Bucket, Call, FakeAuth0, Group};

use crate::auth0::{Auth0, Conditions};
use crate::cluster::{Cluster, Kind, Namespace, Removal};
use crate::common::progress;
use crate::operator::Operator;
use crate::watching::Watch;

/// The size of each bucket, and the calls it gains a second.
pub const LIMIT: u32 = 50;
/// How far the list of members lags.
pub const LAG: Duration = Duration::from_secs(7);
/// The most members that one call can remove.
pub const PER_CALL: usize = 10;

const LATENCY: Duration = Duration::from_millis(150);
const GROUPS: [Group; 3] = [Group::MembersWrite, Group::MembersRead, Group::UserOrgsRead];

/// The organizations of the two teams.
const LEAVING: Removal = Removal::Member("org_aaaaaaaaaaaaaaaa");
const OTHER: Removal = Removal::Member("org_bbbbbbbbbbbbbbbb");
const SHARED: Removal = Removal::Member("org_cccccccccccccccc");

/// Two teams on one tenant, with one credential.
pub struct Teams<'a> {
    one: Namespace<'a>,
    other: Namespace<'a>,
}

impl<'a> Teams<'a> {
    pub async fn new(cluster: &'a Cluster<'a>, auth0: &Auth0, objects: usize) -> Self {
        let conditions = Conditions { latency: LATENCY, lag: LAG, ..Conditions::default() };
        let fill = |tenant: &mut fake_auth0::Edit<'_>| {
            LEAVING.fill(tenant, objects + objects / 20);
            OTHER.fill(tenant, 1);
            SHARED.fill(tenant, objects / 4);
        };
        let fake = auth0.tenant(conditions, fill).await;
        refill(&fake);
        Self { one: cluster.namespace("leavers-a", &fake), other: cluster.namespace("leavers-b", &fake) }
    }

    fn reserve(&self, percent: u32) {
        self.one.connect(percent, &[]);
        self.other.connect(percent, &[]);
    }

    async fn operator(&self) -> Operator {
        Operator::rescind(&self.one, &format!("{},{}", self.one.name, self.other.name)).await
    }
}

/// Fills the buckets, as after a quiet minute.
fn refill(fake: &FakeAuth0) {
    for group in GROUPS {
        fake.limit(group, Bucket::new(LIMIT, f64::from(LIMIT)));
    }
}

pub struct Crowd {
    pub objects: usize,
    /// The time from the start of the operator until the last object was Ready.
    pub took: Duration,
    pub deletes: usize,
    pub calls: usize,
    /// The number of 429s.
    pub limited: usize,
    /// The number of members who are still there.
    pub lost: usize,
    /// The number of objects that were Ready before the tenant had changed.
    pub early: usize,
    /// The number of calls between the apply of the other team's object and its call.
    pub before_other: usize,
}

pub async fn offboard(teams: &Teams<'_>, objects: usize) -> Crowd {
    progress(&format!("{objects} people leave one organization, {PER_CALL} a call, {LIMIT} calls a second"));
    teams.reserve(0);
    teams.one.apply(LEAVING, 0..objects).await;
    let fake = &teams.one.fake;
    let mut watch = Watch::start(teams.one.cluster, Kind::Memberships, teams.one.name).await;
    let mut others = Watch::start(teams.one.cluster, Kind::Memberships, teams.other.name).await;
    let began = Instant::now();
    let operator = teams.operator().await;
    // In the middle of it, an object of the other team.
    while fake.deletes().len() < 100.min(objects / 20) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let applying = Instant::now();
    teams.other.apply(OTHER, 0..1).await;
    let took = watch.wait(objects).await - began;
    others.wait(1).await;
    operator.stop();

    let calls = fake.calls();
    let deletes: Vec<&Arc<Call>> = calls.iter().filter(|call| call.kind.is_delete()).collect();
    let own = deletes.iter().find(|call| call.names(&OTHER.user(0))).expect("its call").at;
    let removed_at = removals(&deletes);
    let state = fake.state();
    let Removal::Member(organization) = LEAVING else { unreachable!("it is one") };
    let is_early = |n: usize, ready: &HashMap<String, Instant>| {
        let times = ready.get(&LEAVING.name(n)).zip(removed_at.get(&LEAVING.user(n)));
        times.is_none_or(|(ready, removed)| ready < removed)
    };
    Crowd {
        objects,
        took,
        deletes: deletes.len() - 1,
        calls: calls.len() - 2,
        limited: calls.iter().filter(|call| call.status() == Some(429)).count(),
        lost: (0..objects).filter(|n| state.is_member(organization, &LEAVING.user(*n))).count(),
        early: watch.look(|seen| (0..objects).filter(|n| is_early(*n, &seen.ready)).count()),
        before_other: deletes.iter().filter(|call| call.at > applying && call.at < own).count(),
    }
}

/// When each member was removed by a DELETE that succeeded.
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

pub struct Shared {
    /// The share of the other client in all DELETEs of members that got through.
    pub share: f64,
    pub refused: usize,
}

/// Half as many people leave while another client makes calls for a fifth of the refill and `reservePercent` is 20.
pub async fn beside_another(teams: &Teams<'_>, objects: usize) -> Shared {
    let (objects, fake) = (objects / 4, &teams.one.fake);
    progress(&format!("{objects} people leave while another client uses a fifth of the bucket"));
    fake.reset_calls();
    refill(fake);
    teams.reserve(20);
    teams.one.apply(SHARED, 0..objects).await;
    let mut watch = Watch::start(teams.one.cluster, Kind::Memberships, teams.one.name).await;
    let operator = teams.operator().await;
    while fake.deletes().len() < 10.min(objects / PER_CALL) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (mut got, mut refused, mut idle) = (0_usize, 0_usize, 0);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let first = fake.deletes().len();
    let mut last = first;
    // While the DELETEs of the crowd go on.
    while idle < 10 {
        tick.tick().await;
        match fake.drain(Group::MembersWrite, 1) {
            1 => got += 1,
            _ => refused += 1,
        }
        let now = fake.deletes().len();
        idle = if now == last { idle + 1 } else { 0 };
        last = now;
    }
    let got = got.saturating_sub(idle);
    watch.wait(objects).await;
    operator.stop();
    Shared { share: got as f64 / (got + last - first).max(1) as f64, refused }
}
