//! What the operator waits for, and whether it still moves: the contents of `/readyz` and `/healthz`, and the log lines
//! that say the same. A part that cannot be had does not hold up others of its kind: what is missing of one namespace is
//! named, and the operator is ready for the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::{info, warn};

/// A problem that was not seen again for this long is over: a watch that works again says nothing. More than the longest
/// pause between two tries, and a try that hangs.
const OVER_AFTER: Duration = Duration::from_secs(45);
/// What happens within this time is told in one line.
const SETTLE: Duration = Duration::from_secs(1);
/// Every watch is polled at least every 225 s (watch.rs). One that was not for two periods hangs, and a restart helps.
const STUCK_AFTER: Duration = Duration::from_secs(450);

/// What this replica does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Not known yet.
    #[default]
    Starting,
    /// Another leads; this one takes over when it ends.
    Standby {
        /// Who, if that is known.
        leader: Option<String>,
    },
    /// This one does the work.
    Leader,
    /// There is no election.
    NoElection,
}

/// The state of everything that has to be there.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    role: Role,
    parts: BTreeMap<String, Part>,
    /// When each watch was polled last.
    heartbeats: BTreeMap<String, Instant>,
}

#[derive(Default)]
struct Part {
    /// What it is a part of.
    kind: String,
    ready: bool,
    /// Why not, or what is wrong with it now, and when that was seen last.
    problem: Option<(String, Instant)>,
}

impl Part {
    /// What is wrong with it. What never was ready has its problem until it is.
    fn problem(&self, now: Instant) -> Option<&str> {
        let (why, seen) = self.problem.as_ref()?;
        let is_over = self.ready && now.saturating_duration_since(*seen) >= OVER_AFTER;
        (!is_over).then_some(why)
    }
}

impl Readiness {
    /// The operator is not ready before this is, or has a problem while another part of its kind is ready. `part` completes
    /// "waiting for …".
    pub fn expect(&self, part: &str, kind: &str) {
        self.state().parts.entry(part.to_owned()).or_default().kind = kind.to_owned();
        self.0.changed.notify_one();
    }

    /// This is there. It stays ready when it has problems later.
    pub fn ready(&self, part: &str) {
        let mut state = self.state();
        let part = state.parts.entry(part.to_owned()).or_default();
        (part.ready, part.problem) = (true, None);
        drop(state);
        self.0.changed.notify_one();
    }

    /// What is in the way, in words that say what to do. To be told each time it is seen.
    pub fn problem(&self, part: &str, why: &str) {
        self.state().parts.entry(part.to_owned()).or_default().problem = Some((why.to_owned(), Instant::now()));
        self.0.changed.notify_one();
    }

    /// What this replica does.
    pub fn set_role(&self, role: Role) {
        self.state().role = role;
    }

    /// The watch of this was polled.
    pub(crate) fn heartbeat(&self, watch: &str) {
        let mut state = self.state();
        match state.heartbeats.get_mut(watch) {
            Some(heartbeat) => *heartbeat = Instant::now(),
            None => drop(state.heartbeats.insert(watch.to_owned(), Instant::now())),
        }
    }

    /// What is still missing, a line each; the operator is ready when nothing is.
    pub fn waiting_for(&self) -> Vec<String> {
        self.missing(true)
    }

    /// What is missing although the operator is ready, a line each.
    pub fn left_out(&self) -> Vec<String> {
        self.missing(false)
    }

    fn missing(&self, holds_up: bool) -> Vec<String> {
        let (state, now) = (self.state(), Instant::now());
        let ready_kinds: BTreeSet<&str> =
            state.parts.values().filter(|part| part.ready).map(|part| part.kind.as_str()).collect();
        let mut missing = Vec::new();
        for (name, part) in state.parts.iter().filter(|(_, part)| !part.ready) {
            let problem = part.problem(now);
            let does = problem.is_none() || !ready_kinds.contains(part.kind.as_str());
            if does == holds_up {
                let word = if does { "waiting for" } else { "going on without" };
                let why = problem.map(|why| format!(": {why}")).unwrap_or_default();
                missing.push(format!("{word} {name}{why}"));
            }
        }
        missing
    }

    /// What only a restart can mend, a line each.
    pub fn stuck(&self) -> Vec<String> {
        let state = self.state();
        let stuck = state.heartbeats.iter().filter(|(_, heartbeat)| heartbeat.elapsed() > STUCK_AFTER);
        stuck
            .map(|(watch, heartbeat)| format!("{watch} has not moved for {} s", heartbeat.elapsed().as_secs()))
            .collect()
    }

    /// What this replica does.
    pub fn what(&self) -> Role {
        self.state().role.clone()
    }

    /// The same, in a line.
    pub fn role(&self) -> Option<String> {
        match &self.state().role {
            Role::Starting => None,
            Role::Standby { leader: Some(leader) } => Some(format!("standby, the leader is {leader}")),
            Role::Standby { leader: None } => Some("standby".to_owned()),
            Role::Leader => Some("leader".to_owned()),
            Role::NoElection => Some("no leader election".to_owned()),
        }
    }

    /// Logs what is in the way: a line when that changes, none while it stays the same.
    pub(crate) async fn tell(self) {
        let mut told = Vec::new();
        loop {
            tokio::select! {
                () = self.0.changed.notified() => tokio::time::sleep(SETTLE).await,
                // Problems end without a word.
                () = tokio::time::sleep(OVER_AFTER), if !told.is_empty() => {}
            }
            let problems = self.problems(Instant::now());
            if problems == told {
                continue;
            }
            for (why, parts) in problems.iter().filter(|problem| !told.contains(problem)) {
                warn!("waiting for {}: {why}", parts.join(", "));
            }
            if problems.is_empty() {
                info!("nothing is in the way any more");
            }
            told = problems;
        }
    }

    /// What is in the way, each with the parts it is in the way of.
    fn problems(&self, now: Instant) -> Vec<(String, Vec<String>)> {
        let mut problems = BTreeMap::<String, Vec<String>>::new();
        for (part, state) in &self.state().parts {
            if let Some(why) = state.problem(now) {
                problems.entry(why.to_owned()).or_default().push(part.clone());
            }
        }
        problems.into_iter().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Readiness {
    /// As if this watch had not been polled for as long as it takes to be stuck.
    pub(crate) fn age_heartbeat(&self, watch: &str) {
        let long_ago = Instant::now().checked_sub(STUCK_AFTER + Duration::from_secs(1)).expect("a machine that is up");
        self.state().heartbeats.insert(watch.to_owned(), long_ago);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose by never forgetting a problem: it failed.
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
        let told = readiness.problems(Instant::now());
        assert_eq!(told.len(), 2);
        assert_eq!(told[0], ("no such kind".to_owned(), vec!["a".to_owned(), "b".to_owned()]));
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
        assert_eq!(readiness.waiting_for(), ["waiting for secrets in c"], "it was not tried yet");
    }

    /// Broken on purpose by pulses that never grow old: it failed.
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
