//! A report as data: the removals, what they add up to, how complete that is, and where it comes from.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::columns::Form;
use super::row::{Row, Sla, Source, Standing};

/// The version of the form of the JSON.
pub const SCHEMA_VERSION: u32 = 1;

/// A report.
#[derive(Debug)]
pub struct Evidence {
    /// The removals, by the time of the request.
    pub rows: Vec<Row>,
    /// Which columns they have.
    pub form: Form,
    /// What they add up to.
    pub counts: Counts,
    /// How complete they are.
    pub completeness: Completeness,
    /// Where they come from.
    pub origin: Origin,
}

/// What the removals add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// How many removals: one for each item of each person.
    pub removals: usize,
    /// Of how many people.
    pub people: usize,
    /// How many are done, and a complete read proves it.
    pub proved: usize,
    /// How many are done without proof.
    pub unproved: usize,
    /// How many are not done.
    pub not_done: usize,
    /// Those without proof by why there is none.
    pub unproved_by_reason: BTreeMap<String, usize>,
    /// Those that are not done by where they stand.
    pub not_done_by_reason: BTreeMap<String, usize>,
    /// How many were in time (`yes`), were not (`no`), have time left (`open`), or have no known time (`unknown`).
    pub within_sla: BTreeMap<String, usize>,
    /// By how it is known who asked: `admission`, `kube-audit`, `claimed`, or `unknown`.
    pub requested_by_source: BTreeMap<String, usize>,
    /// How many somebody should look at.
    pub exceptions: usize,
    /// The longest time from request to removal, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowest_seconds: Option<i64>,
    /// Of `--recheck`: how many are gone, held, or could not be read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub recheck: BTreeMap<String, usize>,
}

/// How complete a report is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Completeness {
    /// Whether everything that was to be read could be read, and the audit log is whole.
    pub complete: bool,
    /// What could not be read.
    pub unread: Vec<String>,
    /// What is wrong with the audit files.
    pub faults: Vec<String>,
    /// How many objects that are there have removals in the report.
    pub objects: usize,
    /// Objects that only an audit log names.
    pub only_in_audit: Vec<String>,
    /// Objects whose removal Auth0 accepted, and that the audit log does not name.
    pub only_in_objects: Vec<String>,
    /// How many objects only look, and ask for no removal.
    pub observing: usize,
    /// How many lines of the operator's audit log were read.
    pub audit_lines: usize,
    /// How many creations of removals the audit log of the API server shows.
    pub kube_audit_creations: usize,
    /// What the report does not show.
    pub does_not_show: Vec<String>,
}

/// Where a report comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// When it was made.
    pub created_at: Timestamp,
    /// The program and its version.
    pub tool: String,
    /// The UID of the namespace kube-system, which tells clusters apart.
    pub cluster_uid: Option<String>,
    /// The address of the API server.
    pub cluster: String,
    /// Who ran it, as the API server knows them.
    pub run_by: Option<String>,
    /// The Auth0 domains of the removals.
    pub domains: BTreeSet<String>,
    /// What was read from Auth0, with `--recheck` or `--names`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub auth0: Vec<Auth0Reads>,
    /// What was asked for.
    pub query: Query,
}

/// What was read from one domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Auth0Reads {
    /// The domain.
    pub domain: String,
    /// Where the token came from.
    pub token: Option<String>,
    /// How many calls it took.
    pub calls: usize,
    /// What could not be read.
    pub unread: Vec<String>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    /// The first instant of the period.
    pub since: Timestamp,
    /// The first instant after the period.
    pub until: Timestamp,
    /// The namespace; all if it is missing.
    pub namespace: Option<String>,
    /// The label selector.
    pub selector: Option<String>,
    /// How long a removal may take, in seconds.
    pub sla_seconds: u64,
    /// Whether names of people were read.
    pub names: bool,
    /// Whether Auth0 was read again.
    pub recheck: bool,
    /// The files of the operator's audit log.
    pub audit_logs: Vec<Input>,
    /// The files of the API server's audit log.
    pub kube_audit_logs: Vec<Input>,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its name as it was given.
    pub file: String,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

impl Counts {
    /// What these removals add up to.
    pub fn of(rows: &[Row]) -> Self {
        let mut counts = Self { removals: rows.len(), ..Self::default() };
        let people: BTreeSet<&str> = rows.iter().map(|row| row.user_id.as_str()).filter(|id| !id.is_empty()).collect();
        counts.people = people.len();
        for sla in [Sla::Yes, Sla::No, Sla::Open, Sla::Unknown] {
            counts.within_sla.insert(sla.as_str().to_owned(), 0);
        }
        for row in rows {
            match row.standing {
                Standing::Proved => counts.proved += 1,
                Standing::Unproved => {
                    counts.unproved += 1;
                    *counts.unproved_by_reason.entry(row.proof.clone()).or_default() += 1;
                }
                Standing::NotDone => {
                    counts.not_done += 1;
                    *counts.not_done_by_reason.entry(row.verdict.clone()).or_default() += 1;
                }
            }
            *counts.within_sla.entry(row.within_sla.as_str().to_owned()).or_default() += 1;
            let source = row.requested_by_source.map_or("unknown", Source::as_str);
            *counts.requested_by_source.entry(source.to_owned()).or_default() += 1;
            counts.exceptions += usize::from(!row.exceptions().is_empty());
            counts.slowest_seconds = counts.slowest_seconds.max(row.seconds_to_done());
            if let Some(recheck) = &row.recheck {
                *counts.recheck.entry(recheck.found.word().to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

/// What no report shows, and what this one does not.
pub fn does_not_show(given: &Query, has_deleted: bool) -> Vec<String> {
    let mut what = Vec::new();
    if given.audit_logs.is_empty() {
        what.push("objects that were deleted: give --audit-log");
        what.push("when each item of an object was removed: the times are those of the object, give --audit-log");
    } else if given.kube_audit_logs.is_empty() {
        what.push("objects that were deleted and whose audit lines were not given");
    } else {
        what.push("objects that were deleted and that no given audit line names");
    }
    if given.kube_audit_logs.is_empty() {
        what.push("who created an object, unless the admission policy of the chart enforces it: give --kube-audit");
    }
    if given.selector.is_some() {
        what.push("deleted objects: which labels they had is not known");
    }
    if has_deleted {
        what.push("proofs of deleted objects: they were in the objects");
    }
    if !given.recheck {
        what.push("whether something was granted again since: give --recheck");
    }
    what.push("access tokens that were issued before a removal, until they expire (effective_by)");
    what.push("access through groups, Actions or another directory");
    what.push("leavers for whom no removal was asked for: compare the people with the list of leavers");
    what.into_iter().map(str::to_owned).collect()
}
