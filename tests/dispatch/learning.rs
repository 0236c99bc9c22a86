//! Jobs that only learn something: what they cost, what they learn when Auth0 does not answer, and in whose way they
//! are.

use std::sync::Arc;
use std::time::Duration;

use rescind::auth0::{ApiSettings, CallError, Fact, Missing, Question};
use rescind::dispatch::End;

use crate::auth0::{Bucket, Fault};
use crate::cases::{id, leavers, limited, organization};
use crate::sim::{Object, Sim, connection};

fn settings(identifier: &str) -> Question {
    Question::ApiSettings { identifier: identifier.into() }
}

fn asks(sim: &mut Sim, question: &Question, at: Duration) -> usize {
    let n = sim.objects.len();
    let mut object =
        Object::new(&Arc::from(format!("ns{}", n % 3)), n, organization("org_acme"), vec![id("x".into())], true);
    object.asks = Some(question.clone());
    sim.add(object, at)
}

fn open() -> Sim {
    limited(Bucket::new(100.0, 100.0), 0.0, 40)
}

fn fact(sim: &Sim, question: &Question) -> Option<Fact> {
    let facts = sim.machine.facts(connection(1))?;
    facts.get(question).map(|learned| learned.fact.clone())
}

fn reads(sim: &Sim) -> u64 {
    sim.auth0.calls.get("GET").copied().unwrap_or_default()
}

const READ: Fact = Fact::ApiSettings(ApiSettings { enforces_policies: Some(true), token_lifetime: Some(86_400) });

/// All who ask before the answer get it, and so do those who ask a moment later.
#[test]
fn a_thousand_who_ask_share_one_read() {
    let (mut sim, question) = (open(), settings("https://api/"));
    for n in 0..1000 {
        asks(&mut sim, &question, Duration::from_micros(n * 900));
    }
    sim.run(Duration::from_secs(60));
    assert_eq!((reads(&sim), sim.auth0.calls.contains_key("DELETE")), (1, false));
    assert!(sim.objects.iter().all(|object| object.ended.as_ref().unwrap().1.end == End::Learned));
    assert_eq!(fact(&sim, &question), Some(READ));
    asks(&mut sim, &question, Duration::from_secs(61));
    sim.run(Duration::from_secs(90));
    assert_eq!(reads(&sim), 2, "later it is asked again");
}

#[test]
fn nothing_is_learned_for_another_connection() {
    let (mut sim, question) = (open(), settings("https://api/"));
    for credential in [1, 2, 1, 2] {
        let n = asks(&mut sim, &question, Duration::ZERO);
        sim.objects[n].credential = credential;
    }
    sim.auth0.refused.insert(2);
    sim.run(Duration::from_secs(60));
    assert_eq!((reads(&sim), fact(&sim, &question)), (2, Some(READ)));
    let other = sim.machine.facts(connection(2)).unwrap();
    let fact = &other.get(&question).unwrap().fact;
    assert!(matches!(fact, Fact::Unknown { why: CallError::Unauthorized(_) }), "{fact:?}");
}

/// What Auth0 refuses or fails to answer is not known, after one call, and nobody waits for it.
#[test]
fn a_read_that_fails_is_not_tried_for_long() {
    let question = settings("https://api/");
    let learned = |fault: Option<Fault>, change: fn(&mut Sim), most_calls: u64, most: Duration| {
        let mut sim = open();
        sim = Sim::new(sim.auth0, sim.limits, Box::new(move |_, _| (Duration::from_millis(40), fault)));
        change(&mut sim);
        for _ in 0..50 {
            asks(&mut sim, &question, Duration::ZERO);
        }
        asks(&mut sim, &question, Duration::from_millis(20));
        sim.run(most);
        assert!(reads(&sim) <= most_calls, "{} calls", reads(&sim));
        match fact(&sim, &question) {
            Some(Fact::Unknown { why }) => why,
            other => panic!("{other:?}"),
        }
    };
    fn refuses_first(sim: &mut Sim) {
        sim.auth0.refused.insert(1);
    }
    let (one, soon) = (1, Duration::from_millis(100));
    let scope = learned(None, |sim| sim.auth0.unreadable = true, one, soon);
    assert_eq!(scope, CallError::InsufficientScope("read:something".into()));
    assert!(matches!(learned(Some(Fault::Refuses), |_| {}, one, soon), CallError::Unavailable(_)));
    assert!(matches!(learned(Some(Fault::Stays), |_| {}, one, soon), CallError::NotSent(_)));
    assert!(matches!(learned(Some(Fault::Garbles), |_| {}, 2, Duration::from_secs(2)), CallError::Unavailable(_)));
    assert!(matches!(learned(None, refuses_first, one, soon), CallError::Unauthorized(_)));
    let mut sim = open();
    asks(&mut sim, &settings("unknown"), Duration::ZERO);
    sim.run(soon);
    let missing = Fact::Unknown { why: CallError::NotFound(Missing::Unclear) };
    assert_eq!(fact(&sim, &settings("unknown")), Some(missing));
}

/// A 429 to a question holds the domain as every 429 does, and the question waits with all else. What the peer did not
/// process is sent again at once.
#[test]
fn a_question_obeys_the_breaker() {
    for (fault, expected) in [(Fault::Limits(5), 5..7), (Fault::Declines, 0..1)] {
        let mut sim = open();
        let mut first = Some(fault);
        sim = Sim::new(sim.auth0, sim.limits, Box::new(move |_, _| (Duration::from_millis(40), first.take())));
        let question = settings("https://api/");
        asks(&mut sim, &question, Duration::ZERO);
        sim.run(Duration::from_secs(60));
        assert!(expected.contains(&sim.now.as_secs()), "{:?}", sim.now);
        assert_eq!(fact(&sim, &question), Some(READ));
    }
}

/// What the guards of a tenant need to know.
#[test]
fn the_size_of_an_organization_and_the_holders_of_a_role_are_learned() {
    let mut sim = open();
    let count = Question::MemberCount { organization: "org_acme".into() };
    let holders = Question::RoleHolders { role: "rol_a".into() };
    asks(&mut sim, &count, Duration::ZERO);
    asks(&mut sim, &holders, Duration::ZERO);
    sim.run(Duration::from_secs(60));
    assert_eq!((reads(&sim), fact(&sim, &count)), (2, Some(Fact::MemberCount(7))));
    let expected = Fact::RoleHolders(Arc::new([Arc::from("auth0|holder")].into()));
    assert_eq!(fact(&sim, &holders), Some(expected));
}

/// Who does not want to know any more gets no report; the others get their answer.
#[test]
fn a_question_is_taken_back() {
    let (mut sim, question) = (open(), settings("https://api/"));
    for _ in 0..6 {
        asks(&mut sim, &question, Duration::ZERO);
    }
    for n in 0..4 {
        sim.withdraw(n, Duration::from_millis(10));
    }
    sim.run(Duration::from_secs(60));
    assert_eq!(reads(&sim), 1);
    assert!(sim.objects[..4].iter().all(|object| object.ended.is_none()));
    assert!(sim.objects[4..].iter().all(|object| object.ended.as_ref().unwrap().1.end == End::Learned));
    assert!(sim.machine.is_empty());
}

/// A question is as urgent as a removal: behind a crowd of proofs and observations it is asked first.
#[test]
fn a_question_comes_before_reads() {
    let mut sim = limited(Bucket::new(2.0, 2.0), 0.0, 40);
    for n in 0..60 {
        let roles = rescind::auth0::Endpoint::UserRoles { user: format!("auth0|{n}").into() };
        sim.auth0.give(&roles, id("rol_a".into()));
        let mut object = Object::new(&Arc::from("a"), n, roles, vec![id("rol_a".into())], true);
        object.observes = true;
        sim.add(object, Duration::ZERO);
    }
    let question = settings("https://api/");
    let asking = asks(&mut sim, &question, Duration::from_secs(5));
    sim.run(Duration::from_secs(600));
    let (learned, _) = sim.objects[asking].ended.as_ref().unwrap();
    assert!(*learned < Duration::from_secs(8), "{learned:?}");
}

/// A proof that walks the whole list of members tells how many there are.
#[test]
fn a_walk_of_the_members_counts_them() {
    let mut sim = open();
    let acme = organization("org_acme");
    leavers(&mut sim, "a", &acme, 300);
    for n in 0..120 {
        sim.auth0.give(&acme, id(format!("auth0|stays-{n}")));
    }
    sim.run(Duration::from_secs(600));
    let question = Question::MemberCount { organization: "org_acme".into() };
    assert_eq!(fact(&sim, &question), Some(Fact::MemberCount(120)));
}

/// A walk that ended because it had found whom it was looking for does not know how many members there are.
#[test]
fn half_a_walk_counts_no_members() {
    let mut sim = open();
    let acme = organization("org_acme");
    for n in 0..500 {
        sim.auth0.give(&acme, id(format!("auth0|{n:03}")));
    }
    for n in 0..2 {
        let mut object = Object::new(&"a".into(), n, acme.clone(), vec![id(format!("auth0|{n:03}"))], true);
        object.observes = true;
        sim.add(object, Duration::ZERO);
    }
    sim.run(Duration::from_secs(60));
    assert_eq!(reads(&sim), 1);
    assert_eq!(fact(&sim, &Question::MemberCount { organization: "org_acme".into() }), None);
}
