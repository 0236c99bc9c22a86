//! `kubectl rescind new`.

use rescind::api::{OrgMembershipRemoval, UserRoleRevocation};
use serde_json::{Value, json};

use crate::fixtures::{API, ORG, ROLE, USER};
use crate::harness::{Environment, OTHER_ROLE, OTHER_USER};
use crate::person::Person;
use crate::terminal::Terminal;

/// A tenant in which two accounts share an address.
async fn office(name: &str) -> Environment {
    let env = Environment::new(name).await;
    env.fake.edit(|tenant| {
        tenant.role(ROLE, "Admin");
        tenant.role(OTHER_ROLE, "Billing viewer");
        tenant.user(USER).name("Li Wei").email("li.wei@acme.com").permission_via(API, "read:z", ROLE);
        tenant
            .user(OTHER_USER)
            .name("Jane Doe")
            .email("jane@acme.com")
            .logins_count(31)
            .last_login("2026-11-24T08:00:00Z");
        tenant
            .user("auth0|second")
            .name("Jane Doe")
            .email("jane@acme.com")
            .logins_count(2)
            .last_login("2024-02-02T08:00:00Z");
        tenant.organization(ORG).name("acme").display_name("Acme Inc");
    });
    env.fake.reset_calls();
    env
}

fn only_reads(env: &Environment) {
    assert!(env.fake.calls().iter().all(|call| call.kind.is_read()), "{:?}", env.calls());
}

#[tokio::test]
async fn what_is_not_clear_writes_nothing() {
    let env = office("new-unclear").await;
    let person = Person::admin(&env);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("leavers");
    let args =
        ["new", "li.wei@acme.com", "jane@acme.com", "nobody@acme.com", "--everything", "--dir", dir.to_str().unwrap()];
    let printed = person.rescind(&args).await;
    assert_eq!((printed.code, printed.out.as_str()), (1, ""), "{printed:?}");
    person.assert_golden("new-unclear.txt", &printed.err);
    assert!(!dir.exists(), "nothing was written");
    only_reads(&env);
}

/// What `new --everything` writes, plan marks `-` and nothing else; after the removal, `=` and nothing else.
#[tokio::test]
async fn everything_goes_round() {
    let env = office("new-everything").await;
    let person = Person::admin(&env);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("leavers");
    let dir = dir.to_str().unwrap();
    let args =
        ["new", "Li.Wei@acme.com", "auth0|second", OTHER_USER, "--everything", "--dir", dir, "--batch", "2026-11-25"];
    let written = person.rescind(&args).await;
    assert_eq!(written.code, 0, "{written:?}");
    person.assert_golden("new-everything.err.txt", &written.err.replace(dir, "leavers"));
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    person.assert_golden("new-everything.yaml", &text);
    only_reads(&env);

    let signs = async |person: &Person<'_>| {
        let plan = person.rescind(&["plan", "-f", dir, "-o", "json"]).await;
        assert_eq!(plan.code, 0, "{plan:?}");
        serde_json::from_str::<Value>(&plan.out).unwrap()["counts"].clone()
    };
    assert_eq!(signs(&person).await, json!({"remove": 9}));
    let again = person.rescind(&args).await;
    assert_eq!(again.code, 0, "the same files are written again: {again:?}");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), files.len());

    let applied = person.kubectl(&["apply", "-n", &env.namespace, "-f", dir]).await;
    assert_eq!(applied.code, 0, "{applied:?}");
    let operator = env.operator().await;
    let waited =
        ["wait", "-n", &env.namespace, "--for=condition=Ready", "-l", "rescind.dev/batch=2026-11-25", "--timeout=40s"];
    let waited = person.kubectl(&[&waited[..], &["urr,upr,omr,omrr"]].concat()).await;
    assert_eq!(waited.code, 0, "{waited:?}");
    operator.stop().await;
    assert_eq!(signs(&person).await, json!({"absent": 9}));
    let gone = person.rescind(&["new", "li.wei@acme.com", "--everything"]).await;
    assert!(gone.err.contains("hold nothing that could be taken away"), "{gone:?}");
}

#[tokio::test]
async fn roles_and_organizations_are_named() {
    let env = office("new-names").await;
    let person = Person::admin(&env);
    let one = person.rescind(&["new", "li.wei@acme.com", "--org", "Acme Inc", "--role", "Billing viewer"]).await;
    assert_eq!(one.code, 0, "{one:?}");
    person.assert_golden("new-member-role.yaml", &one.out);
    let unknown = person.rescind(&["new", "li.wei@acme.com", "--role", "billing"]).await;
    assert_eq!((unknown.code, unknown.out.as_str()), (1, ""));
    assert!(unknown.err.contains("do you mean Billing viewer"), "{unknown:?}");
    let permission = format!("{API}:read:x");
    let bare = person.rescind(&["new", USER, "--permission", &format!("{API} read:x"), "--no-names"]).await;
    assert!(bare.out.contains("permissionName: \"read:x\"") && !bare.out.contains("Li Wei"), "{bare:?}");
    let held = person.rescind(&["new", USER, "--permission", &permission]).await;
    assert!(held.out.contains("permissionName: \"read:x\""), "what somebody holds needs no look-up: {held:?}");
    let unsure = person.rescind(&["new", USER, "--permission", "https://other/:read:x"]).await;
    assert!(unsure.err.contains("with a space between them"), "the token may not ask for APIs: {unsure:?}");
    let without = person.rescind(&["new", USER]).await;
    assert_eq!(without.code, 2);
    assert!(without.err.contains("say what to take away"), "{without:?}");
    only_reads(&env);
}

#[tokio::test]
async fn lists_of_leavers_are_read() {
    let env = office("new-lists").await;
    let person = Person::admin(&env);
    let folder = tempfile::tempdir().unwrap();
    let list = "Employee No;Last name;Work e-mail\n004711;\"Wei; Dr.\";Li.Wei@acme.com\n";
    std::fs::write(folder.path().join("hr.csv"), list).unwrap();
    let args = ["rescind", "new", "-n", &env.namespace, "--org", ORG, "--from"];
    let read = person.kubectl_in(folder.path(), &[&args[..], &["hr.csv"]].concat(), "").await;
    assert_eq!(read.code, 0, "{read:?}");
    assert!(read.out.contains(&format!("organizationId: {ORG}")) && read.out.contains(USER), "{read:?}");
    let piped =
        person.kubectl_in(folder.path(), &[&args[..], &["-"]].concat(), "email\nli.wei@acme.com\nnobody\n").await;
    assert_eq!((piped.code, piped.out.as_str()), (1, ""));
    assert!(
        piped.err.contains("standard input: line 3: \"nobody\" is neither a user id nor an e-mail address"),
        "{piped:?}"
    );
    let attributes = json!({"user_id": USER, "roles": [ROLE]});
    let resource = json!({"type": "auth0_user_roles", "instances": [{"attributes": attributes}]});
    let state = json!({"resources": [resource]});
    std::fs::write(folder.path().join("terraform.tfstate"), state.to_string()).unwrap();
    let args = ["rescind", "new", "-n", &env.namespace, "--from", "terraform.tfstate"];
    let all = person.kubectl_in(folder.path(), &args, "").await;
    assert_eq!(all.code, 2, "a state names everybody: {all:?}");
    let one = person.kubectl_in(folder.path(), &[&args[..], &[USER]].concat(), "").await;
    assert!(one.code == 0 && one.out.contains("kind: UserRoleRevocation"), "{one:?}");
}

#[tokio::test]
async fn many_people_have_to_be_confirmed() {
    let env = office("new-many").await;
    let person = Person::admin(&env);
    let ids: Vec<String> = (0..26).map(|n| format!("auth0|many{n}")).collect();
    env.fake.edit(|tenant| ids.iter().for_each(|id| _ = tenant.user(id.clone()).role(ROLE)));
    let mut args = vec!["new", "--role", ROLE, "--apply"];
    args.extend(ids.iter().map(String::as_str));
    let asked = person.rescind(&args).await;
    assert_eq!(asked.code, 2, "{asked:?}");
    assert!(asked.err.contains(&format!("--confirm {}", env.fake.domain())), "{asked:?}");
    args.extend(["--confirm", env.fake.domain()]);
    let applied = person.rescind(&args).await;
    assert_eq!((applied.code, applied.out.lines().count()), (0, 26), "{applied:?}");
    let objects: kube::Api<UserRoleRevocation> = env.api();
    let stored = objects.list(&kube::api::ListParams::default()).await.unwrap();
    assert_eq!(stored.items.len(), 26);
    let text = serde_json::to_string(&stored.items).unwrap();
    assert!(!text.contains("Admin"), "names stay out of the cluster");
    let again = person.rescind(&args).await;
    assert_eq!(again.code, 0, "the same again changes nothing: {again:?}");
    assert_eq!(objects.list(&kube::api::ListParams::default()).await.unwrap().items.len(), 26);
}

#[tokio::test]
async fn at_a_terminal_it_asks() {
    let env = office("new-picker").await;
    let person = Person::admin(&env);
    let mut terminal = Terminal::start(&person, &["rescind", "new", "-n", &env.namespace]);
    terminal.expect("Who?").await;
    terminal.send("jane@acme.com\r").await;
    terminal.expect("Several accounts").await;
    terminal.expect(OTHER_USER).await;
    // Those of auth0 come first.
    terminal.send("\u{1b}[B\r").await;
    terminal.expect("What does Jane Doe").await;
    // A list is drawn after its prompt.
    terminal.expect("role Admin").await;
    terminal.expect("membership in Acme Inc").await;
    let shown = terminal.seen();
    assert!(!shown.contains("[x]"), "nothing is ticked: {shown}");
    terminal.send("\u{1b}[B \r").await;
    terminal.expect("And then?").await;
    terminal.expect("apply them in the cluster").await;
    terminal.send("\u{1b}[B\u{1b}[B\r").await;
    let (code, seen) = terminal.end().await;
    assert_eq!(code, 0, "{seen}");
    let stored = env.api::<OrgMembershipRemoval>().list(&kube::api::ListParams::default()).await.unwrap();
    let members: Vec<&str> =
        stored.items.iter().flat_map(|object| &object.spec.members).map(|id| id.as_str()).collect();
    assert_eq!(members, [OTHER_USER], "{seen}");
    only_reads(&env);

    let mut leaves = Terminal::start(&person, &["rescind", "new", "-n", &env.namespace]);
    leaves.expect("Who?").await;
    leaves.send("\r").await;
    let (code, seen) = leaves.end().await;
    assert!(code == 1 && seen.contains("nothing was written"), "{seen}");
}
