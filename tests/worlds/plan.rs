//! The plan of a world: everything that varies, drawn from one number. Each world has at least two namespaces, two
//! connections of one domain and one of another, an endpoint shared by namespaces, twelve objects and three edits; half
//! of the worlds have a crash.

use std::collections::BTreeSet;

use fastrand::Rng;

use crate::auth0::{Fault, Millis};
use crate::versions::Version;

/// The renew deadline of the election: for so long a leader may go on without knowing that another one leads.
const LONGEST_OVERLAP: Millis = 10_000;

/// Where Auth0's documentation is silent, or where tenants differ.
#[derive(Clone, Copy, Debug)]
pub struct Switches {
    /// `GET users/{id}/organizations` says `total: 0` whatever it lists.
    pub wrong_totals: bool,
    /// A 404 has an error code that says what is missing.
    pub coded_404: bool,
    /// Unknown roles, APIs and members cause a 404 instead of a 204.
    pub unknown_items_are_404: bool,
    /// Removing roles from somebody who is not a member is a 404.
    pub strangers_are_404: bool,
    /// Every page of members that is not empty has a cursor.
    pub next_on_every_page: bool,
    /// The list of a member's roles lags as the lists of memberships do, where somebody has left.
    pub late_member_roles: bool,
}

/// A change by people or other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edit {
    Suspend,
    Resume,
    Delete,
    Recreate,
    Retarget,
    Ask,
    UnknownField,
    NextField,
    KnownAgain,
    OtherIfNotFound,
    SuspendTenant,
    ResumeTenant,
    MoveTenant,
    MoveTenantBack,
    Rotate,
    Revoke,
    LoseScopes,
    ChangeLimits,
    ChangeVerification,
    GiveBack,
    DeleteUser,
    DeleteRole,
    DeleteOrganization,
    StrangersStatus,
    OlderOperator,
    NewerOperator,
    ChangeMode,
    ChangePolicy,
    ChangeTimes,
    ChangeHold,
    ChangeOwnVerification,
    ChangeTenantMode,
    ChangeTenantHold,
}

impl Edit {
    pub const ALL: [Self; 33] = [
        Self::Suspend,
        Self::Resume,
        Self::Delete,
        Self::Recreate,
        Self::Retarget,
        Self::Ask,
        Self::UnknownField,
        Self::NextField,
        Self::KnownAgain,
        Self::OtherIfNotFound,
        Self::SuspendTenant,
        Self::ResumeTenant,
        Self::MoveTenant,
        Self::MoveTenantBack,
        Self::Rotate,
        Self::Revoke,
        Self::LoseScopes,
        Self::ChangeLimits,
        Self::ChangeVerification,
        Self::GiveBack,
        Self::DeleteUser,
        Self::DeleteRole,
        Self::DeleteOrganization,
        Self::StrangersStatus,
        Self::OlderOperator,
        Self::NewerOperator,
        Self::ChangeMode,
        Self::ChangePolicy,
        Self::ChangeTimes,
        Self::ChangeHold,
        Self::ChangeOwnVerification,
        Self::ChangeTenantMode,
        Self::ChangeTenantHold,
    ];
}

/// The plan of one world.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub switches: Switches,
    /// Size, tokens a second, and whether headers report them; `None`: no limit.
    pub bucket: Option<(f64, f64, bool)>,
    pub lag: Millis,
    /// Our clock minus Auth0's, in seconds.
    pub skew: i64,
    pub latency: (Millis, Millis),
    /// The faults, each with its share of calls in percent.
    pub faults: Vec<(Fault, u64)>,
    /// From this time on there are no faults, and everything that was suspended is resumed.
    pub calm: Millis,
    pub namespaces: usize,
    pub objects: usize,
    /// Objects are created within this time.
    pub arrivals: Millis,
    pub edits: Vec<(Millis, Edit)>,
    pub crashes: Vec<Millis>,
    /// When the wall clock is set, and by how many seconds.
    pub jumps: Vec<(Millis, i64)>,
    /// How far the caches lag behind the API server.
    pub cache_lag: Millis,
    /// The shortest and longest time of a preflight check.
    pub preflight: (Millis, Millis),
    /// The percentage of preflight checks that the API server does not answer in time.
    pub unconfirmed: u64,
    /// The percentage of status writes that fail.
    pub write_faults: u64,
    /// The percentage of items that another program gives back as soon as they are removed.
    pub sticky: u64,
    pub before_and_after: bool,
    pub max_per_second: u64,
    pub reserve: u64,
    /// The versions of the processes, one after the other.
    pub versions: [Version; 3],
    /// How long a process goes on that does not know yet that another one leads, because its virtual machine was paused
    /// and its clock with it.
    pub overlap: Millis,
}

impl Plan {
    /// A world in which nothing goes wrong and no one does anything.
    pub const fn quiet() -> Self {
        Self {
            seed: 0,
            switches: Switches {
                wrong_totals: false,
                coded_404: true,
                unknown_items_are_404: true,
                strangers_are_404: true,
                next_on_every_page: false,
                late_member_roles: false,
            },
            bucket: None,
            lag: 0,
            skew: 0,
            latency: (20, 20),
            faults: Vec::new(),
            calm: 0,
            namespaces: 1,
            objects: 0,
            arrivals: 0,
            edits: Vec::new(),
            crashes: Vec::new(),
            jumps: Vec::new(),
            cache_lag: 5,
            preflight: (1, 1),
            unconfirmed: 0,
            write_faults: 0,
            sticky: 0,
            before_and_after: false,
            max_per_second: 500,
            reserve: 0,
            versions: [Version::THIS; 3],
            overlap: 0,
        }
    }

    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let calm = 1000 * rng.u64(60..400);
        let wild = rng.u8(..4) > 0;
        let mut faults = Vec::new();
        if wild {
            for fault in Fault::ALL {
                if rng.u8(..3) == 0 {
                    faults.push((fault, rng.u64(1..25)));
                }
            }
        }
        let edits = rng.usize(3..16);
        let mut edit = |until| (rng.u64(500..until), Edit::ALL[rng.usize(..Edit::ALL.len())]);
        // Half of them come early, while much waits.
        let edits = (0..edits).map(|n| edit(if n % 2 == 0 { calm } else { 20_000 })).collect();
        let crashes = if rng.bool() { (0..rng.usize(1..3)).map(|_| rng.u64(500..calm)).collect() } else { Vec::new() };
        let jumps = if rng.u8(..4) == 0 { rng.usize(1..3) } else { 0 };
        let jumps = (0..jumps).map(|_| (rng.u64(500..calm), rng.i64(-3600..3600))).collect();
        let slow = rng.u8(..4) == 0;
        Self {
            seed,
            switches: Switches {
                wrong_totals: rng.u8(..4) == 0,
                coded_404: rng.bool(),
                unknown_items_are_404: rng.bool(),
                strangers_are_404: rng.bool(),
                next_on_every_page: rng.bool(),
                // Drawn apart, so that all else of a world stays as its number has it.
                late_member_roles: Rng::with_seed(seed ^ 0x5eed).bool(),
            },
            bucket: match rng.u8(..4) {
                0 => None,
                1 => Some((rng.u64(5..50) as f64, rng.u64(1..10) as f64, false)),
                _ => Some((rng.u64(2..60) as f64, rng.u64(1..30) as f64, true)),
            },
            lag: if rng.bool() { 0 } else { rng.u64(500..10_000) },
            skew: if rng.u8(..3) == 0 { rng.i64(-4000..4000) } else { 0 },
            latency: (5, rng.u64(10..600)),
            faults,
            calm,
            namespaces: rng.usize(2..5),
            objects: rng.usize(12..30),
            arrivals: if rng.bool() { 200 } else { rng.u64(1000..calm / 2) },
            edits,
            crashes,
            jumps,
            cache_lag: if rng.bool() { 5 } else { rng.u64(10..900) },
            preflight: if slow { (100, 4800) } else { (0, 20) },
            unconfirmed: if rng.u8(..4) == 0 { rng.u64(1..30) } else { 0 },
            write_faults: if rng.u8(..4) == 0 { rng.u64(1..30) } else { 0 },
            sticky: if rng.u8(..6) == 0 { 8 } else { 0 },
            before_and_after: rng.u8(..3) == 0,
            max_per_second: if rng.u8(..4) == 0 { rng.u64(1..8) } else { 500 },
            reserve: if rng.bool() { 0 } else { rng.u64(1..60) },
            versions: [(); 3].map(|()| if rng.bool() { Version::newer(rng.u64(..)) } else { Version::THIS }),
            overlap: if rng.u8(..3) == 0 { rng.u64(1..LONGEST_OVERLAP) } else { 0 },
        }
    }
}

/// Every scope that the operator can use.
pub fn all_scopes() -> BTreeSet<&'static str> {
    [
        "update:users",
        "delete:organization_members",
        "delete:organization_member_roles",
        "read:users",
        "read:organizations",
        "read:organization_members",
        "read:organization_member_roles",
        "read:resource_servers",
        "read:organization_connections",
    ]
    .into()
}
