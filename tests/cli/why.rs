//! `kubectl rescind why`.

use std::collections::BTreeSet;

use fake_auth0::{EFFECTIVE_SCOPES, Fault, Kind, SETTINGS_SCOPES, Switches, Verdict};
use rescind::api::{OrgMembershipRemoval, UserPermissionRevocation, UserRoleRevocation};
use serde_json::{Value, json};

use crate::fixtures::{ORG, ROLE, USER};
use crate::harness::{Environment, OTHER_ROLE};
use crate::person::{Person, Printed};
use crate::rights::grant;

const REPORTS: &str = "https://reports.acme.com";
const READ: &str = "https://reports.acme.com:Reports:read";
const VIEWER: &str = "rol_Kd83mQ2pLx0Zt7Ws";
const TWIN: &str = "google-oauth2|112300000000000009032";
const STAFF: &str = "grp_3kVbq8Yw1mZr7TnC";

/// Jane has Reports:read through a tenant-wide role, through a role in Acme and through a group; not directly.
async fn office(name: &str) -> Environment {
    let env = Environment::new(name).await;
    env.put_tenant(json!({})).await;
    env.fake.edit(|tenant| {
        tenant.role(ROLE, "Auditor");
        tenant.role(OTHER_ROLE, "Analyst");
        tenant.role(VIEWER, "Viewer");
        for role in [ROLE, OTHER_ROLE, VIEWER] {
            tenant.role_permission(role, REPORTS, "Reports:read");
        }
        tenant.api(REPORTS, true, 86_400);
        let jane = tenant.user(USER).name("Jane Doe").email("jane@acme.com").logins_count(31);
        jane.last_login("2026-11-24T09:00:00.000Z").role(ROLE).permission(REPORTS, "Reports:write");
        tenant.organization(ORG).name("acme").display_name("Acme Inc").connection("okta-acme", true);
        tenant.organization(ORG).member_role(USER, OTHER_ROLE);
        tenant.group(STAFF).name("Staff").member(USER).role(VIEWER);
        tenant.user("auth0|other").name("John Doe").email("john@acme.com");
    });
    env
}

fn scopes(env: &Environment, more: &[&str]) -> String {
    let all = env.fake.all_scopes();
    let reads: Vec<&str> =
        all.into_iter().filter(|scope| scope.starts_with("read:")).chain(more.iter().copied()).collect();
    env.fake.token(&reads)
}

/// Somebody whose token can read everything.
fn auditor(env: &Environment) -> Person<'_> {
    let mut person = Person::admin(env);
    person.set("RESCIND_AUTH0_TOKEN", scopes(env, &[&EFFECTIVE_SCOPES[..], &SETTINGS_SCOPES].concat()));
    person.set("LC_ALL", "C.UTF-8");
    person
}

fn assert_only_read(env: &Environment) {
    assert!(env.fake.calls().iter().all(|call| call.kind.is_read()), "{:?}", env.calls());
}

fn without_heading(printed: &Printed) -> Vec<&str> {
    printed.out.lines().skip(1).collect()
}

fn effective_calls(env: &Environment) -> usize {
    env.calls().iter().filter(|call| call.contains("effective-")).count()
}

fn json_of(printed: &Printed) -> Value {
    serde_json::from_str(&printed.out).unwrap_or_else(|error| panic!("{error}: {printed:?}"))
}

/// The signs of the lines that have this text in what they are.
fn signs(node: &Value, what: &str) -> Vec<String> {
    let below = ["below", "trees"].iter().filter_map(|key| node[key].as_array()).flatten();
    let own = node["what"].as_str().is_some_and(|text| text.contains(what));
    let own = own.then(|| node["sign"].as_str().unwrap().to_owned());
    own.into_iter().chain(below.flat_map(|node| signs(node, what))).collect()
}

#[tokio::test]
async fn a_permission_has_a_tree_of_every_way() {
    let env = office("why-permission").await;
    let mut person = auditor(&env);
    env.fake.reset_calls();
    let printed = person.rescind(&["why", "jane@acme.com", "--permission", READ]).await;
    assert_eq!((printed.code, printed.err.as_str()), (0, ""), "{printed:?}");
    person.assert_golden("why-permission.txt", &printed.out);
    assert_only_read(&env);
    let calls = env.calls();
    let distinct: BTreeSet<&String> = calls.iter().collect();
    assert_eq!(distinct.len(), calls.len(), "nothing is read twice: {calls:?}");

    person.set("LC_ALL", "C");
    let ascii = person.rescind(&["why", USER, "--permission", READ, "--exit-code"]).await;
    assert_eq!(ascii.code, 1);
    assert!(ascii.out.is_ascii(), "{}", ascii.out);
    person.assert_golden("why-permission-ascii.txt", &ascii.out);
}

#[tokio::test]
async fn what_may_not_be_read_is_named_and_not_asked_for() {
    let env = office("why-blind").await;
    let mut person = auditor(&env);
    person.set("RESCIND_AUTH0_TOKEN", scopes(&env, &[]));
    env.fake.reset_calls();
    let printed = person.rescind(&["why", USER, "--permission", READ]).await;
    person.assert_golden("why-permission-blind.txt", &printed.out);
    assert_eq!(effective_calls(&env), 0, "{:?}", env.calls());

    // Which colon ends the API is seen from what the person holds; with a space it is clear.
    let nothing_held = person.rescind(&["why", "auth0|other", "--permission", READ]).await;
    assert!(nothing_held.out.contains("with a space between them to be sure"), "{}", nothing_held.out);
    let clear = person.rescind(&["why", USER, "--permission", "https://reports.acme.com Reports:read"]).await;
    assert_eq!(without_heading(&clear), without_heading(&printed));

    // The plan of the tenant may not have the effective views. That is asked once.
    person.set("RESCIND_AUTH0_TOKEN", scopes(&env, &EFFECTIVE_SCOPES));
    env.fake.set_switches(Switches { effective_views: Verdict::Refused, ..env.fake.switches() });
    env.fake.reset_calls();
    let refused = person.rescind(&["why", USER, "--permission", READ]).await;
    person.assert_golden("why-permission-refused.txt", &refused.out);
    assert_eq!(effective_calls(&env), 1, "{:?}", env.calls());

    // A token that may read next to nothing.
    person.set("RESCIND_AUTH0_TOKEN", env.fake.token(&["read:organizations"]));
    let nothing = person.rescind(&["why", USER, "--exit-code"]).await;
    person.assert_golden("why-nothing.txt", &nothing.out);
    assert_eq!(nothing.code, 1, "{nothing:?}");
    let unknown = person.rescind(&["why", USER, "--permission", READ, "--exit-code"]).await;
    assert_eq!(unknown.code, 2, "nothing is known to be left: {unknown:?}");
}

#[tokio::test]
async fn an_effective_view_that_is_not_there_or_odd_is_one_unknown_line() {
    let env = office("why-odd").await;
    let person = auditor(&env);
    let odd = json!({"roles": [{"id": VIEWER, "name": "Viewer", "sources": [{"type": "groups"}]}]});
    for (fault, says) in [
        (Fault::status(404), "not looked at: Auth0 answered 404"),
        (Fault::status(200).json(&odd), "not looked at: an entry of Auth0's list could not be read"),
    ] {
        let fault = env.fake.fault(fault.on(Kind::GetEffectiveRoles));
        env.fake.reset_calls();
        let printed = person.rescind(&["why", USER, "--role", VIEWER, "--exit-code"]).await;
        assert_eq!(printed.code, 2, "{printed:?}");
        assert!(printed.out.contains("⨉ directly") && printed.out.contains(says), "{}", printed.out);
        assert!(printed.out.contains("No way is left, 1 was not looked at."), "{}", printed.out);
        assert_eq!(effective_calls(&env), 1, "{:?}", env.calls());
        drop(fault);
        env.fake.clear_faults();
    }
}

#[tokio::test]
async fn everything_that_somebody_has() {
    let env = office("why-all").await;
    let person = auditor(&env);
    for (name, args) in [
        ("why.txt", &["why", USER][..]),
        ("why-role.txt", &["why", "Jane Doe", "--role", "Analyst"]),
        ("why-role-group.txt", &["why", USER, "--role", VIEWER]),
        ("why-org.txt", &["why", USER, "--org", "Acme Inc"]),
        ("why-org-not.txt", &["why", "auth0|other", "--org", "acme"]),
        ("why.json", &["why", USER, "--permission", READ, "-o", "json", "--tenant", "default"]),
    ] {
        let printed = person.rescind(args).await;
        assert_eq!((printed.code, printed.err.as_str()), (0, ""), "{printed:?}");
        person.assert_golden(name, &printed.out);
    }
    assert_only_read(&env);
    let coming_back = person.rescind(&["why", "auth0|other", "--org", ORG, "--exit-code"]).await;
    assert_eq!(coming_back.code, 1);
    let free = person.rescind(&["why", "auth0|other", "--role", "Auditor", "--exit-code"]).await;
    assert_eq!(free.code, 0, "{free:?}");
    env.fake.edit(|tenant| tenant.api(REPORTS, false, 86_400));
    let ungoverned = person.rescind(&["why", USER, "--permission", READ]).await;
    let first = ungoverned.out.lines().nth(2).unwrap();
    assert_eq!(first, "! permissions do not limit anything here   RBAC is off for https://reports.acme.com in Auth0");
}

#[tokio::test]
async fn objects_of_rescind_say_what_was_removed() {
    let env = office("why-objects").await;
    let person = auditor(&env);
    env.fake.edit(|tenant| drop(tenant.user(USER).permission(REPORTS, "Reports:read")));
    let permissions = json!([{"resourceServerIdentifier": REPORTS, "permissionName": "Reports:read"}]);
    env.put::<UserPermissionRevocation>("jane-reports", json!({"userId": USER, "permissions": permissions})).await;
    let later = json!({"userId": USER, "roles": [ROLE], "notBefore": "2099-12-31T17:00:00Z"});
    env.put::<UserRoleRevocation>("jane-auditor", later).await;
    env.put::<OrgMembershipRemoval>("others", json!({"organizationId": ORG, "members": ["auth0|other"]})).await;
    let operator = env.operator().await;
    env.reason::<UserPermissionRevocation>("jane-reports", "Removed").await;
    env.reason::<UserRoleRevocation>("jane-auditor", "Scheduled").await;
    operator.stop().await;
    let printed = person.rescind(&["why", USER, "--permission", READ]).await;
    person.assert_golden("why-objects.txt", &printed.out);
    env.fake.edit(|tenant| drop(tenant.user(USER).permission(REPORTS, "Reports:read")));
    let again = person.rescind(&["why", USER]).await;
    person.assert_golden("why-objects-again.txt", &again.out);

    // Somebody who may read the tenant, and no objects.
    grant(&env, "eve", &[("rescind.dev", &["auth0tenants"], &["get"])]).await;
    let eve = person.rescind(&["why", USER, "--role", ROLE, "--as", "eve"]).await;
    assert_eq!(eve.code, 0, "{eve:?}");
    assert!(eve.out.contains("Objects of Rescind were not looked at: you may not list"), "{}", eve.out);
}

/// The commands are what `new` takes: they are run as printed, and what they write would remove what `why` had shown.
#[tokio::test]
async fn the_commands_are_taken_as_they_are_printed() {
    let env = office("why-commands").await;
    let person = auditor(&env);
    let printed = person.rescind(&["why", USER, "-o", "json"]).await;
    fn commands(node: &Value) -> BTreeSet<String> {
        let below = ["below", "trees"].iter().filter_map(|key| node[key].as_array()).flatten();
        let own = node["command"].as_str().map(str::to_owned);
        own.into_iter().chain(below.flat_map(commands)).collect()
    }
    let commands = commands(&json_of(&printed)["accounts"][0]);
    assert_eq!(commands.len(), 8, "all but the way through a group: {commands:#?}");
    for command in commands {
        let script = format!("kubectl() {{ printf '%s\\n' \"$@\"; }}; {command}");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = words.lines().collect();
        assert_eq!(words[0], "rescind", "{command}");
        let written = person.rescind(&words[1..]).await;
        assert_eq!(written.code, 0, "{command}: {written:?}");
        let plan = ["rescind", "plan", "-n", &env.namespace, "-f", "-", "-o", "json"];
        let plan = json_of(&person.kubectl_in(std::path::Path::new("."), &plan, &written.out).await);
        let items = plan["tenants"][0]["objects"].as_array().unwrap().iter();
        let signs: Vec<&Value> =
            items.flat_map(|object| object["items"].as_array().unwrap()).map(|item| &item["sign"]).collect();
        assert_eq!(signs, ["remove"], "{command}: {plan:#}");
    }
}

#[tokio::test]
async fn several_accounts_are_listed_and_nothing_else_is_done() {
    let env = office("why-several").await;
    let person = auditor(&env);
    env.fake.edit(|tenant| {
        let twin = tenant.user(TWIN).name("Jane Doe").email("jane@acme.com").logins_count(2);
        drop(twin.last_login("2024-02-02T10:00:00.000Z"));
    });
    for (text, name) in [("jane@acme.com", "email"), ("Jane@Acme.com", "capitals"), ("Jane Doe", "name")] {
        env.fake.reset_calls();
        let printed = person.rescind(&["why", text]).await;
        assert_eq!((printed.code, printed.out.as_str()), (1, ""), "{printed:?}");
        person.assert_golden(&format!("why-several-{name}.txt"), &printed.err);
        assert!(env.calls().len() <= 2);
    }
    assert_eq!(person.rescind(&["why", "Jane Doe", "--exit-code"]).await.code, 2, "not clear is no answer");
    let both = person.rescind(&["why", "Jane Doe", "--role", "Auditor", "--all-accounts"]).await;
    person.assert_golden("why-all-accounts.txt", &both.out);
    for (person_text, says) in [
        ("auth0|nobody", "Auth0 knows no user auth0|nobody"),
        ("nobody@acme.com", "no account has the e-mail address nobody@acme.com"),
        ("Nobody", "no account has exactly the name Nobody"),
    ] {
        let printed = person.rescind(&["why", person_text]).await;
        assert_eq!(printed.code, 1);
        assert!(printed.err.contains(says), "{printed:?}");
    }
    for (args, says) in [
        (["--role", "auditor"], "there is no role named exactly auditor; do you mean Auditor (rol_"),
        (["--org", "Acme"], "do you mean Acme Inc (org_"),
        (["--permission", "https://other.acme.com:read"], "knows no API with the identifier https://other.acme.com"),
    ] {
        let printed = person.rescind(&[&["why", USER][..], &args].concat()).await;
        assert_eq!(printed.code, 1);
        assert!(printed.err.contains(says), "{printed:?}");
    }
    assert_eq!(person.rescind(&["why", USER, "--permission", "read"]).await.code, 2);
    assert_eq!(person.rescind(&["why", USER, "--role", "a", "--org", "b"]).await.code, 2);
}

#[tokio::test]
async fn linked_and_blocked_accounts_are_mentioned() {
    let env = office("why-linked").await;
    let person = auditor(&env);
    env.fake.edit(|tenant| drop(tenant.user(USER).linked(TWIN).blocked(true)));
    let printed = person.rescind(&["why", USER, "-o", "json"]).await;
    let json = json_of(&printed);
    let notes = json["accounts"][0]["notes"].to_string();
    assert!(notes.contains(TWIN) && notes.contains("is blocked"), "{notes}");
    let all = &json["accounts"][0];
    assert_eq!(signs(all, "role Viewer"), ["held", "held"], "as a role, and as a way to a permission");
    assert_eq!(all["left"], 9, "each way is counted once");
}
