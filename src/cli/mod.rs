//! `kubectl rescind`: the commands for people. They say what manifests would remove, where removals stand, and why
//! somebody still has something; they write manifests, and what an auditor asks for.
//!
//! Belongs here: everything that a person types and reads. Does not belong here: what a removal is and when it is sent;
//! the commands ask the rooms below for that, so that they say what the operator would do. Nothing else uses this room.
//!
//! The commands read Auth0 and never change anything there: [`crate::auth0::Reader`] has no DELETE. The only writes are
//! Kubernetes objects, by `new --apply`, `retry`, `stop` and `resume`.
//!
//! Start with `command`, the list of the commands; each has a file or a folder of its own. They share:
//! - `flags`: the flags that kubectl has, and how Auth0 is read. `error`: why a command ends, by what to do about it.
//! - `cluster`: requests to the API server. `object`: a removal object of any kind.
//! - `access`: from a tenant object to a token. `reads`: complete reads of Auth0, paced. `look`: what is held.
//! - `people`: who and what is meant by a name.
//! - `operator`: what runs in its namespace. `tenants`: the tenant objects. `column`: where an object stands, in a
//!   word.
//! - `targets`: objects by name or selector. `confirm`: a question before many are
//!   changed. `gitops`: what tools make of a change. `table` and `times`: how both are written.
//! - `files`: files that people give.
//! - `session`: what every command is given. `screen`: what is written where. `texts`: texts from outside, made
//!   harmless.

mod access;
mod check;
mod cluster;
mod column;
mod command;
mod completion;
mod confirm;
mod error;
mod evidence;
mod files;
mod flags;
mod gitops;
mod look;
mod new;
mod object;
mod operator;
mod people;
mod plan;
mod reads;
mod retry;
mod screen;
mod session;
mod status;
mod stop;
mod support;
mod table;
mod targets;
mod tenants;
mod texts;
mod times;
mod version;
mod why;

pub use check::{CHECKS, Code as CheckCode, OLDEST_MINOR};
pub use command::{COMMANDS, is_for_people, main};
