//! What an object learns before it acts, and what its condition `Effective` says.

use std::sync::Arc;

use super::*;
use crate::api::{ConditionStatus, Policy};
use crate::auth0::{ApiSettings, Fact, Question};
use crate::dispatch::{Learned, Unverified};

const API: &str = "https://api.example.com/";
const ORGANIZATION: &str = "org_9ybsU1dN2dKfDkBi";

fn permission(api: &str, name: &str) -> Item {
    Item::Permission { resource_server: api.into(), name: name.into() }
}

/// A new object that names a permission of each of these APIs.
fn permissions(apis: &[&str]) -> Case {
    let items = apis.iter().map(|api| permission(api, "read:x")).collect();
    Case { removal: Removal { endpoint: Endpoint::UserPermissions { user: "auth0|a".into() }, items }, ..case() }
}

fn membership() -> Case {
    let endpoint = Endpoint::OrganizationMembers { organization: ORGANIZATION.into() };
    Case { removal: Removal { endpoint, items: vec![Item::Id("auth0|a".into())] }, ..case() }
}

fn settings_of(api: &str) -> Question {
    Question::ApiSettings { identifier: api.into() }
}

fn login() -> Question {
    Question::LoginMembership { organization: ORGANIZATION.into() }
}

fn settings(rbac: impl Into<Option<bool>>, lifetime: impl Into<Option<u32>>) -> Fact {
    Fact::ApiSettings(ApiSettings { enforces_policies: rbac.into(), token_lifetime: lifetime.into() })
}

fn connections(names: &[&str]) -> Fact {
    Fact::LoginMembership(Arc::new(names.iter().map(|name| Arc::from(*name)).collect()))
}

fn lacks(scope: &str) -> Fact {
    Fact::Unknown { why: CallError::InsufficientScope(scope.into()) }
}

impl Case {
    /// The same object once this was learned, now.
    fn knowing(mut self, question: Question, fact: Fact) -> Self {
        let at = self.now.steady;
        self.facts.insert(question, Learned { fact, learned_at: at });
        self
    }

    /// What it asks next, if it does not act yet.
    fn asks(&self) -> Option<Question> {
        match self.decide() {
            Decision::Submit { task: Task::Learn(question), .. } => Some(question),
            Decision::Submit { task: Task::Remove { .. } | Task::Prove | Task::Observe, .. } => None,
            other => panic!("{other:?}"),
        }
    }
}

/// Status, reason and message of the condition, and `effectiveBy` in seconds from now.
fn effective(status: &RemovalStatus) -> Option<(String, String, String, Option<i64>)> {
    let condition = status.condition(ConditionType::Effective)?;
    let by = status.effective_by.as_ref().map(|by| by.0.as_second() - NOW);
    Some((condition.status.clone(), condition.reason.clone(), condition.message.clone(), by))
}

#[test]
fn a_removal_first_learns_what_decides_on_its_effect() {
    let mut object = permissions(&["b", "a", "b"]);
    assert_eq!(object.asks(), Some(settings_of("a")));
    object = object.knowing(settings_of("a"), settings(true, 60));
    assert_eq!(object.asks(), Some(settings_of("b")), "each once");
    object = object.knowing(settings_of("b"), lacks("read:resource_servers"));
    assert_eq!(object.asks(), None, "that it is not known is an answer, too");
    assert_eq!(membership().asks(), Some(login()));
    assert_eq!(membership().knowing(login(), connections(&[])).asks(), None);
    assert_eq!(case().asks(), None, "nothing is asked about roles");
    let roles = Endpoint::OrganizationMemberRoles { organization: ORGANIZATION.into(), user: "auth0|a".into() };
    assert_eq!(Case { removal: Removal { endpoint: roles, items: vec![role(1)] }, ..case() }.asks(), None);
    assert_eq!(Case { tenant_mode: Mode::Observe, ..membership() }.asks(), None, "nor by what only looks");
    assert_eq!(
        Case { verification: Verification::Never, ..membership() }.asks(),
        None,
        "nor where no reads are wanted"
    );
    let many: Vec<String> = (0..9).map(|n| format!("api-{n}")).collect();
    let mut object = permissions(&many.iter().map(String::as_str).collect::<Vec<_>>());
    for n in 0..5 {
        assert_eq!(object.asks(), Some(settings_of(&format!("api-{n}"))));
        object = object.knowing(settings_of(&format!("api-{n}")), settings(true, 60));
    }
    assert_eq!(object.asks(), None, "five at most");
    assert_eq!(permissions(&[".."]).asks(), None, "what cannot stand in a path is not asked");
}

/// What was accepted is proved although the object is only observed since, and what it learns for that is not taken back:
/// it would be asked for again and again.
#[test]
fn an_observed_object_may_learn_for_its_proof() {
    let mut object = membership();
    let sent = object.accepted(End::Remaining(object.removal.items.clone()));
    object.apply_report(&sent);
    object.tenant_mode = Mode::Observe;
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted.len()), (Task::Learn(login()), object.removal.items.len()));
    let mut pending = object.clone().pending(Wait::Queued { calls_before: 0, about: None });
    if let View::Pending { so_far, .. } = &mut pending.view {
        so_far.task = Task::Learn(login());
    }
    assert!(matches!(pending.decide(), Decision::UpdateStatus(..)), "{:?}", pending.decide());
    pending.status = None;
    assert_eq!(pending.decide(), Decision::TakeReport, "what is not accepted is only looked at");
}

/// A token that says itself what it may do is asked nothing else of.
#[test]
fn nothing_is_asked_that_the_token_may_not_read() {
    let scopes = |scopes: &[&str]| Some(scopes.iter().map(|scope| (*scope).to_owned()).collect());
    let without = Case { scopes: scopes(&["update:users", "read:users"]), ..permissions(&[API]) };
    assert_eq!(without.asks(), None);
    let with = Case { scopes: scopes(&["update:users", "read:resource_servers"]), ..permissions(&[API]) };
    assert_eq!(with.asks(), Some(settings_of(API)));
    let (.., message, _) = effective(&without.after(&without.accepted(End::Gone))).unwrap();
    assert!(message.contains("the token lacks the scope read:resource_servers"), "{message}");
}

#[test]
fn facts_are_used_for_their_time() {
    let answered = CallError::NotFound(crate::auth0::Missing::Unclear);
    for (fact, seconds) in [
        (settings(true, 60), 600),
        (lacks("read:resource_servers"), 600),
        (Fact::Unknown { why: answered }, 600),
        (Fact::Unknown { why: unavailable() }, 60),
        (Fact::Unknown { why: CallError::Unauthorized("401") }, 60),
    ] {
        let mut object = permissions(&[API]).knowing(settings_of(API), fact);
        object.later(seconds - 1);
        assert_eq!(object.asks(), None);
        object.later(1);
        assert_eq!(object.asks(), Some(settings_of(API)));
    }
}

/// Slow answers must not have an object ask for ever: whatever it learned for this job counts, however old it is.
#[test]
fn nothing_is_asked_twice_for_one_job() {
    let mut object = permissions(&["a", "b"]);
    object.learning_since = Some(object.now.steady);
    object = object.knowing(settings_of("a"), settings(true, 60));
    object.later(3000);
    assert_eq!(object.asks(), Some(settings_of("b")));
    object = object.knowing(settings_of("b"), Fact::Unknown { why: unavailable() });
    object.later(3000);
    assert_eq!(object.asks(), None);
    object.learning_since = None;
    assert_eq!(object.asks(), Some(settings_of("a")), "the next job asks");
}

/// What a job has learned is no verdict, no failure, and no reason to wait.
#[test]
fn to_learn_changes_nothing_of_the_object() {
    let mut object = permissions(&[API]);
    let before = object.clone();
    let learned = Report { task: Task::Learn(settings_of(API)), ..object.report(End::Learned) };
    let applied = object.apply_report(&learned);
    assert_eq!((applied.outcome, applied.pause, applied.failures), (None, None, None));
    assert_eq!(object.status.unwrap_or_default(), before.status.unwrap_or_default());
    assert_eq!(object.items, before.items);
}

/// What is known of a removal when it is verified, and the condition that follows.
#[test]
fn the_effect_of_a_removal() {
    let role_1 = || BTreeSet::from([Arc::from("rol_1")]);
    let none = BTreeSet::new;
    let day = 86_400;
    let one = |fact: Fact| permissions(&[API]).knowing(settings_of(API), fact);
    let two = |fact: Fact| {
        permissions(&[API, "b"]).knowing(settings_of(API), settings(true, 60)).knowing(settings_of("b"), fact)
    };
    type Row = (Case, BTreeSet<Arc<str>>, &'static str, &'static str, &'static [&'static str], Option<i64>);
    let rows: [Row; 14] = [
        (one(settings(true, 86_400)), none(), "Unknown", "TokensStillValid", &["issued before"], Some(day)),
        (one(settings(true, 0)), none(), "True", "InEffect", &["Nothing is known"], None),
        (
            one(settings(false, 60)),
            none(),
            "False",
            "RBACDisabled",
            &["RBAC is off for https://api.example.com/"],
            None,
        ),
        (one(settings(true, 60)), role_1(), "False", "GrantedByRole", &["rol_1", "issued before"], None),
        (one(settings(false, 60)), role_1(), "False", "GrantedByRole", &["rol_1", "RBAC is off"], None),
        (one(settings(None, 60)), none(), "Unknown", "EffectUnknown", &["whether RBAC is on"], None),
        (one(settings(true, None)), none(), "Unknown", "EffectUnknown", &["how long its access tokens"], None),
        (
            one(lacks("read:resource_servers")),
            none(),
            "Unknown",
            "EffectUnknown",
            &["scope read:resource_servers"],
            None,
        ),
        (permissions(&[API]), none(), "Unknown", "EffectUnknown", &["it was not asked"], None),
        (two(settings(true, 86_400)), none(), "Unknown", "TokensStillValid", &["issued before"], Some(day)),
        (two(settings(false, 86_400)), none(), "False", "RBACDisabled", &["off for b"], None),
        (two(Fact::Unknown { why: unavailable() }), none(), "Unknown", "EffectUnknown", &["API b are not known"], None),
        (membership().knowing(login(), connections(&[])), none(), "True", "InEffect", &["Nothing is known"], None),
        (
            membership().knowing(login(), connections(&["google", "db\u{1b}[2J"])),
            none(),
            "False",
            "MembershipOnLogin",
            &["db\\u001b[2J, google becomes"],
            None,
        ),
    ];
    for (object, through_roles, status, reason, texts, by) in rows {
        let report = Report { through_roles, ..object.accepted(End::Gone) };
        let written = object.after(&report);
        assert_eq!(written.reason_text(), Some("Removed"), "Ready is untouched");
        let (found, why, message, until) = effective(&written).unwrap();
        assert_eq!((found.as_str(), why.as_str(), until), (status, reason, by), "{message}");
        assert!(message.starts_with("As of the verdict: "), "{message}");
        for text in texts {
            assert!(message.contains(text), "{text} is not in {message}");
        }
    }
}

#[test]
fn other_verdicts_have_the_condition_as_far_as_it_is_known() {
    let object = permissions(&[API]).knowing(settings_of(API), settings(true, 60));
    let why = |status: RemovalStatus| effective(&status).map(|(status, reason, ..)| format!("{status} {reason}"));
    let unverified = object.after(&object.accepted(End::Unverified(Unverified::Never)));
    assert_eq!(why(unverified).as_deref(), Some("Unknown EffectUnknown"), "the sources were not read");
    let absent = object.after(&Report { already_absent: object.removal.items.clone(), ..object.report(End::Gone) });
    assert_eq!(why(absent).as_deref(), Some("True InEffect"), "there is no time from which to count");
    let not_found = object.after(&object.report(End::NotFound(crate::auth0::Missing::Subject)));
    assert_eq!(why(not_found), None);
    assert_eq!(why(case().after(&case().accepted(End::Gone))), None, "nothing is said of roles");
    let observed = Case { tenant_mode: Mode::Observe, ..object.clone() };
    assert_eq!(why(observed.after(&Report { task: Task::Observe, ..observed.report(End::Gone) })), None);
    let waits = object.after(&object.accepted(End::Remaining(object.removal.items.clone())));
    assert_eq!((waits.reason_text(), why(waits.clone())), (Some("AwaitingConsistency"), None));
}

/// Finished objects: what was said with the verdict stands, whatever is known later.
#[test]
fn the_condition_stands_as_of_the_verdict() {
    let mut object = permissions(&[API]).knowing(settings_of(API), settings(false, 60));
    object.apply_report(&object.accepted(End::Unverified(Unverified::Never)));
    let said = effective(object.status.as_ref().unwrap());
    assert_eq!(said.as_ref().unwrap().1, "RBACDisabled");
    object.facts = KnownFacts::default();
    object.later(7200);
    assert!(matches!(object.decide(), Decision::AwaitChange(None)));
    // A proof on request asks nothing; what it does not know again it leaves as it is.
    object.request = Some("now");
    assert_eq!(object.asks(), None);
    let proof = Report { task: Task::Prove, ..object.accepted(End::Gone) };
    let proved = object.after(&proof);
    assert_eq!((proved.reason_text(), effective(&proved)), (Some("Removed"), said.clone()));
    // With what it does know, it decides again.
    let knows = object.clone().knowing(settings_of(API), settings(true, 0));
    assert_eq!(effective(&knows.after(&proof)).unwrap().1, "InEffect");
}

#[test]
fn checks_leave_the_condition_and_a_return_ends_it() {
    let mut object = permissions(&[API]).knowing(settings_of(API), settings(true, 86_400));
    object.options.policy = Policy::Continuous;
    object.apply_report(&object.accepted(End::Gone));
    let said = effective(object.status.as_ref().unwrap()).unwrap();
    assert_eq!((said.1.as_str(), said.3), ("TokensStillValid", Some(86_400)));
    object.later(3600);
    object.check_at = Some(object.now.steady);
    object.facts = KnownFacts::default();
    assert_eq!(object.asks(), None, "a check asks nothing");
    let unchanged = object.after(&Report { task: Task::Observe, ..object.report(End::Gone) });
    assert_eq!(Some(&unchanged), object.status.as_ref());
    let left = End::Remaining(object.removal.items.clone());
    object.apply_report(&Report { task: Task::Observe, ..object.report(left) });
    let came_back = object.status.clone().unwrap();
    assert_eq!((effective(&came_back), came_back.effective_by), (None, None));
    assert_eq!(object.asks(), Some(settings_of(API)), "the removal after it does");
}

#[test]
fn names_from_auth0_cannot_fill_a_message() {
    let names: Vec<String> = (0..20).map(|n| format!("{n:02}{}", "x".repeat(500))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let object = membership().knowing(login(), connections(&names));
    let (.., message, _) = effective(&object.after(&object.accepted(End::Gone))).unwrap();
    assert!(message.contains("and 15 more becomes a member again") && message.len() < 700, "{message}");
    assert_eq!(object.after(&object.accepted(End::Gone)).condition(ConditionType::Effective).unwrap().status, {
        ConditionStatus::False.as_str()
    });
}
