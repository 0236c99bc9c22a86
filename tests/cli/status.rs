use rescind::api::{OrgMembershipRemoval, UserRoleRevocation};
use serde_json::{Value, json};

use crate::harness::*;
use crate::person::Person;
use crate::rights::grant;

const EMAIL: &str = "jane@acme.com";

/// Objects in each column but `unproved`, `gone` and `waiting`, by a real operator.
async fn world(name: &str) -> (Environment, Operator) {
    let env = Environment::new(name).await;
    env.fake.edit(|tenant| {
        tenant.user(USER).email(EMAIL).name("Jane Doe");
    });
    let operator = env.operator().await;
    let spec = |user: &str, more: Value| {
        let mut spec = roles(user);
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    env.put::<UserRoleRevocation>("jane-roles", spec(USER, json!({}))).await;
    env.reason::<UserRoleRevocation>("jane-roles", "Removed").await;
    env.put::<UserRoleRevocation>("jane-again", spec(USER, json!({"verification": "BeforeAndAfter"}))).await;
    env.reason::<UserRoleRevocation>("jane-again", "AlreadyAbsent").await;
    env.put::<UserRoleRevocation>("joe-later", spec(OTHER_USER, json!({"notBefore": "2999-01-01T00:00:00Z"}))).await;
    env.reason::<UserRoleRevocation>("joe-later", "Scheduled").await;
    env.put::<UserRoleRevocation>("joe-look", spec(OTHER_USER, json!({"mode": "Observe"}))).await;
    env.reason::<UserRoleRevocation>("joe-look", "WouldRemove").await;
    env.put::<UserRoleRevocation>("typo", spec("auth0|nobody", json!({}))).await;
    env.reason::<UserRoleRevocation>("typo", "SubjectNotFound").await;
    env.put::<OrgMembershipRemoval>("acme", json!({"organizationId": ORG, "members": [USER]})).await;
    env.reason::<OrgMembershipRemoval>("acme", "Removed").await;
    env.tenant_reason("Connected").await;
    (env, operator)
}

/// The text without what differs from run to run: spans, whatever their unit, and what the brake has counted by then.
pub fn without_spans(text: &str) -> String {
    let is_number = |word: &str| word.trim_start_matches('(').parse::<u64>().is_ok();
    let line = |line: &str| {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for at in 1..words.len() {
            let unit = words[at].trim_end_matches([')', ',']).to_owned();
            if words[at - 1] == "brake" && is_number(&words[at]) {
                words[at] = "N".to_owned();
            } else if ["s", "min", "h", "d"].contains(&&*unit) && is_number(&words[at - 1]) {
                words[at] = words[at].replacen(&unit, "WHILE", 1);
                words[at - 1] = if words[at - 1].starts_with('(') { "(A".to_owned() } else { "A".to_owned() };
            }
        }
        words.join(" ").trim_end().to_owned() + "\n"
    };
    text.lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_summed_up() {
    let (env, operator) = world("status").await;
    operator.stop().await;
    let calls = env.calls().len();
    let person = Person::admin(&env);
    let namespace = ["--operator-namespace", env.namespace.as_str()];

    let all = person.rescind(&[&["status"], &namespace[..]].concat()).await;
    assert_eq!(all.code, 0, "{all:?}");
    person.assert_golden("status.txt", &without_spans(&all.out));

    let json = person.rescind(&[&["status", "-o", "json"], &namespace[..]].concat()).await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    let urr = json["kinds"].as_array().unwrap().iter().find(|kind| kind["short"] == "urr").unwrap();
    assert_eq!(
        (&json["schemaVersion"], &urr["short"], &urr["objects"]),
        (&json!(1), &json!("urr"), &json!(5)),
        "{json:#}"
    );
    let columns = ["proved", "absent", "held", "observed", "stalled", "waiting", "unproved", "gone"];
    let counts = columns.map(|column| urr[column].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1, 1, 1, 0, 0, 0]);

    let person_by_id = person.rescind(&[&["status", USER], &namespace[..]].concat()).await;
    person.assert_golden("status-person.txt", &without_spans(&person_by_id.out));
    assert_eq!(env.calls().len(), calls, "an id costs no call to Auth0");

    let status = env.reason::<UserRoleRevocation>("jane-roles", "Removed").await;
    let one = person.rescind(&[&["status", "urr/jane-roles"], &namespace[..]].concat()).await;
    let correlation = status.correlation_id.unwrap();
    person.assert_golden("status-object.txt", &without_spans(&one.out.replace(&correlation, "CORRELATION")));
    assert_eq!(env.calls().len(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_looked_up_by_one_call() {
    let (env, operator) = world("email").await;
    operator.stop().await;
    let calls = env.calls().len();
    let person = Person::admin(&env);
    let by_id = person.rescind(&["status", USER]).await;
    let by_email = person.rescind(&["status", EMAIL]).await;
    assert_eq!(by_email.code, 0, "{by_email:?}");
    let same = |text: &str| {
        without_spans(text).lines().filter(|line| line.starts_with(' ')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(same(&by_email.out), same(&by_id.out), "{by_email:?}");
    assert!(by_email.out.contains("Jane Doe"), "{by_email:?}");
    let new: Vec<String> = env.calls().split_off(calls);
    assert!(new.len() == 1 && new[0].contains("GET /api/v2/users-by-email"), "{new:#?}");

    let nobody = person.rescind(&["status", "nobody@acme.com"]).await;
    assert!(nobody.code == 1 && nobody.err.contains("no account"), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_the_verdict() {
    let (env, _operator) = world("watch").await;
    let person = Person::admin(&env);
    let ready = person.rescind(&["status", "urr/jane-roles", "omr/acme", "--watch"]).await;
    assert_eq!(ready.code, 0, "{ready:?}");
    assert!(ready.out.contains("urr/jane-roles  Removed") && ready.out.ends_with("2 objects: Ready\n"), "{ready:?}");
    let stalled = person.rescind(&["status", "urr/jane-roles", "urr/typo", "--watch"]).await;
    assert_eq!(stalled.code, 1, "{stalled:?}");
    let late = person.rescind(&["status", "urr/joe-later", "--watch", "--timeout", "1s"]).await;
    assert!(late.code == 1 && late.err.contains("timed out: 1 object is not decided yet"), "{late:?}");
    let none = person.rescind(&["status", "-l", "a=b", "--watch"]).await;
    assert!(none.code == 2 && none.err.contains("nothing to wait for"), "{none:?}");

    // What is decided while it waits is printed, and ends the wait.
    let waiting = person.rescind(&["status", "urr/joe-later", "--watch", "--timeout", "1m"]);
    let edit = async {
        env.change::<UserRoleRevocation>("joe-later", json!({"notBefore": null})).await;
    };
    let (decided, ()) = tokio::join!(waiting, edit);
    assert!(decided.code == 0 && decided.out.contains("urr/joe-later  Removed"), "{decided:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_named() {
    let env = Environment::new("few").await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    grant(&env, "clerk", &[("rescind.dev", &["userrolerevocations"], &["list"])]).await;
    let person = Person::admin(&env);
    let seen = person.rescind(&["status", "--as", "clerk", "--operator-namespace", "elsewhere"]).await;
    assert_eq!(seen.code, 0, "{seen:?}");
    person.assert_golden("status-few-rights.txt", &without_spans(&seen.out));
    let nothing = person.rescind(&["status", "--as", "nobody"]).await;
    assert!(nothing.code == 1 && nothing.err.contains("you may not list"), "{nothing:?}");
    assert_eq!(env.calls(), Vec::<String>::new());
}
