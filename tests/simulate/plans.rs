//! The documented limits of Auth0's plans. Where the documentation does not say whether a call with a bucket of its own
//! also draws from the global bucket, it does not here.

use crate::auth0::{Auth0, Bucket};

/// The global bucket of a plan: its size, and the calls it gains a second.
pub struct Plan {
    pub name: &'static str,
    global: (f64, f64),
    /// Whether calls about organization members have buckets of their own: writes and member roles 20 and 200 a minute,
    /// reads 40 and 500 a minute.
    listed: bool,
    /// Whether reading a user's organizations has a bucket of its own, too.
    organizations_listed: bool,
}

pub const ALL: [Plan; 4] = [
    Plan { name: "Free", global: (2.0, 2.0), listed: false, organizations_listed: false },
    Plan { name: "Essentials", global: (10.0, 2.5), listed: true, organizations_listed: false },
    Plan { name: "Enterprise", global: (50.0, 16.0), listed: true, organizations_listed: true },
    Plan { name: "Private 100 rps", global: (50.0, 50.0), listed: true, organizations_listed: false },
];

const MINUTE: f64 = 60.0;

impl Plan {
    pub fn limit(&self, auth0: &mut Auth0) {
        let write = || Bucket::new(20.0, 200.0 / MINUTE);
        let read = || Bucket::new(40.0, 500.0 / MINUTE);
        auth0.buckets = vec![Bucket::new(self.global.0, self.global.1), write(), write(), read(), write(), read()];
        let listed = |bucket| if self.listed { vec![bucket] } else { vec![0] };
        auth0.drawn.extend([
            (("DELETE", "users/{id}/permissions"), vec![0]),
            (("DELETE", "users/{id}/roles"), vec![0]),
            (("GET", "users/{id}/permissions"), vec![0]),
            (("GET", "users/{id}/roles"), vec![0]),
            (("DELETE", "organizations/{id}/members"), listed(1)),
            (("DELETE", "organizations/{id}/members/{user_id}/roles"), listed(2)),
            (("GET", "organizations/{id}/members"), listed(3)),
            (("GET", "organizations/{id}/members/{user_id}/roles"), listed(4)),
            (("GET", "users/{id}/organizations"), if self.organizations_listed { vec![5] } else { vec![0] }),
        ]);
    }
}
