//! When we say it: one lane per tenant domain, the only way to Auth0.
//!
//! A removal is submitted and the caller returns; the lane makes the calls, keeps the report, and wakes the owner.
//! Belongs here: order, merging, pacing, what follows a 429, which reads prove a removal. Does not belong here: whether a
//! removal is wanted (asked through [`LastLook`]) and what a report means for an object,
//! counting and records (told through [`Meter`]). Knows auth0, not Kubernetes.
//!
//! `machine` decides, with `gate` (shut after a 429), `pace` (Auth0's buckets) and `lines` (fairness) as its parts; all of
//! them are pure. `driver` makes the calls, `lanes` keeps the reports.

mod driver;
mod gate;
mod job;
mod lanes;
mod lines;
pub mod machine;
mod meter;
mod pace;

pub use job::{Connection, End, Job, LastLook, Owner, Removal, Report, Task, Unproven};
pub use lanes::{LaneView, Lanes};
pub use meter::{Called, Deletion, Meter, Standing};
pub use pace::Limits;
