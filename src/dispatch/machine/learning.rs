//! The answers to questions: they are kept for all who ask, and prove nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::auth0::{Endpoint, Fact, Question, Read, Walk};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::facts::{KnownFacts, Learned};
use crate::dispatch::job::Task;

use super::jobs::{JobId, ReadError};
use super::state::Machine;

/// Who asks what was answered this short a time ago gets that answer: the question was on its way already.
const JUST_LEARNED: Duration = Duration::from_secs(1);

impl Machine {
    /// What is known with this connection.
    pub fn facts(&self, connection: ConnectionKey) -> Option<Arc<KnownFacts>> {
        self.facts.of(connection).cloned()
    }

    /// Whether the job only asks what was just answered.
    pub(super) fn has_just_learned(&self, id: JobId, now: Instant) -> bool {
        let Some(job) = self.jobs.get(id) else { return false };
        let Task::Learn(question) = &job.task else { return false };
        let learned = self.facts.of(job.connection).and_then(|facts| facts.get(question));
        learned.is_some_and(|learned| now.saturating_duration_since(learned.learned_at) < JUST_LEARNED)
    }

    /// Keeps what a walk that has ended says: the answer to its question, or the number of an organization's members.
    pub(super) fn learn(
        &mut self,
        connection: ConnectionKey,
        walk: &Walk,
        error: Option<&ReadError>,
        learned_at: Instant,
    ) {
        let (question, fact) = match (walk.read(), error) {
            (Read::Answer(question), Some(ReadError::Call(why) | ReadError::Unreadable(why))) => {
                (question.clone(), Some(Fact::Unknown { why: why.clone() }))
            }
            (Read::Answer(question), None) => (question.clone(), walk.fact().cloned()),
            (Read::List(Endpoint::OrganizationMembers { organization }), None) if walk.is_exhausted() => {
                let question = Question::MemberCount { organization: organization.clone() };
                (question, Some(Fact::MemberCount(walk.seen() as u64)))
            }
            (Read::List(_) | Read::UserOrganizations { .. } | Read::Lookup(_), _) => return,
        };
        if let Some(fact) = fact {
            self.facts.insert(connection, question, Learned { fact, learned_at });
        }
    }
}
