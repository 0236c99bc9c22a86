//! What was learned with each connection, for all who ask. Facts are no proofs: nothing is removed, spared or called
//! gone because of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::HashMap;

use crate::auth0::{Fact, Question};

use super::connection::ConnectionKey;

/// How long a fact is kept. Whoever uses it decides whether it is too old.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// The same for the holders of a role, of whom there can be many.
const HOLDERS_KEPT_FOR: Duration = Duration::from_secs(300);

/// A fact, and when it was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The fact.
    pub fact: Fact,
    /// When that read ended.
    pub learned_at: Instant,
}

/// What is known with one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownFacts(BTreeMap<Question, Learned>);

impl KnownFacts {
    /// Nothing.
    pub const NONE: &'static Self = &Self(BTreeMap::new());

    /// The last answer to a question, however old.
    pub fn get(&self, question: &Question) -> Option<&Learned> {
        self.0.get(question)
    }

    /// Replaces the answer to a question.
    pub fn insert(&mut self, question: Question, learned: Learned) {
        self.0.insert(question, learned);
    }
}

/// What is known with each connection.
#[derive(Debug, Default)]
pub(super) struct Facts(HashMap<ConnectionKey, Arc<KnownFacts>>);

impl Facts {
    pub(super) fn of(&self, connection: ConnectionKey) -> Option<&Arc<KnownFacts>> {
        self.0.get(&connection)
    }

    /// Keeps a fact, and from time to time drops what is too old.
    pub(super) fn insert(&mut self, connection: ConnectionKey, question: Question, learned: Learned) {
        let known = Arc::make_mut(self.0.entry(connection).or_default());
        if known.0.len().is_power_of_two() {
            let now = learned.learned_at;
            known.0.retain(|question, learned| is_kept(question, learned, now));
        }
        known.insert(question, learned);
    }

    /// Forgets the connections that are not in use any more, and what is too old.
    pub(super) fn retain(&mut self, alive: impl Fn(&ConnectionKey) -> bool, now: Instant) {
        self.0.retain(|key, known| {
            if known.0.iter().any(|(question, learned)| !is_kept(question, learned, now)) {
                Arc::make_mut(known).0.retain(|question, learned| is_kept(question, learned, now));
            }
            alive(key) && !known.0.is_empty()
        });
    }
}

fn is_kept(question: &Question, learned: &Learned, now: Instant) -> bool {
    let kept_for = if matches!(question, Question::RoleHolders { .. }) { HOLDERS_KEPT_FOR } else { KEPT_FOR };
    now.saturating_duration_since(learned.learned_at) < kept_for
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn question(n: usize) -> Question {
        Question::MemberCount { organization: format!("org_{n}").into() }
    }

    #[test]
    fn facts_are_bounded_by_time_and_connections() {
        let (mut facts, start, minute) = (Facts::default(), Instant::now(), Duration::from_secs(60));
        let (one, other) = (ConnectionKey(1), ConnectionKey(2));
        let learned = |n: u64, at| Learned { fact: Fact::MemberCount(n), learned_at: at };
        for n in 0..10_000 {
            facts.insert(one, question(n), learned(n as u64, start + minute * u32::try_from(n).unwrap()));
        }
        let known = facts.of(one).unwrap();
        assert!(known.0.len() <= 128, "{} are kept of the last hour", known.0.len());
        assert_eq!(known.get(&question(9_999)).unwrap().fact, Fact::MemberCount(9_999));
        assert!(known.get(&question(1)).is_none() && facts.of(other).is_none(), "another connection knows nothing");
        facts.insert(other, question(1), learned(1, start));
        let alive = HashSet::from([other]);
        facts.retain(|key| alive.contains(key), start);
        assert!(facts.of(one).is_none() && facts.of(other).is_some());
    }

    /// However few facts there are, and although none is added.
    #[test]
    fn what_is_too_old_goes_without_anything_new() {
        let (mut facts, start, key) = (Facts::default(), Instant::now(), ConnectionKey(1));
        let holders = Fact::RoleHolders(Arc::new([Arc::from("auth0|a")].into()));
        let role = Question::RoleHolders { role: "rol_a".into() };
        for (n, question) in [question(1), question(2), role.clone()].into_iter().enumerate() {
            let fact = if n == 2 { holders.clone() } else { Fact::MemberCount(1) };
            facts.insert(key, question, Learned { fact, learned_at: start });
        }
        facts.retain(|_| true, start + HOLDERS_KEPT_FOR);
        let known = facts.of(key).unwrap();
        assert!(known.get(&role).is_none() && known.get(&question(2)).is_some());
        facts.retain(|_| true, start + KEPT_FOR);
        assert!(facts.of(key).is_none());
    }

    /// A reader keeps what it was given, whatever is learned meanwhile.
    #[test]
    fn a_snapshot_does_not_change() {
        let (mut facts, now, key) = (Facts::default(), Instant::now(), ConnectionKey(1));
        let learned = |n| Learned { fact: Fact::MemberCount(n), learned_at: now };
        facts.insert(key, question(1), learned(1));
        let before = facts.of(key).unwrap().clone();
        facts.insert(key, question(1), learned(2));
        assert_eq!(before.get(&question(1)), Some(&learned(1)));
        assert_eq!(facts.of(key).unwrap().get(&question(1)), Some(&learned(2)));
    }
}
