//! `retry`, `stop` and `resume`.

use rescind::api::{Auth0Tenant, UserRoleRevocation};
use serde_json::{Value, json};

use crate::harness::*;
use crate::person::Person;
use crate::terminal::Terminal;

/// The managers of the fields of an object, but for the test's own.
fn managers(object: &UserRoleRevocation) -> Vec<String> {
    let entries = object.metadata.managed_fields.iter().flatten();
    entries.filter_map(|entry| entry.manager.clone()).filter(|name| name != "test").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_answered() {
    let env = Environment::new("retry").await;
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", json!({"userId": "auth0|later", "roles": [ROLE]})).await;
    env.reason::<UserRoleRevocation>("jane", "SubjectNotFound").await;
    let person = Person::admin(&env);
    let again = person.rescind(&["retry", "urr/jane"]).await;
    assert_eq!(again.code, 1, "it is still stalled: {again:?}");
    assert!(again.out.contains("UserRoleRevocation/jane  SubjectNotFound"), "{again:?}");

    env.fake.edit(|tenant| {
        tenant.user("auth0|later").role(ROLE);
    });
    let done = person.rescind(&["retry", "urr/jane", "-o", "json"]).await;
    let json: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((done.code, &json["objects"][0]["reason"]), (0, &json!("Removed")), "{done:?}");
    operator.stop().await;

    let late = person.rescind(&["retry", "urr/jane", "--timeout", "1s"]).await;
    assert!(late.code == 1 && late.err.contains("has not answered for 1 object"), "{late:?}");
    let unasked = person.rescind(&["retry", "urr/jane", "--wait=false"]).await;
    assert!(unasked.code == 0 && unasked.out.ends_with("requested\n"), "{unasked:?}");
    let both = person.rescind(&["retry", "urr/jane", "-l", "a=b"]).await;
    assert_eq!((both.code, person.rescind(&["retry"]).await.code), (2, 2), "{both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_goes_on_when_it_is_resumed() {
    let env = Environment::new("stop").await;
    let _operator = env.operator().await;
    let person = Person::admin(&env);
    env.put::<UserRoleRevocation>("jane", json!({"userId": USER, "roles": [ROLE], "suspend": true})).await;
    env.reason::<UserRoleRevocation>("jane", "Suspended").await;
    let held = person.rescind(&["stop", "urr/jane", "--reason", "handover", "--until", "2999-12-24T00:00:00Z"]).await;
    assert_eq!(held.code, 0, "{held:?}");
    person.assert_golden("stop.txt", &format!("{}{}", held.out, held.err));
    let object = env.wait::<UserRoleRevocation>("jane", |object| object.spec.options.hold.is_some()).await;
    assert!(managers(&object).contains(&"kubectl-rescind".to_owned()), "{:?}", managers(&object));

    let resumed = person.rescind(&["resume", "urr/jane"]).await;
    assert!(resumed.code == 0 && resumed.out.contains("goes on"), "{resumed:?}");
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_stopped_as_a_whole() {
    let env = Environment::new("stop-all").await;
    let _operator = env.operator().await;
    let person = Person::admin(&env);
    let stopped = person.rescind(&["stop", "--tenant", "default", "--reason", "wrong list"]).await;
    assert_eq!(stopped.code, 0, "{stopped:?}");
    env.tenant_reason("Suspended").await;
    let tenant = env.wait::<Auth0Tenant>("default", |tenant| tenant.spec.tenant.suspend).await;
    assert_eq!(tenant.metadata.annotations.unwrap()["rescind.dev/stop-reason"], "wrong list");
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Suspended").await;
    assert_eq!(env.calls(), Vec::<String>::new());
    let resumed = person.rescind(&["resume", "--tenant", "default"]).await;
    assert_eq!(resumed.code, 0, "{resumed:?}");
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    let tenant = env.wait::<Auth0Tenant>("default", |tenant| !tenant.spec.tenant.suspend).await;
    assert_eq!(tenant.metadata.annotations.unwrap_or_default().get("rescind.dev/stop-reason"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_objects_are_not_changed_unasked() {
    let env = Environment::new("stop-many").await;
    let objects = (0..26).map(|n| {
        json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
            "metadata": {"name": format!("leaver-{n}"), "namespace": env.namespace, "labels": {"batch": "x"}},
            "spec": {"userId": format!("auth0|{n}"), "roles": [ROLE]},
        })
    });
    env.plane
        .apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>()}).to_string())
        .unwrap();
    let person = Person::admin(&env);
    let stop = ["stop", "-l", "batch=x", "--reason", "wrong list", "--until", "1h"];
    let refused = person.rescind(&stop).await;
    assert!(refused.code == 2 && refused.err.contains("stop 26 objects: add --yes"), "{refused:?}");
    let done = person.rescind(&[&stop[..], &["--yes"]].concat()).await;
    assert_eq!((done.code, done.out.lines().count()), (0, 26), "{done:?}");
    // At a terminal the namespace has to be typed.
    let at_terminal = [&["rescind"], &["resume", "-l", "batch=x", "-n", &env.namespace][..]].concat();
    for (typed, code) in [("yes", 1), (env.namespace.as_str(), 0)] {
        let mut terminal = Terminal::start(&person, &at_terminal);
        terminal.expect("resume 26 objects").await;
        terminal.send(&format!("{typed}\n")).await;
        let (ended, seen) = terminal.end().await;
        assert_eq!(ended, code, "{seen}");
    }
    let none = person.rescind(&["stop", "-l", "batch=y", "--reason", "x"]).await;
    assert!(none.code == 1 && none.err.contains("nothing is selected"), "{none:?}");
    assert_eq!(env.calls(), Vec::<String>::new());
}
