//! What the answers of Auth0 have told one process, and the promises that it must keep with that knowledge. After a
//! handover two processes may work for a while; each is judged by what it knows itself.

use std::collections::{HashMap, HashSet};

use rescind::auth0::{CallError, Endpoint};
use rescind::dispatch::Owner;
use tokio::task::Id;

use crate::auth0::{Millis, Wire};
use crate::clock::Wall;
use crate::cluster::Cluster;
use crate::reports::Reports;
use crate::turns::Turns;
use crate::versions::Version;

/// Headers count whole tokens and no header names its bucket, so what a process knows of one is off by a few tokens.
const RESERVE_SLACK: f64 = 4.0;

/// A promise by its number, and how it is broken.
pub type Violation = (u8, String);

/// One process.
#[derive(Debug)]
pub struct Process {
    pub version: Version,
    /// When it stopped to be the leader.
    pub ended: Option<Millis>,
    /// The domains and tokens that Auth0 accepted since it started.
    accepted: HashSet<(String, u64)>,
    /// Until when it may send nothing to a domain.
    closed_until: HashMap<String, Millis>,
    /// Its calls in flight with credentials that Auth0 has not accepted yet, by domain.
    first_calls: HashMap<String, HashSet<Id>>,
    turns: Turns,
    pub reports: Reports,
}

impl Process {
    pub fn new(began: Millis, version: Version) -> Self {
        Self {
            version,
            ended: None,
            accepted: HashSet::new(),
            closed_until: HashMap::new(),
            first_calls: HashMap::new(),
            turns: Turns::new(began, version),
            reports: Reports::default(),
        }
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

    /// Checks that a call has left the reserve of the bucket untouched, as far as that could be known when it left.
    pub fn bucket_drawn(
        &mut self,
        domain: &str,
        reported: Option<Millis>,
        below: f64,
        at: Millis,
    ) -> Option<Violation> {
        let unknown = self.reports.unknown(domain, reported, at)?;
        let is_touched = below > RESERVE_SLACK + unknown as f64;
        is_touched.then(|| (10, format!("{below} tokens of the reserve of {domain} are taken")))
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
                self.accepted.insert(place);
            }
            // Only a 429 to a credential that Auth0 had accepted closes the domain.
            Some(CallError::RateLimited(wait)) if is_accepted => {
                let until = at + u64::try_from(wait.as_millis()).unwrap_or(Millis::MAX);
                let closed = self.closed_until.entry(domain.to_owned()).or_default();
                *closed = (*closed).max(until);
            }
            Some(_) => {}
        }
        if let Some(error) = error {
            self.turns.failed(domain, token, wire, error, at);
        }
    }
}
