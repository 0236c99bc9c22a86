//! What the guards of the tenant have to know before a DELETE is sent.

use std::sync::Arc;

use crate::auth0::{Fact, Question};
use crate::revocation::inputs::Inputs;
use crate::revocation::kinds::Revocation;
use crate::revocation::needs::{guard_questions, known_fact};
use crate::tenant::TenantKey;

use super::Reconciliation;

impl<K: Revocation> Reconciliation<'_, K> {
    /// Lets the guards know what was found out for them, or that it cannot be known.
    pub(super) fn inform_guards(&self, inputs: &Inputs<'_>, key: &TenantKey) {
        let brakes = self.context.shared.tenants.brakes();
        for (question, _) in guard_questions(inputs) {
            let learned_at = inputs.facts.get(question).map_or(inputs.now.steady, |learned| learned.learned_at);
            match (question, known_fact(inputs, question)) {
                (_, None) => {}
                (Question::MemberCount { organization }, Some(fact)) => {
                    let count = if let Fact::MemberCount(count) = fact { usize::try_from(count).ok() } else { None };
                    brakes.know_length(key, organization, count, learned_at);
                }
                (Question::RoleHolders { role }, Some(Fact::RoleHolders(users))) => {
                    let users: Vec<Arc<str>> = users.iter().cloned().collect();
                    brakes.know_holders(key, role, Some(&users), learned_at);
                }
                (Question::RoleHolders { role }, Some(_)) => brakes.know_holders(key, role, None, learned_at),
                (Question::ApiSettings { .. } | Question::LoginMembership { .. }, Some(_)) => {}
            }
        }
    }
}
