//! The commands for people leave Auth0 to its users: they are slow, keep away from the reserve, wait out a 429, and
//! take nothing that they could not read for an answer.

use std::time::{Duration, Instant};

use fake_auth0::{Bucket, Fault, Group, Kind};
use rescind::api::UserRoleRevocation;
use serde_json::json;

use crate::fixtures::{ROLE, USER};
use crate::harness::Environment;
use crate::person::Person;

/// An object for each of so many people who hold the role.
async fn crowd(env: &Environment, people: usize) {
    for number in 0..people {
        let user = format!("auth0|crowd{number}");
        env.fake.edit(|tenant| _ = tenant.user(user.clone()).role(ROLE));
        env.put::<UserRoleRevocation>(&format!("crowd-{number}"), json!({"userId": user, "roles": [ROLE]})).await;
    }
    env.fake.reset_calls();
}

/// The operator leaves half of the bucket alone here, so a person leaves it whole but for the tenth that is the most
/// that can be kept away from.
#[tokio::test(flavor = "multi_thread")]
async fn twice_the_reserve_is_left_alone() {
    let env = Environment::new("manners-reserve").await;
    env.put_tenant(json!({"rateLimit": {"maxRequestsPerSecond": 1000, "reservePercent": 30}})).await;
    crowd(&env, 12).await;
    env.fake.limit(Group::UsersRead, Bucket::new(20, 4.0));
    let person = Person::admin(&env);
    let planned = person.rescind(&["plan", "--all", "--names", "never"]).await;
    assert!(planned.code == 0 && planned.out.contains("12 would be removed"), "{planned:?}");
    let calls = env.fake.calls_to(Kind::GetUserRoles);
    assert!(calls.len() == 12 && calls.iter().all(|call| call.status() == Some(200)), "{:?}", env.calls());
    // Sixty percent are left alone, so eight go at once and the other four at four a second.
    let took = calls.last().unwrap().at.duration_since(calls[0].at);
    assert!(took >= Duration::from_millis(700), "{took:?}");
}

/// Two calls a second, unless more are asked for, and never more than the tenant allows.
#[tokio::test(flavor = "multi_thread")]
async fn two_calls_a_second_are_the_default() {
    let env = Environment::new("manners-rate").await;
    crowd(&env, 5).await;
    let mut person = Person::admin(&env);
    person.set("RESCIND_MAX_REQUESTS_PER_SECOND", "2");
    let began = Instant::now();
    let planned = person.rescind(&["plan", "--all", "--names", "never"]).await;
    let took = began.elapsed();
    assert_eq!(planned.code, 0, "{planned:?}");
    // Half a second lies between two calls as they are sent; a busy machine can only add to that.
    assert_eq!(env.fake.calls_to(Kind::GetUserRoles).len(), 5);
    assert!(took >= Duration::from_millis(1950), "{took:?}");
    let help = person.rescind(&["plan", "--help"]).await;
    assert!(help.out.contains("default: 2"), "{}", help.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_429_is_waited_out_and_an_outage_is_not_an_answer() {
    let env = Environment::new("manners-429").await;
    env.put::<UserRoleRevocation>("jane", json!({"userId": USER, "roles": [ROLE]})).await;
    let person = Person::admin(&env);
    let plan = ["plan", "urr/jane", "--names", "never"];
    env.fake.reset_calls();
    env.fake.fault(Fault::status(429).header("retry-after", "1").on(Kind::GetUserRoles).times(1));
    let limited = person.rescind(&plan).await;
    assert!(limited.code == 0 && limited.out.contains("     -  role"), "{limited:?}");
    let calls = env.fake.calls_to(Kind::GetUserRoles);
    assert_eq!(calls.len(), 2, "{:?}", env.calls());
    assert!(calls[1].at.duration_since(calls[0].at) >= Duration::from_secs(1));

    // What the filter of a company says is no answer of Auth0, and a page that cannot be read holds nothing for sure.
    for fault in [Fault::html(200), Fault::status(200).json(&json!({"roles": [{"name": "without an id"}], "total": 1}))]
    {
        let handle = env.fake.fault(fault.on(Kind::GetUserRoles));
        let blind = person.rescind(&[&plan[..], &["--exit-code"]].concat()).await;
        assert!(blind.code == 1 && blind.out.contains("     ?  role"), "{blind:?}");
        assert!(blind.out.contains("0 are not there"), "{blind:?}");
        drop(handle);
        env.fake.clear_faults();
    }
    assert!(env.fake.calls().iter().all(|call| call.kind.is_read()));
}

/// A token for another tenant, or with a domain that is not allowed, is not sent at all.
#[tokio::test]
async fn a_token_goes_nowhere_else() {
    let env = Environment::new("manners-token").await;
    env.put::<UserRoleRevocation>("jane", json!({"userId": USER, "roles": [ROLE]})).await;
    let mut person = Person::admin(&env);
    person.set("RESCIND_ALLOWED_DOMAINS", "*.auth0.com");
    env.fake.reset_calls();
    let elsewhere = person.rescind(&["plan", "urr/jane"]).await;
    assert!(elsewhere.out.contains("is not among the domains"), "{elsewhere:?}");
    person.set("RESCIND_ALLOWED_DOMAINS", env.fake.domain());
    let other = fake_auth0::FakeAuth0::start().await;
    let token = other.token(&other.all_scopes());
    person.set("RESCIND_AUTH0_TOKEN", token.clone());
    let stranger = person.rescind(&["plan", "urr/jane"]).await;
    assert!(stranger.out.contains("RESCIND_AUTH0_TOKEN: the token"), "{stranger:?}");
    assert!(!format!("{stranger:?}{elsewhere:?}").contains(&token), "no token is shown");
    assert_eq!(env.fake.total() + other.total(), 0, "nothing was sent");
}
