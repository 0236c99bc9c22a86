//! What the operator waits for, and whether its watches still move: the contents of `/readyz` and `/healthz`, and the
//! log lines that say the same.
//!
//! Parts have a kind, such as all lists of Secrets. A part that has a problem does not hold up the others of its kind:
//! if the Secrets of one namespace cannot be listed, the operator is ready for the other namespaces, and names that
//! one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::{info, warn};

use crate::sync::lock;

/// A problem of a part that was ready is over when it was not reported again for this long, because a watch that works
/// again reports nothing. More than the longest backoff and an attempt that hangs.
const OVER_AFTER: Duration = Duration::from_secs(45);
/// Problems that come within this time are logged together.
const LOG_DELAY: Duration = Duration::from_secs(1);
/// Every watch is polled at least every 225 s (runtime/cache/watch.rs). After two such periods without a poll it hangs,
/// and a restart helps.
const STUCK_AFTER: Duration = Duration::from_secs(450);

/// The part of this replica in the election.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Not known yet.
    #[default]
    Starting,
    /// Another replica leads, and this one takes over when that one stops.
    Standby {
        /// The leader, if it is known.
        leader: Option<String>,
    },
    /// This replica leads, and is the active one.
    Leader,
    /// There is no election, so this replica is active.
    NoElection,
}

/// The state of everything that the operator needs. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Readiness(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    role: Role,
    parts: BTreeMap<String, Part>,
    /// When each watch was last polled.
    heartbeats: BTreeMap<String, Instant>,
}

#[derive(Default)]
struct Part {
    /// Parts of one kind do not hold each other up.
    kind: String,
    /// The operator goes on without it.
    optional: bool,
    ready: bool,
    /// What is wrong, and when that was last reported.
    problem: Option<(String, Instant)>,
}

impl Part {
    /// Its current problem. A part that never was ready keeps its problem until it is ready.
    fn problem(&self, now: Instant) -> Option<&str> {
        let (why, seen) = self.problem.as_ref()?;
        let is_over = self.ready && now.saturating_duration_since(*seen) >= OVER_AFTER;
        (!is_over).then_some(why)
    }
}

impl Readiness {
    /// The operator needs `part`: it is not ready before the part is ready, or has a problem while another part of its
    /// kind is ready. `part` completes the sentence "waiting for …".
    pub(crate) fn expect(&self, part: &str, kind: &str) {
        lock(&self.0.state).parts.entry(part.to_owned()).or_default().kind = kind.to_owned();
        self.0.changed.notify_one();
    }

    /// The operator is ready without `part`. As long as it has a problem, it is named as left out.
    pub(crate) fn expect_optional(&self, part: &str) {
        lock(&self.0.state).parts.entry(part.to_owned()).or_default().optional = true;
    }

    /// The part is ready, and stays so even if it has problems later.
    pub(crate) fn ready(&self, part: &str) {
        let mut state = lock(&self.0.state);
        let part = state.parts.entry(part.to_owned()).or_default();
        (part.ready, part.problem) = (true, None);
        drop(state);
        self.0.changed.notify_one();
    }

    /// The part has a problem; `why` says what to do. To be called each time the problem is seen.
    pub(crate) fn problem(&self, part: &str, why: &str) {
        lock(&self.0.state).parts.entry(part.to_owned()).or_default().problem = Some((why.to_owned(), Instant::now()));
        self.0.changed.notify_one();
    }

    /// Whether the part has a problem at the moment.
    pub(crate) fn has_problem(&self, part: &str) -> bool {
        lock(&self.0.state).parts.get(part).is_some_and(|part| part.problem(Instant::now()).is_some())
    }

    pub(crate) fn set_role(&self, role: Role) {
        lock(&self.0.state).role = role;
    }

    /// This watch was polled just now.
    pub(crate) fn heartbeat(&self, watch: &str) {
        let mut state = lock(&self.0.state);
        match state.heartbeats.get_mut(watch) {
            Some(heartbeat) => *heartbeat = Instant::now(),
            None => drop(state.heartbeats.insert(watch.to_owned(), Instant::now())),
        }
    }

    /// What keeps the operator from being ready, one line for each part; empty if it is ready.
    pub(crate) fn waiting_for(&self) -> Vec<String> {
        self.missing(true)
    }

    /// What is missing although it does not keep the operator from being ready, one line for each part.
    pub(crate) fn left_out(&self) -> Vec<String> {
        self.missing(false)
    }

    fn missing(&self, holds_up: bool) -> Vec<String> {
        let (state, now) = (lock(&self.0.state), Instant::now());
        let ready_kinds: BTreeSet<&str> =
            state.parts.values().filter(|part| part.ready).map(|part| part.kind.as_str()).collect();
        let mut missing = Vec::new();
        for (name, part) in state.parts.iter().filter(|(_, part)| !part.ready) {
            let problem = part.problem(now);
            if part.optional && problem.is_none() {
                continue;
            }
            let is_needed = !part.optional && (problem.is_none() || !ready_kinds.contains(part.kind.as_str()));
            if is_needed == holds_up {
                let text = if is_needed { "waiting for" } else { "going on without" };
                let why = problem.map(|why| format!(": {why}")).unwrap_or_default();
                missing.push(format!("{text} {name}{why}"));
            }
        }
        missing
    }

    /// The watches that hang, so that only a restart helps, one line each.
    pub(crate) fn stuck(&self) -> Vec<String> {
        let state = lock(&self.0.state);
        let stuck = state.heartbeats.iter().filter(|(_, heartbeat)| heartbeat.elapsed() > STUCK_AFTER);
        stuck
            .map(|(watch, heartbeat)| format!("{watch} has not moved for {} s", heartbeat.elapsed().as_secs()))
            .collect()
    }

    /// The part of this replica in the election.
    pub(crate) fn role(&self) -> Role {
        lock(&self.0.state).role.clone()
    }

    /// The same as text; `None` if it is not known yet.
    pub(crate) fn role_text(&self) -> Option<String> {
        match &lock(&self.0.state).role {
            Role::Starting => None,
            Role::Standby { leader: Some(leader) } => Some(format!("standby, the leader is {leader}")),
            Role::Standby { leader: None } => Some("standby".to_owned()),
            Role::Leader => Some("leader".to_owned()),
            Role::NoElection => Some("no leader election".to_owned()),
        }
    }

    /// Logs each problem once, when it appears, and once when all are over; never returns.
    pub(crate) async fn log_changes(self) {
        let mut logged: Vec<(String, Vec<String>)> = Vec::new();
        loop {
            tokio::select! {
                () = self.0.changed.notified() => tokio::time::sleep(LOG_DELAY).await,
                // Problems end without a notification.
                () = tokio::time::sleep(OVER_AFTER), if !logged.is_empty() => {}
            }
            let problems = self.problems(Instant::now());
            if problems == logged {
                continue;
            }
            for (why, parts) in &problems {
                // Fewer parts with the same problem are not worth a line.
                let is_logged = |part: &&String| logged.iter().any(|(other, of)| other == why && of.contains(part));
                let new: Vec<&str> = parts.iter().filter(|part| !is_logged(part)).map(String::as_str).collect();
                if !new.is_empty() {
                    warn!("waiting for {}: {why}", new.join(", "));
                }
            }
            if problems.is_empty() {
                info!("all problems are resolved");
            }
            logged = problems;
        }
    }

    /// The current problems, each with the parts that have it.
    fn problems(&self, now: Instant) -> Vec<(String, Vec<String>)> {
        let mut problems = BTreeMap::<String, Vec<String>>::new();
        for (part, state) in &lock(&self.0.state).parts {
            if let Some(why) = state.problem(now) {
                problems.entry(why.to_owned()).or_default().push(part.clone());
            }
        }
        problems.into_iter().collect()
    }
}

#[cfg(test)]
impl Readiness {
    /// Makes this watch look as if it had hung for just long enough.
    pub(crate) fn age_heartbeat(&self, watch: &str) {
        let long_ago = Instant::now().checked_sub(STUCK_AFTER + Duration::from_secs(1)).expect("a machine that is up");
        lock(&self.0.state).heartbeats.insert(watch.to_owned(), long_ago);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_grouped_and_end() {
        let readiness = Readiness::default();
        readiness.expect("a", "lists");
        readiness.expect("b", "lists");
        readiness.expect("c", "servers");
        readiness.problem("a", "no such kind");
        readiness.problem("b", "no such kind");
        readiness.ready("c");
        readiness.problem("c", "refused");
        assert_eq!(readiness.waiting_for(), ["waiting for a: no such kind", "waiting for b: no such kind"]);
        let problems = readiness.problems(Instant::now());
        assert_eq!(problems.len(), 2);
        assert_eq!(problems[0], ("no such kind".to_owned(), vec!["a".to_owned(), "b".to_owned()]));
        readiness.ready("a");
        readiness.ready("b");
        assert!(readiness.problems(Instant::now() + OVER_AFTER).is_empty());
    }

    #[test]
    fn one_namespace_that_cannot_be_read_is_named_and_holds_up_nothing_else() {
        let readiness = Readiness::default();
        for (part, kind) in [("secrets in a", "secrets"), ("secrets in b", "secrets"), ("tenants", "tenants")] {
            readiness.expect(part, kind);
        }
        readiness.ready("tenants");
        readiness.problem("secrets in b", "not allowed");
        assert_eq!(readiness.waiting_for(), ["waiting for secrets in a", "waiting for secrets in b: not allowed"]);
        readiness.ready("secrets in a");
        assert_eq!(readiness.waiting_for(), [""; 0]);
        assert_eq!(readiness.left_out(), ["going on without secrets in b: not allowed"]);
        readiness.expect("secrets in c", "secrets");
        assert_eq!(readiness.waiting_for(), ["waiting for secrets in c"], "it was not attempted yet");
    }

    #[test]
    fn an_optional_part_holds_up_nothing() {
        let readiness = Readiness::default();
        readiness.expect_optional("the list of namespaces");
        assert_eq!((readiness.waiting_for(), readiness.left_out()), (vec![], vec![]));
        readiness.problem("the list of namespaces", "not allowed");
        assert_eq!(readiness.waiting_for(), [""; 0]);
        assert_eq!(readiness.left_out(), ["going on without the list of namespaces: not allowed"]);
        assert!(readiness.has_problem("the list of namespaces") && !readiness.has_problem("another"));
        readiness.ready("the list of namespaces");
        assert!(!readiness.has_problem("the list of namespaces"));
        assert_eq!(readiness.left_out(), [""; 0]);
    }

    #[test]
    fn a_watch_that_is_not_polled_is_stuck() {
        let readiness = Readiness::default();
        readiness.heartbeat("a");
        assert!(readiness.stuck().is_empty());
        readiness.age_heartbeat("a");
        assert_eq!(readiness.stuck(), ["a has not moved for 451 s"]);
        readiness.heartbeat("a");
        assert!(readiness.stuck().is_empty());
    }
}
