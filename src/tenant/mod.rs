//! From a reference to a tenant: its object, its Secret, and the connection to Auth0 that they make, or why it cannot
//! be used. What is removed, and when, is decided elsewhere.
//!
//! Start with `registry`: [`Tenants::state`] is what a removal asks, whichever kind of tenant it names; `state` is the
//! answer. `admission` says whether a cluster-scoped tenant lets it, and `cluster` holds the caches of that kind;
//! `guards` says what a tenant protects, and `brake` stops mass removals. `connection` makes the settings of a
//! connection from a tenant object and its Secret, `connection_cache` does that once per change, and
//! `secrets` finds the Secret in the caches. `scopes` compares what a token may with what removals need. What calls
//! find out is kept in `health` and `rejected_credentials`. `status` writes it up for the tenant object, and `key`
//! names tenants. For a tenant with the credentials of an application, `token_source` asks for access tokens when
//! `token_state` says so.

mod admission;
mod brake;
mod cluster;
mod connection;
mod connection_cache;
mod guards;
mod health;
mod key;
mod registry;
mod rejected_credentials;
mod scopes;
mod secrets;
mod state;
mod status;
mod token_source;
mod token_state;

pub use admission::{Applicant, refusal};
pub use brake::{Brakes, Demand, Engaged, Facts as BrakeFacts, Group, ItemId, Plan as BrakePlan, share_limit};
pub use cluster::{ClusterCaches, NamespaceMeta};
pub use connection::{Place, SecretCredential, Settings, TenantError, place, settings};
pub use connection_cache::Connect;
pub use guards::protected_target;
pub use health::Unreachable;
pub use key::TenantKey;
pub use registry::{Alive, Tenants};
pub use scopes::{KindRow, unneeded_scopes};
pub use secrets::{Listing, Secrets};
pub use state::{TenantState, Usable};
pub use status::{CredentialFacts, TenantFacts, tenant_status};
pub use token_source::TokenNews;
