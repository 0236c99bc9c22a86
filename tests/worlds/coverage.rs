//! Counts what happened in the worlds of a run: about something that hardly ever happens, a run proves nothing.

use std::collections::BTreeMap;

use rescind::api::Reason;

use crate::auth0::Fault;
use crate::plan::Edit;

/// The number of worlds in which each thing happened.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<(&'static str, String), u64>);

/// Reasons that cannot occur in these worlds: of guards, or of tenants only.
const ELSEWHERE: [Reason; 10] = [
    Reason::Protected,
    Reason::NamespaceNotAllowed,
    Reason::BrakeEngaged,
    Reason::InvalidRequest,
    Reason::Connected,
    Reason::Unproved,
    Reason::SecretNotFound,
    Reason::InvalidCredentials,
    Reason::DomainNotAllowed,
    Reason::InvalidConnection,
];

impl Coverage {
    pub fn count(&mut self, what: &'static str, which: &str) {
        *self.0.entry((what, which.to_owned())).or_default() += 1;
    }

    /// Adds one world; each thing that happened in it counts once.
    pub fn add(&mut self, world: &Self) {
        for key in world.0.keys() {
            *self.0.entry(key.clone()).or_default() += 1;
        }
    }

    /// Adds the counts of other worlds.
    pub fn merge(&mut self, others: Self) {
        for (key, worlds) in others.0 {
            *self.0.entry(key).or_default() += worlds;
        }
    }

    /// What happened in fewer than one world in 200.
    pub fn rare(&self, worlds: u64) -> Vec<String> {
        let faults = Fault::ALL.iter().map(|fault| ("fault", format!("{fault:?}")));
        let edits = Edit::ALL.iter().map(|edit| ("edit", format!("{edit:?}")));
        let reasons = Reason::ALL.iter().filter(|reason| !ELSEWHERE.contains(reason));
        let reasons = reasons.map(|reason| ("reason", reason.as_str().to_owned()));
        let others = [
            ("crash", "crash"),
            ("crash", "upgrade"),
            ("crash", "downgrade"),
            ("passed over", "1"),
            ("clock", "set back"),
            ("clock", "set forward"),
            ("api", "edit refused"),
            ("drift", "drift"),
        ];
        let others = others.map(|(what, which)| (what, which.to_owned()));
        let wanted = faults.chain(edits).chain(reasons).chain(others);
        let rare = wanted.filter(|key| self.0.get(key).copied().unwrap_or(0) * 200 < worlds);
        rare.map(|(what, which)| format!("{what} {which}")).collect()
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut last = "";
        for ((what, which), worlds) in &self.0 {
            if *what != last {
                write!(f, "\n  {what}:")?;
                last = what;
            }
            write!(f, " {which} {worlds},")?;
        }
        Ok(())
    }
}
