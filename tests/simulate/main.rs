//! `make simulate`: what removing access costs under the limits of Auth0's plans, for Rescind and for a client that
//! makes one call for each object and retries as Auth0's SDKs do. The time is virtual, so hours take seconds.
//!
//! Every object names one item to remove, all objects exist when the operator starts, and each removal is verified.
//! `RESCIND_SIMULATE_OBJECTS` is the largest number of objects to simulate, 100,000 by default.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a simulation: whatever goes wrong ends it")]

#[path = "../dispatch/auth0.rs"]
mod auth0;
#[path = "../bench/common.rs"]
mod common;
#[allow(dead_code, reason = "the tests of the dispatcher use the rest")]
#[path = "../dispatch/sim.rs"]
mod sim;

mod plans;
mod sdk;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use rescind::auth0::{Endpoint, Item};
use rescind::dispatch::Limits;

use auth0::{Auth0, seconds};
use plans::Plan;
use sim::{Object, Sim};

/// The latency of a call.
const LATENCY: Duration = Duration::from_millis(150);
/// Objects per second that the operator submits to its dispatcher after a start.
const ARRIVALS: f64 = 700.0;

/// The kind of the objects.
#[derive(Clone, Copy)]
pub enum Kind {
    Memberships,
    MemberRoles,
    UserRoles,
    UserPermissions,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Memberships, Self::MemberRoles, Self::UserRoles, Self::UserPermissions];

    const fn name(self) -> &'static str {
        match self {
            Self::Memberships => "OrgMembershipRemoval",
            Self::MemberRoles => "OrgMemberRoleRemoval",
            Self::UserRoles => "UserRoleRevocation",
            Self::UserPermissions => "UserPermissionRevocation",
        }
    }

    /// What the n-th object removes: a member of one organization, or one of four roles or permissions of a user.
    fn removal(self, n: usize) -> (Endpoint, Item) {
        let user: Arc<str> = format!("auth0|{:06}", n / 4).into();
        let role = || Item::Id(format!("rol_{}", n % 4).into());
        match self {
            Self::Memberships => (
                Endpoint::OrganizationMembers { organization: "org_acme".into() },
                Item::Id(format!("auth0|{n:06}").into()),
            ),
            Self::MemberRoles => (Endpoint::OrganizationMemberRoles { organization: "org_acme".into(), user }, role()),
            Self::UserRoles => (Endpoint::UserRoles { user }, role()),
            Self::UserPermissions => {
                let name = format!("read:{}", n % 4).into();
                (Endpoint::UserPermissions { user }, Item::Permission { resource_server: "https://api/".into(), name })
            }
        }
    }
}

/// The cost of a run.
pub struct Cost {
    pub calls: u64,
    pub limited: u64,
    pub lost: usize,
    pub took: Duration,
}

fn main() {
    if !common::is_asked_for() {
        return;
    }
    let most: usize = std::env::var("RESCIND_SIMULATE_OBJECTS").map_or(100_000, |text| text.parse().expect("a number"));
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| Plan | Kind | Objects | Rescind: calls | 429s | time | one call each: calls | 429s | lost | time |"
    )
    .unwrap();
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|").unwrap();
    for plan in plans::ALL {
        for kind in Kind::ALL {
            for objects in [1_000, 10_000, 100_000].into_iter().filter(|objects| *objects <= most) {
                let (ours, theirs) = (rescind(&plan, kind, objects), sdk::run(&plan, kind, objects));
                writeln!(
                    out,
                    "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                    plan.name,
                    kind.name(),
                    objects,
                    ours.calls,
                    ours.limited,
                    span(ours.took),
                    theirs.calls,
                    theirs.limited,
                    theirs.lost,
                    span(theirs.took),
                )
                .unwrap();
            }
        }
    }
}

fn rescind(plan: &Plan, kind: Kind, objects: usize) -> Cost {
    let limits = Limits { max_per_second: 5000.0, reserve_percent: 20.0 };
    let mut sim = Sim::new(tenant(plan, kind, objects), limits, Box::new(|_, _| (LATENCY, None)));
    sim.log = false;
    let namespace: Arc<str> = "identity".into();
    for n in 0..objects {
        let (endpoint, item) = kind.removal(n);
        let object = Object::new(&namespace, n, endpoint, vec![item], true);
        sim.add(object, Duration::from_secs_f64(n as f64 / ARRIVALS));
    }
    sim.run(Duration::from_secs(30 * 24 * 3600));
    let took = sim.objects.iter().filter_map(|object| object.ended.as_ref()).map(|(at, _)| *at).max().unwrap();
    let left = |object: &&Object| object.removal.items.iter().any(|i| sim.auth0.holds(&object.removal.endpoint, i));
    let lost = sim.objects.iter().filter(left).count();
    assert_eq!(lost, 0, "lost removals");
    Cost { calls: sim.auth0.calls.values().sum(), limited: sim.auth0.limited, lost, took }
}

/// A tenant under this plan that has everything that is to be removed.
pub fn tenant(plan: &Plan, kind: Kind, objects: usize) -> Auth0 {
    let mut auth0 = Auth0::default();
    plan.limit(&mut auth0);
    auth0.lag = 7.0;
    for n in 0..objects {
        let (endpoint, item) = kind.removal(n);
        auth0.give(&endpoint, item);
    }
    auth0
}

fn span(time: Duration) -> String {
    match seconds(time) {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
