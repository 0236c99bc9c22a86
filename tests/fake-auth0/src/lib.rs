//! A stateful, ill-behaved stand-in for the Auth0 Management API.
//!
//! One [`FakeAuth0`] is one tenant: HTTPS (HTTP/1.1 and HTTP/2) on a port of its own, with users, roles,
//! organizations, tokens, rate limits and lagging lists, and with faults on demand. It knows the four calls that
//! remove access, the reads that prove it or find what there is, and the token endpoint; any other write is refused and
//! fails the test.
//!
//! ```no_run
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use fake_auth0::{FakeAuth0, Fault, Kind, Lag, Relation};
//!
//! let fake = FakeAuth0::start().await;
//! fake.edit(|s| {
//!     s.user("auth0|jane").role("rol_0123456789abcdef").permission("https://api.example", "read:x");
//!     s.organization("org_0123456789abcdef").member("auth0|jane");
//! });
//! let token = fake.token(&fake.all_scopes());
//! let before = fake.state();
//! fake.lag(Kind::GetMembers, Lag::Reads(2));
//! let held = fake.fault(Fault::hold().on(Kind::DeleteUserRoles).once());
//! // ... start the operator against fake.domain(), fake.ca_pem() and token ...
//! held.arrived().await;
//! held.release();
//! fake.wait_for(|calls| calls.iter().any(|c| c.status() == Some(204)), Duration::from_secs(5)).await?;
//! fake.assert_removed_exactly(&before, [Relation::user_role("auth0|jane", "rol_0123456789abcdef")]);
//! # Ok(()) }
//! ```
//!
//! By default it does what documents or recordings say, down to a list of members that still shows who was removed for
//! five to ten seconds ([`FakeAuth0::no_lag`] for tests about other subjects). What they leave open is a switch
//! ([`Switches`]), which tests can draw at random.
//!
//! Where to look: `endpoints` has the table of calls, `natural` the order of checks, `faults` everything that can go
//! wrong, `switches` everything that is not known.

mod answers;
mod assertion;
mod body;
mod buckets;
mod changes;
mod clients;
mod control;
mod cursor;
mod diff;
mod edit;
mod effective;
mod endpoints;
mod fake;
mod fault_spec;
mod faults;
mod form;
mod hold;
mod joining;
mod kinds;
mod lag;
mod lists;
mod log;
mod natural;
mod paging;
mod pipeline;
mod quirks;
mod removals;
mod rules;
mod search;
mod serve;
mod show;
mod state;
mod streams;
mod switches;
mod tenant;
mod tls;
mod tokens;
mod validate;

pub use assertion::TEST_RSA_KEY;
pub use buckets::{Bucket, Refill, Report};
pub use clients::Client;
pub use control::serve_control;
pub use diff::{Change, Relation};
pub use edit::{Edit, GroupEdit, OrganizationEdit, UserEdit};
pub use endpoints::{EFFECTIVE_SCOPES, SETTINGS_SCOPES, all_scopes};
pub use fake::{FakeAuth0, StartError};
pub use faults::Fault;
pub use hold::FaultHandle;
pub use kinds::{Group, Kind};
pub use lag::Lag;
pub use log::{Answered, Call, Calls, WaitTimeout};
pub use quirks::{Network, PagingQuirks};
pub use state::{Organization, Permissions, ResourceServer, Role, Source, State, User, UserGroup};
pub use switches::{
    EmailCase, GlobalLimit, LaggingLists, LastNext, LimitWording, Missing, MissingEmail, OtherScheme, PageCap,
    PathNames, RestOfBatch, RolePermissions, SizeCheck, Switches, Total, Unknown, UserRolesScopes, Verdict,
};
pub use tokens::{TOKEN_CANARY, TokenSpec, fingerprint};
