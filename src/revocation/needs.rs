//! Which facts an object needs before its next removal or proof, and what is known of them. Pure.

use std::sync::Arc;
use std::time::Duration;

use crate::api::Verification;
use crate::auth0::{CallError, Fact, Item, ItemKind, Question};
use crate::dispatch::{Removal, Task};

use super::inputs::{Inputs, Tenant};

/// How many APIs are looked at for one object.
pub(super) const MAX_APIS: usize = 5;
/// How long what decides on the effect of removals is used before it is asked again.
const EFFECT_TTL: Duration = Duration::from_secs(600);
/// How long it is used that a question got no usable answer.
const UNANSWERED_TTL: Duration = Duration::from_secs(60);

/// A fact that an object needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// What has to be known.
    pub(super) question: Question,
    /// How old the answer may be.
    pub(super) max_age: Duration,
}

/// Every fact that the next removal or proof of this object needs, in the order in which they are asked for.
fn needs(inputs: &Inputs<'_>, task: &Task) -> Vec<Need> {
    let of_guards = guard_questions(inputs).iter().filter(|_| matches!(task, Task::Remove { .. })).cloned();
    let of_guards = of_guards.map(|(question, max_age)| Need { question, max_age });
    let of_effect = effect_questions(inputs).into_iter().map(|question| Need { question, max_age: EFFECT_TTL });
    of_guards.chain(of_effect).collect()
}

/// What the guards of the tenant have to know before a DELETE.
pub(super) fn guard_questions<'a>(inputs: &Inputs<'a>) -> &'a [(Question, Duration)] {
    if let Tenant::Ready { questions, .. } = inputs.tenant { questions } else { &[] }
}

/// Whether an object with this target ever needs a fact, if its tenant's guards need none.
pub(super) const fn can_need_facts(removal: &Removal) -> bool {
    matches!(removal.endpoint.items(), ItemKind::Permission | ItemKind::Member)
}

/// The question to ask before the next removal or proof, if there is one. Each is asked once for every such job,
/// however long the answers take, so that the job itself is sent in the end.
pub(super) fn next_question(inputs: &Inputs<'_>, task: &Task) -> Option<Question> {
    needs(inputs, task).into_iter().find(|need| !is_answered(inputs, need)).map(|need| need.question)
}

fn is_answered(inputs: &Inputs<'_>, Need { question, max_age }: &Need) -> bool {
    let Some(learned) = inputs.facts.get(question) else { return lacking(inputs, question).is_some() };
    let max_age = match &learned.fact {
        Fact::Unknown { why } if !why.is_lasting() => UNANSWERED_TTL.min(*max_age),
        Fact::ApiSettings(_) | Fact::LoginMembership(_) | Fact::MemberCount(_) => *max_age,
        Fact::RoleHolders(_) | Fact::Unknown { .. } => *max_age,
    };
    let asked_for_this_job = inputs.learning_since.is_some_and(|since| learned.learned_at >= since);
    asked_for_this_job || inputs.now.since(learned.learned_at) < max_age || lacking(inputs, question).is_some()
}

/// The scope for which the token could not ask this question, if its scopes are known.
fn lacking(inputs: &Inputs<'_>, question: &Question) -> Option<&'static str> {
    let Tenant::Ready { scopes: Some(held), .. } = inputs.tenant else { return None };
    question.lacking(held)
}

/// What is known about a question, however old it is; none if it was never asked.
pub(super) fn known_fact(inputs: &Inputs<'_>, question: &Question) -> Option<Fact> {
    let missing_scope = |scope: &str| Fact::Unknown { why: CallError::InsufficientScope(scope.to_owned()) };
    let learned = inputs.facts.get(question).map(|learned| learned.fact.clone());
    learned.or_else(|| lacking(inputs, question).map(missing_scope))
}

/// What decides whether removing these items has an effect. Nothing is asked about roles, and nothing for a tenant that
/// wants no reads.
pub(super) fn effect_questions(inputs: &Inputs<'_>) -> Vec<Question> {
    match inputs.removal.endpoint.items() {
        _ if inputs.verification() == Verification::Never => Vec::new(),
        ItemKind::Permission => {
            let apis = apis(inputs.removal);
            apis.into_iter().take(MAX_APIS).filter_map(Question::api_settings).collect()
        }
        ItemKind::Member => login_membership(inputs.removal).into_iter().collect(),
        ItemKind::Role | ItemKind::Organization => Vec::new(),
    }
}

/// The question whether a login makes people members again, of the organization that they are removed from.
pub(super) fn login_membership(removal: &Removal) -> Option<Question> {
    let organization = removal.endpoint.organization()?.clone();
    Some(Question::LoginMembership { organization })
}

/// The APIs whose permissions an object names, each once, in the order of their identifiers.
pub(super) fn apis<'a>(removal: &'a Removal) -> Vec<&'a Arc<str>> {
    let api =
        |item: &'a Item| if let Item::Permission { resource_server, .. } = item { Some(resource_server) } else { None };
    let mut apis: Vec<_> = removal.items.iter().filter_map(api).collect();
    apis.sort_unstable();
    apis.dedup();
    apis
}
