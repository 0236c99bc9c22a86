//! What the operator waits for, and whether it still moves: the contents of `/readyz` and `/healthz`, and the log lines
//! that say the same.

use std::collections::BTreeMap;
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
    Alone,
}

/// The state of everything that has to be there.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Shared>);

#[derive(Default)]
struct Shared {
    board: Mutex<Board>,
    changed: Notify,
}

#[derive(Default)]
struct Board {
    role: Role,
    parts: BTreeMap<String, Part>,
    /// When each watch was polled last.
    pulses: BTreeMap<String, Instant>,
}

#[derive(Default)]
struct Part {
    ready: bool,
    /// Why not, or what is wrong with it now, and when that was seen last.
    problem: Option<(String, Instant)>,
}

impl Part {
    fn problem(&self, now: Instant) -> Option<&str> {
        let (why, seen) = self.problem.as_ref()?;
        (now.saturating_duration_since(*seen) < OVER_AFTER).then_some(why)
    }
}

impl Readiness {
    /// The operator is not ready before this is; `part` completes "waiting for …".
    pub fn expect(&self, part: &str) {
        self.board().parts.entry(part.to_owned()).or_default();
        self.0.changed.notify_one();
    }

    /// This is there. It stays ready when it has problems later.
    pub fn ready(&self, part: &str) {
        self.board().parts.insert(part.to_owned(), Part { ready: true, problem: None });
        self.0.changed.notify_one();
    }

    /// What is in the way, in words that say what to do. To be told each time it is seen.
    pub fn problem(&self, part: &str, why: &str) {
        self.board().parts.entry(part.to_owned()).or_default().problem = Some((why.to_owned(), Instant::now()));
        self.0.changed.notify_one();
    }

    /// What this replica does.
    pub fn set_role(&self, role: Role) {
        self.board().role = role;
    }

    /// The watch of this was polled.
    pub(crate) fn pulse(&self, watch: &str) {
        let mut board = self.board();
        match board.pulses.get_mut(watch) {
            Some(pulse) => *pulse = Instant::now(),
            None => drop(board.pulses.insert(watch.to_owned(), Instant::now())),
        }
    }

    /// What is still missing, a line each.
    pub fn waiting_for(&self) -> Vec<String> {
        let now = Instant::now();
        let line = |(part, state): (&String, &Part)| match state.problem(now) {
            Some(why) => format!("waiting for {part}: {why}"),
            None => format!("waiting for {part}"),
        };
        self.board().parts.iter().filter(|(_, state)| !state.ready).map(line).collect()
    }

    /// What only a restart can mend, a line each.
    pub fn stuck(&self) -> Vec<String> {
        let board = self.board();
        let stuck = board.pulses.iter().filter(|(_, pulse)| pulse.elapsed() > STUCK_AFTER);
        stuck.map(|(watch, pulse)| format!("{watch} has not moved for {} s", pulse.elapsed().as_secs())).collect()
    }

    /// What this replica does.
    pub fn what(&self) -> Role {
        self.board().role.clone()
    }

    /// The same, in a line.
    pub fn role(&self) -> Option<String> {
        match &self.board().role {
            Role::Starting => None,
            Role::Standby { leader: Some(leader) } => Some(format!("standby, the leader is {leader}")),
            Role::Standby { leader: None } => Some("standby".to_owned()),
            Role::Leader => Some("leader".to_owned()),
            Role::Alone => Some("no leader election".to_owned()),
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
        for (part, state) in &self.board().parts {
            if let Some(why) = state.problem(now) {
                problems.entry(why.to_owned()).or_default().push(part.clone());
            }
        }
        problems.into_iter().collect()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Readiness {
    /// As if this watch had not been polled for as long as it takes to be stuck.
    pub(crate) fn age_pulse(&self, watch: &str) {
        let long_ago = Instant::now().checked_sub(STUCK_AFTER + Duration::from_secs(1)).expect("a machine that is up");
        self.board().pulses.insert(watch.to_owned(), long_ago);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose by never forgetting a problem: it failed.
    #[test]
    fn problems_are_grouped_and_end() {
        let readiness = Readiness::default();
        readiness.expect("a");
        readiness.problem("a", "no such kind");
        readiness.problem("b", "no such kind");
        readiness.ready("c");
        readiness.problem("c", "refused");
        assert_eq!(readiness.waiting_for(), ["waiting for a: no such kind", "waiting for b: no such kind"]);
        let told = readiness.problems(Instant::now());
        assert_eq!(told.len(), 2);
        assert_eq!(told[0], ("no such kind".to_owned(), vec!["a".to_owned(), "b".to_owned()]));
        readiness.ready("a");
        assert_eq!(readiness.waiting_for(), ["waiting for b: no such kind"]);
        assert!(readiness.problems(Instant::now() + OVER_AFTER).is_empty());
    }

    /// Broken on purpose by pulses that never grow old: it failed.
    #[test]
    fn a_watch_that_is_not_polled_is_stuck() {
        let readiness = Readiness::default();
        readiness.pulse("a");
        assert!(readiness.stuck().is_empty());
        readiness.age_pulse("a");
        assert_eq!(readiness.stuck(), ["a has not moved for 451 s"]);
        readiness.pulse("a");
        assert!(readiness.stuck().is_empty());
    }
}
