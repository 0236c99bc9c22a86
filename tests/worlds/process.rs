//! What the answers of Auth0 have told one process, and the promises that it must keep with that knowledge. After a
//! handover two processes may work for a while; each is judged by what it knows itself.

use std::collections::{HashMap, HashSet};

use rescind::auth0::{CallError, Endpoint, Question};
use rescind::dispatch::Owner;
use tokio::task::Id;

use crate::auth0::{Millis, Wire};
use crate::clock::Wall;
use crate::cluster::Cluster;
use crate::reports::{Report, Reports};
use crate::turns::Turns;
use crate::versions::Version;

/// A promise by its number, and how it is broken.
pub type Violation = (u8, String);

/// A call of a process that draws from the bucket of a domain.
#[derive(Debug)]
pub struct Drawn<'a> {
    pub domain: &'a str,
    /// The last report that the process had when the call left.
    pub report: Option<Report>,
    pub left: Millis,
    pub at: Millis,
    /// The refill of the bucket.
    pub per_second: f64,
}

/// One process.
#[derive(Debug)]
pub struct Process {
    pub version: Version,
    /// When it stopped to be the leader.
    pub ended: Option<Millis>,
    /// The domains and tokens that Auth0 accepted since it started.
    accepted: HashSet<(String, u64)>,
    /// Those of them that no tenant had for a while of which it had anything to remove. It may have forgotten them.
    unused: HashSet<(String, u64)>,
    /// Until when it may send nothing to a domain.
    closed_until: HashMap<String, Millis>,
    /// Its calls in flight with credentials that Auth0 has not accepted yet, by domain.
    first_calls: HashMap<String, HashSet<Id>>,
    turns: Turns,
    /// The uids of the objects for which Auth0 accepted a DELETE of this process that has written no verdict since.
    pub unproved: HashSet<String>,
    pub reports: Reports,
}

impl Process {
    pub fn new(began: Millis, version: Version) -> Self {
        Self {
            version,
            ended: None,
            accepted: HashSet::new(),
            unused: HashSet::new(),
            closed_until: HashMap::new(),
            first_calls: HashMap::new(),
            turns: Turns::new(began, version),
            unproved: HashSet::new(),
            reports: Reports::default(),
        }
    }

    /// The tenants of the removals have these domains and tokens now.
    pub fn tenants_have(&mut self, used: &HashSet<(String, u64)>) {
        self.unused.extend(self.accepted.difference(used).cloned());
    }

    /// A call of this task is checked, for this owner among others.
    pub fn call_starts(&mut self, cluster: &Cluster, wall: &Wall, owner: &Owner, at: Millis) {
        self.turns.checked((cluster, wall), &self.accepted, tokio::task::id(), (&owner.namespace, &owner.uid), at);
    }

    /// Checks a call of any kind that leaves now.
    pub fn call_leaves(&mut self, domain: &str, token: u64, at: Millis) -> Vec<Violation> {
        let mut violations = Vec::new();
        if let Some(ended) = self.ended {
            violations.push((5, format!("a process that does not lead since {ended} calls {domain}")));
        }
        if !self.accepted.contains(&(domain.to_owned(), token)) {
            let calls = self.first_calls.entry(domain.to_owned()).or_default();
            calls.insert(tokio::task::id());
            if calls.len() > 1 {
                violations.push((10, format!("several first calls at once to {domain}")));
            }
        }
        if let Some(until) = self.closed_until.get(domain).copied().filter(|until| at < *until) {
            violations.push((11, format!("nothing may leave for {domain} before {until}")));
        }
        violations
    }

    /// A read leaves that answers a question.
    pub fn asks(&mut self, domain: &str, token: u64, question: &Question) {
        self.turns.asks(domain, token, question);
    }

    /// Checks whom a DELETE passes over that leaves now. Also returns the most times that an object was passed over.
    pub fn passes_over(
        &mut self,
        domain: &str,
        token: u64,
        endpoint: &Endpoint,
        namespaces: usize,
    ) -> (usize, Vec<Violation>) {
        let passed = self.turns.deletes(tokio::task::id(), domain, token, endpoint);
        let too_often = passed.iter().filter(|(_, times)| *times >= namespaces);
        let violation =
            |(uid, times): &(String, usize)| (10, format!("{uid} is passed over for the {times}th time at {domain}"));
        (passed.iter().map(|(_, times)| *times).max().unwrap_or(0), too_often.map(violation).collect())
    }

    /// How many tokens of the reserve of the bucket a call may touch that left at this time, after this report, and
    /// draws from it now; `None` if nothing was known of its route. A report tells the level at one time. From then on
    /// the process counts its own calls, and the refill that is certain, so it is only wrong by
    /// - the part of a token: a call leaves when its token is whole at the level that is reported in whole tokens,
    /// - the calls of other processes, and its own on routes of which it knows nothing,
    /// - the refill of the time by which it takes the report for older than it is, less that of the call's own way.
    pub fn allowed(&mut self, draws: &Drawn<'_>) -> Option<f64> {
        let unknown = self.reports.unknown(draws.domain, draws.report, draws.at)? as f64;
        let early = draws.report.map_or(0.0, |report| report.early) - (draws.at - draws.left) as f64;
        Some(1.0 + unknown + early.max(0.0) / 1000.0 * draws.per_second)
    }

    /// A call was answered.
    pub fn answered(&mut self, domain: &str, token: u64, wire: &Wire, error: Option<&CallError>, at: Millis) {
        let place = (domain.to_owned(), token);
        let is_accepted = self.accepted.contains(&place);
        if let Some(calls) = self.first_calls.get_mut(domain) {
            calls.remove(&tokio::task::id());
        }
        match error {
            None
            | Some(
                CallError::Rejected(_)
                | CallError::Denied(_)
                | CallError::InsufficientScope(_)
                | CallError::NotFound(_),
            ) => {
                self.unused.remove(&place);
                self.accepted.insert(place);
            }
            // Only a 429 to a credential that Auth0 had accepted closes the domain.
            Some(CallError::RateLimited(wait)) if is_accepted && !self.unused.contains(&place) => {
                let until = at + u64::try_from(wait.as_millis()).unwrap_or(Millis::MAX);
                let closed = self.closed_until.entry(domain.to_owned()).or_default();
                *closed = (*closed).max(until);
            }
            Some(_) => {}
        }
        self.turns.answered(domain, token, wire);
        if let Some(error) = error {
            self.turns.failed(domain, token, wire, error, at);
        }
    }
}
