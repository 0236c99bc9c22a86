//! `notBefore` and `notAfter`: nothing is sent outside of them, and what was too old to act never acts (promise 5).

use std::time::{Duration, SystemTime};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use rescind::api::{ConditionType, UserRoleRevocation};
use serde_json::{Value, json};

use crate::harness::*;
use crate::reconcile_requests::{answered, ask};

/// So many seconds from now, as the API server accepts it.
pub fn seconds_ahead(seconds: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second() + seconds).unwrap()
}

/// The same instant as somebody east of Greenwich writes it.
pub fn in_words(at: Timestamp) -> String {
    let local = at + SignedDuration::from_hours(1);
    format!("{local}").replace('Z', "+01:00")
}

fn person(n: usize) -> String {
    format!("auth0|person-{n:03}")
}

/// [`roles`] with more fields.
pub fn roles_with(user: &str, more: &Value) -> Value {
    let mut spec = roles(user);
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

/// The refusal of a change to the spec.
async fn refusal(env: &Environment, name: &str, spec: Value) -> String {
    let patch = Patch::Merge(json!({ "spec": spec }));
    let changed = env.api::<UserRoleRevocation>().patch(name, &PatchParams::default(), &patch).await;
    changed.expect_err("a refusal").to_string()
}

const CARRIED_OUT: &str = "cannot be changed any more: this object has been carried out; create a new object";
const TOO_OLD: &str = "cannot be changed any more: this object was too old to act, and never acts; create a new object";

const OBJECTS: usize = 200;

/// 200 objects for one instant, with a restart while they wait: none acts earlier, the first within a second, all of
/// them do. One is put off before its time, another is brought forward.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_before_its_time_and_all_of_it_then() {
    let env = Environment::new("scheduled").await;
    env.fake.edit(|tenant| (0..OBJECTS).for_each(|n| drop(tenant.user(person(n)).role(ROLE))));
    let operator = env.operator().await;
    env.tenant_reason("Unproved").await;
    let far = seconds_ahead(3600);
    env.put::<UserRoleRevocation>("put-off", roles_with(OTHER_USER, &json!({"notBefore": in_words(far)}))).await;
    env.put::<UserRoleRevocation>("brought-forward", roles_with(USER, &json!({"notBefore": in_words(far)}))).await;
    env.reason::<UserRoleRevocation>("brought-forward", "Scheduled").await;

    let time = seconds_ahead(8);
    let not_before = json!({"notBefore": in_words(time)});
    env.change::<UserRoleRevocation>("put-off", not_before.clone()).await;
    let put = async |n: usize| {
        let spec = roles_with(&person(n), &not_before);
        env.put::<UserRoleRevocation>(&format!("p{n:03}"), spec).await;
    };
    futures::stream::iter(0..OBJECTS).map(put).buffer_unordered(16).collect::<Vec<_>>().await;
    env.change::<UserRoleRevocation>("brought-forward", not_before.clone()).await;
    env.change::<UserRoleRevocation>("put-off", json!({"notBefore": in_words(far)})).await;
    let status = env.reason::<UserRoleRevocation>("p000", "Scheduled").await;
    assert!(status.message().contains(&in_words(time)), "{}", status.message());
    assert_eq!(status.next_attempt_time.as_ref().unwrap().0, time);
    for kind in [ConditionType::Reconciling, ConditionType::Stalled, ConditionType::Verified] {
        assert!(status.condition(kind).is_none(), "{status:?}");
    }
    operator.stop().await;
    let _operator = env.operator().await;
    env.tenant_reason("Unproved").await;
    assert_eq!(env.reason::<UserRoleRevocation>("p000", "Scheduled").await, status, "the restart left it alone");
    assert!(Timestamp::now() < time, "this machine is too slow for this test");

    for n in 0..OBJECTS {
        env.reason::<UserRoleRevocation>(&format!("p{n:03}"), "Removed").await;
    }
    env.reason::<UserRoleRevocation>("brought-forward", "Removed").await;
    env.reason::<UserRoleRevocation>("put-off", "Scheduled").await;
    let first = env.fake.calls().iter().map(|call| call.wall).min().unwrap();
    let late = first.duration_since(SystemTime::from(time)).expect("none before its time");
    assert!(late < Duration::from_secs(1), "{late:?}");
    assert_eq!(env.fake.deletes().len(), OBJECTS + 1);

    // What was carried out keeps its times, however they are changed.
    for change in [json!({"notBefore": in_words(far)}), json!({"notBefore": null}), json!({"notAfter": in_words(far)})]
    {
        let refusal = refusal(&env, "p000", change).await;
        assert!(refusal.contains(CARRIED_OUT), "{refusal}");
    }
    env.change::<UserRoleRevocation>("p000", json!({"suspend": true})).await;
    let going_on = json!({"policy": "Continuous", "notAfter": in_words(far), "suspend": false});
    env.change::<UserRoleRevocation>("p000", going_on).await;
    let status = env.reason::<UserRoleRevocation>("p000", "Removed").await;
    assert!(status.next_attempt_time.is_none(), "{status:?}");
    assert_eq!(env.fake.deletes().len(), OBJECTS + 1);
}

/// An object that came after its end is finished without a call. One whose end passes while its tenant cannot be used
/// has expired. Neither ever acts.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_never_acts() {
    let env = Environment::bare("expired").await;
    env.put_tenant(json!({})).await;
    let before = env.fake.state();
    let operator = env.operator().await;
    let past = in_words(seconds_ahead(-60));
    let replayed = roles_with(OTHER_USER, &json!({ "notAfter": past }));
    env.put::<UserRoleRevocation>("replayed", replayed).await;
    let end = seconds_ahead(2);
    env.put::<UserRoleRevocation>("expires", roles_with(OTHER_USER, &json!({"notAfter": in_words(end)}))).await;
    let status = env.reason::<UserRoleRevocation>("replayed", "NotReplayed").await;
    assert!(status.is_ready() && status.finished.is_some() && status.next_attempt_time.is_none(), "{status:?}");
    assert!(status.message().contains(&past), "{}", status.message());
    let status = env.reason::<UserRoleRevocation>("expires", "Expired").await;
    assert!(Timestamp::now() > end && status.condition(ConditionType::Stalled).is_some(), "{status:?}");
    assert!(status.message().contains(&in_words(end)), "{}", status.message());

    // The tenant becomes ready, which a third object shows.
    env.put_secret(&env.token).await;
    env.put::<UserRoleRevocation>("control", roles(USER)).await;
    env.reason::<UserRoleRevocation>("control", "Removed").await;
    let calls = env.fake.total();
    let far = in_words(seconds_ahead(3600));
    for name in ["replayed", "expires"] {
        for change in [json!({"notAfter": far}), json!({"notAfter": null}), json!({"notBefore": null, "notAfter": far})]
        {
            let refusal = refusal(&env, name, change).await;
            assert!(refusal.contains(TOO_OLD) && !refusal.contains("carried out"), "{refusal}");
        }
        let refusal = refusal(&env, name, json!({"policy": "Continuous", "notAfter": far})).await;
        assert!(refusal.contains(TOO_OLD), "{refusal}");
        // Neither a request nor another edit has it act.
        ask::<UserRoleRevocation>(&env, name, "now").await;
        answered::<UserRoleRevocation>(&env, name, "now").await;
        let edit = json!({"policy": "Continuous", "suspend": true, "mode": "Observe", "ifNotFound": "Ignore"});
        env.change::<UserRoleRevocation>(name, edit).await;
        env.change::<UserRoleRevocation>(name, json!({"policy": "Once", "suspend": false, "mode": "Remove"})).await;
    }
    env.reason::<UserRoleRevocation>("replayed", "NotReplayed").await;
    env.reason::<UserRoleRevocation>("expires", "Expired").await;
    operator.stop().await;
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("control-2", json!({"userId": USER, "roles": [OTHER_ROLE]})).await;
    env.reason::<UserRoleRevocation>("control-2", "Removed").await;
    assert_eq!(env.fake.total(), calls + 2, "the control's own: {:?}", env.calls());
    let gone = [ROLE, OTHER_ROLE].map(|role| fake_auth0::Relation::user_role(USER, role));
    env.fake.assert_removed_exactly(&before, gone);
}
