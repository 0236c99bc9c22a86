//! What goes wrong when somebody tries the commands for the first time: every mistake has a message that says what to
//! do.

use std::net::TcpListener;
use std::process::Stdio;

use kube::api::{Patch, PatchParams};
use rescind::api::{Auth0Tenant, ClusterAuth0Tenant};
use serde_json::{Value, json};

use crate::fixtures::tenant_spec;
use crate::harness::*;
use crate::person::{Person, Printed};
use crate::rights::grant;
use crate::terminal::Terminal;

const JANE: &str = "jane@acme.com";

async fn office(name: &str) -> Environment {
    let env = Environment::new(name).await;
    env.fake.edit(|tenant| {
        tenant.role(ROLE, "Admin");
        tenant.user(USER).name("Jane Doe").email(JANE);
    });
    env
}

/// The command has failed with this exit code and these words on standard error, and nothing on standard output.
fn assert_failed(printed: &Printed, code: i32, says: &str) {
    assert!(printed.code == code && printed.out.is_empty(), "{says}: {printed:?}");
    assert!(printed.err.contains(says) && !printed.err.contains("panicked"), "{says}: {printed:?}");
}

/// A kubeconfig like that of the environment, with another server or another user.
fn kubeconfig(env: &Environment, server: Option<&str>, user: Option<Value>) -> tempfile::NamedTempFile {
    let text = std::fs::read_to_string(env.plane.kubeconfig_path()).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    if let Some(server) = server {
        config["clusters"][0]["cluster"]["server"] = json!(server);
    }
    if let Some(user) = user {
        config["users"][0]["user"] = user;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config.to_string()).unwrap();
    file
}

#[tokio::test]
async fn a_wrong_command_line_is_refused_before_anything_is_read() {
    let env = office("usage").await;
    let person = Person::admin(&env);
    let label = "x".repeat(64);
    for (args, says) in [
        (
            &["new", JANE, "--everything", "--batch", "leavers of May"][..],
            "'--batch <LABEL>': write at most 63 letters",
        ),
        (&["new", JANE, "--everything", "--batch", &label], "write at most 63 letters"),
        (&["new", JANE, "--everything", "--batch=-x"], "write at most 63 letters"),
        (&["new", "", "--everything"], "it is empty"),
        (&["new", JANE, "--role", ""], "'--role <ROLE>': it is empty"),
        (&["new", JANE, "--role", "Admin", "--not-after", "2020-01-01T00:00:00Z"], "--not-after has passed"),
        (
            &[
                "new",
                JANE,
                "--role",
                "A",
                "--not-before",
                "2999-01-02T00:00:00Z",
                "--not-after",
                "2999-01-01T00:00:00Z",
            ],
            "--not-after is before --not-before",
        ),
        (&["new"], "name the people"),
        (&["new", JANE], "say what to take away"),
        (&["why", " "], "it is empty"),
        (&["stop", "-l", "", "--reason", "x"], "'--selector <SELECTOR>': it is empty"),
        (&["plan", "-l", ""], "it is empty"),
        (&["status", "-l", ""], "it is empty"),
        (&["plan", "-n", "", "--all"], "'--namespace <NAMESPACE>': write the name of a namespace"),
        (&["plan", "urr/a/status"], "write KIND/NAME"),
        (&["plan", "urr/a", "-A"], "name it with -n in place of -A"),
        (&["stop", "urr/a", "-A", "--reason", "x"], "name it with -n in place of -A"),
        (&["stop", "--tenant", "default", "-A", "--reason", "x"], "name it with -n in place of -A"),
        (&["new", JANE, "--everything", "-A"], "name it with -n in place of -A"),
        (&["status", "--watch", "--timeout", "999999999999h"], "at most 87600h"),
        (&["evidence", "--since", "2999-01-01", "-o", "json"], "now is not after --since"),
    ] {
        assert_failed(&person.rescind(args).await, 2, says);
    }
    assert_eq!(env.calls(), Vec::<String>::new());
    let help = person.kubectl(&["rescind", "help", "plan"]).await;
    assert!(help.code == 0 && help.out.contains("kubectl rescind plan"), "{help:?}");
}

/// A program that reads the JSON finds nothing there, and not half of something.
#[tokio::test]
async fn after_an_error_there_is_no_json() {
    let env = office("no-json").await;
    let person = Person::admin(&env);
    for (args, says) in [
        (&["plan", "urr/typo"][..], "there is no UserRoleRevocation typo in namespace"),
        (&["plan", "-l", "a=b"], "nothing is selected in namespace"),
        (&["plan", "-f", "/dev/null"], "there is no removal in /dev/null"),
        (&["status", "urr/typo"], "there is no UserRoleRevocation typo in namespace"),
        (&["status", "typo@acme.com"], "no tenant"),
        (&["why", "typo@acme.com"], "no account has the e-mail address typo@acme.com"),
        (&["why", JANE, "--tenant", "typo"], "use --tenant default"),
        (&["retry", "urr/typo"], "there is no UserRoleRevocation typo in namespace"),
        (&["stop", "urr/typo", "--reason", "x"], "there is no UserRoleRevocation typo in namespace"),
        (&["resume", "--tenant", "typo"], "use --tenant default"),
        (&["evidence", "--since", "2026-01-01", "--audit-log", "/dev/null"], "the audit log has no audit line"),
    ] {
        let says =
            if args[1] == "typo@acme.com" && args[0] == "status" { "no account has the e-mail address" } else { says };
        assert_failed(&person.rescind(&[args, &["-o", "json"]].concat()).await, 1, says);
    }
    let nothing = person.rescind(&["plan", "--all"]).await;
    assert!(nothing.code == 0 && nothing.err.contains("there are no removals in namespace"), "{nothing:?}");
    let nothing = person.rescind(&["status"]).await;
    assert!(nothing.out.contains(&format!("There are no removals in namespace {}.", env.namespace)), "{nothing:?}");
}

/// Without a tenant of the usual name, the error names the flag of the one that there is.
#[tokio::test]
async fn another_tenant_is_named() {
    let env = office("tenants").await;
    let person = Person::admin(&env);
    env.delete::<Auth0Tenant>("default").await;
    grant(&env, "clerk", &[("rescind.dev", &["auth0tenants"], &["get"])]).await;
    let clerk = person.rescind(&["why", JANE, "--as", "clerk"]).await;
    assert_failed(&clerk, 1, "default, and no other that you can see");
    env.put::<Auth0Tenant>("prod", tenant_spec(&env.fake)).await;
    env.put::<Auth0Tenant>("test", tenant_spec(&env.fake)).await;
    for command in
        [&["why", JANE][..], &["new", JANE, "--everything"], &["stop", "--tenant", "default", "--reason", "x"]]
    {
        assert_failed(&person.rescind(command).await, 1, "use --tenant prod or --tenant test");
    }
    let written = person.rescind(&["new", JANE, "--everything", "--tenant", "prod"]).await;
    assert!(written.code == 0 && written.out.contains("tenantRef: {name: prod}"), "{written:?}");
    let typo = person.rescind(&["check", "--tenant", "typo", "-o", "short"]).await;
    assert!(typo.code == 1 && typo.out.contains("× there is no Auth0Tenant typo in namespace"), "{typo:?}");
}

/// The same commands with a tenant for many namespaces, whose Secret is where the operator runs.
#[tokio::test]
async fn a_tenant_for_many_namespaces_is_used() {
    let env = office("cluster-tenant").await;
    env.delete::<Auth0Tenant>("default").await;
    let name = env.namespace.as_str();
    let mut spec = tenant_spec(&env.fake);
    spec["allowedNamespaces"] = json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
    let tenant = json!({"apiVersion": "rescind.dev/v1alpha1", "kind": "ClusterAuth0Tenant", "metadata": {"name": name},
        "spec": spec});
    let api: kube::Api<ClusterAuth0Tenant> = kube::Api::all(env.client.clone());
    api.patch(name, &PatchParams::apply("test"), &Patch::Apply(tenant)).await.unwrap();
    // Without a token of its own: the Secret in the operator's namespace.
    let person = Person::with_kubeconfig(&env, env.plane.kubeconfig_path());
    let which = ["--cluster-tenant", name, "--operator-namespace", name];
    assert_failed(&person.rescind(&["why", JANE]).await, 1, &format!("use --cluster-tenant {name}"));
    let why = person.rescind(&[&["why", JANE], &which[..]].concat()).await;
    assert!(why.code == 0 && why.out.contains("Secret auth0-management"), "{why:?}");
    assert!(why.out.contains(&format!("--role {ROLE} -n {name} --cluster-tenant {name}")), "{why:?}");
    let new = person.rescind(&[&["new", JANE, "--role", "Admin"], &which[..]].concat()).await;
    assert!(new.out.contains(&format!("tenantRef: {{kind: ClusterAuth0Tenant, name: {name}}}")), "{new:?}");
    let plan = ["rescind", "plan", "-n", name, "-f", "-", "--operator-namespace", name];
    let plan = person.kubectl_in(std::path::Path::new("."), &plan, &new.out).await;
    assert!(plan.code == 0 && plan.out.contains("1 would be removed"), "{plan:?}");
    let check = person.rescind(&["check", "--cluster-tenant", name, "--operator-namespace", name]).await;
    assert!(check.out.contains(&format!("\ntenant {name}  ")), "{check:?}");
    let typo = person.rescind(&["check", "--cluster-tenant", "typo", "-o", "short"]).await;
    assert!(typo.code == 1 && typo.out.contains("× there is no ClusterAuth0Tenant typo"), "{typo:?}");
    let stopped = person.rescind(&["stop", "--cluster-tenant", name, "--reason", "wrong list"]).await;
    assert!(stopped.code == 0 && api.get(name).await.unwrap().spec.tenant.suspend, "{stopped:?}");
    // Somebody who may not read that Secret.
    grant(&env, "clerk", &[("rescind.dev", &["userrolerevocations"], &["list", "get"])]).await;
    let clerk = person.rescind(&[&["why", JANE, "--as", "clerk"], &which[..]].concat()).await;
    assert_failed(&clerk, 1, &format!("you may not get ClusterAuth0Tenant {name}"));
    kube::Api::<ClusterAuth0Tenant>::all(env.client.clone()).delete(name, &Default::default()).await.unwrap();
}

/// A kubeconfig that leads nowhere, and one whose credentials are not accepted.
#[tokio::test]
async fn a_cluster_that_does_not_answer_is_said_once() {
    let env = office("nowhere").await;
    let refused = kubeconfig(&env, Some("https://127.0.0.1:1"), None);
    let stranger = kubeconfig(&env, None, Some(json!({"token": "wrong"})));
    let commands = [
        &["plan", "--all"][..],
        &["status"],
        &["why", JANE],
        &["new", JANE, "--everything"],
        &["retry", "urr/a"],
        &["stop", "urr/a", "--reason", "x"],
        &["evidence", "--since", "2026-01-01", "-o", "json"],
    ];
    for (file, says) in [(&refused, "cannot be reached"), (&stranger, "does not accept your credentials; log in again")]
    {
        let person = Person::with_kubeconfig(&env, file.path());
        for command in commands {
            let printed = person.rescind(command).await;
            assert_failed(&printed, 1, says);
            assert_eq!(printed.err.lines().count(), 1, "{printed:?}");
        }
        let check = person.rescind(&["check"]).await;
        assert!(check.code == 1 && check.out.contains("RSC101") && check.out.contains("1 wrong"), "{check:?}");
        let version = person.rescind(&["version"]).await;
        assert!(version.code == 0 && version.out.contains("kubernetes not known"), "{version:?}");
    }
    let person = Person::admin(&env);
    for flags in [["--kubeconfig", "/nowhere"], ["--context", "typo"], ["--cluster", "typo"]] {
        assert_failed(&person.rescind(&[&["status"], &flags[..]].concat()).await, 1, "the kubeconfig cannot be used (");
    }
}

/// The first request waits as long as the flag says, the others do not each wait as long again.
#[tokio::test]
async fn a_silent_cluster_is_not_waited_for_again_and_again() {
    let env = office("silent").await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = kubeconfig(&env, Some(&format!("https://{}", silent.local_addr().unwrap())), None);
    let person = Person::with_kubeconfig(&env, file.path());
    let status = person.rescind(&["status", "--request-timeout", "2s"]).await;
    assert_failed(&status, 1, "did not answer within 2 s");
    let version = person.rescind(&["version", "--request-timeout", "2s"]).await;
    let waited = |seconds: &str| version.out.matches(&format!("did not answer within {seconds}")).count();
    assert_eq!((waited("2 s"), waited("1 s")), (1, 2), "{version:?}");
}

/// `| head` ends the reader before the writer.
#[tokio::test]
async fn a_reader_that_leaves_is_no_error() {
    let env = office("pipe").await;
    let person = Person::admin(&env);
    for args in [&["rescind", "check", "--pre"][..], &["rescind", "completion", "bash"], &["rescind", "--help"]] {
        let mut child = person.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && error.is_empty(), "{args:?}: {} {error}", output.status);
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let full = person.command(&["rescind", "version", "--client"]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = full.wait_with_output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("the output cannot be written"), "{error}");
}

/// Files as Windows writes them, the same object twice, and what only looks like a removal.
#[tokio::test]
async fn manifests_of_any_program_are_read() {
    let env = office("files").await;
    let person = Person::admin(&env);
    let folder = tempfile::tempdir().unwrap();
    let written = person.rescind(&["new", JANE, "--role", "Admin"]).await.out;
    let windows = format!("\u{feff}{}", written.replace('\n', "\r\n"));
    let utf16: Vec<u8> = windows.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let typo =
        written.replace("UserRoleRevocation", "UserRoleRevokation") + "---\n" + &written.replace("  name: ", "  x: ");
    let files: [(&str, &[u8]); 3] =
        [("a.yaml", windows.as_bytes()), ("b.yaml", &utf16), ("typo.yaml", typo.as_bytes())];
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let plan = ["rescind", "plan", "-n", &env.namespace];
    let read = person.kubectl_in(folder.path(), &[&plan[..], &["-f", "a.yaml", "-f", "b.yaml"]].concat(), "").await;
    assert!(read.code == 0 && read.out.contains("1 would be removed, 0 are not there, 0 would be refused"), "{read:?}");
    assert!(read.err.contains("is there more than once: a.yaml:4, b.yaml:4"), "{read:?}");
    let wrong = person.kubectl_in(folder.path(), &[&plan[..], &["-f", "typo.yaml", "--exit-code"]].concat(), "").await;
    assert!(wrong.code == 1 && wrong.out.contains("2 would be refused"), "{wrong:?}");
    for says in ["there is no such kind; there are UserPermissionRevocation,", "metadata.name is missing"] {
        assert!(wrong.out.contains(says), "{says}: {wrong:?}");
    }
    let again = ["plan", "--all", "--against", "a.json"];
    std::fs::write(folder.path().join("a.json"), "{}").unwrap();
    let again = person.kubectl_in(folder.path(), &[&["rescind"], &again[..]].concat(), "").await;
    assert_failed(&again, 1, "a.json is no plan that --out has saved");
}

/// A command that is printed for the next step means the same objects.
#[tokio::test]
async fn the_next_command_has_the_same_flags() {
    let env = office("next").await;
    let person = Person::admin(&env);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("leavers of May");
    let kubeconfig = env.plane.kubeconfig_path().to_str().unwrap();
    let args =
        ["new", JANE, "--role", "Admin", "--dir", dir.to_str().unwrap(), "--kubeconfig", kubeconfig, "--as", "admin"];
    let args = [&args[..], &["--as-group", "system:masters"]].concat();
    let written = person.rescind(&args).await;
    let (_, command) = written.err.split_once("Look first: kubectl rescind ").unwrap_or_else(|| panic!("{written:?}"));
    let command = command.split("   (").next().unwrap();
    let expected = format!(
        "plan -f '{}' -n {} --kubeconfig {kubeconfig} --as admin --as-group system:masters",
        dir.display(),
        env.namespace
    );
    assert_eq!(command, expected);
    let why = person.rescind(&["why", USER, "--role", "Admin", "--kubeconfig", kubeconfig]).await;
    assert!(why.out.contains(&format!("--role {ROLE} -n {} --kubeconfig {kubeconfig}", env.namespace)), "{why:?}");
}

/// Ctrl-C at a question gives the cursor back, and many objects are confirmed, whoever asks for them.
#[tokio::test]
async fn a_question_can_be_left_and_much_is_confirmed() {
    let env = office("leave").await;
    env.fake.edit(|tenant| {
        for number in 0..26 {
            tenant.organization(format!("org_00000000000000{number:02}")).member(USER);
        }
    });
    let person = Person::admin(&env);
    let new = ["rescind", "new", "-n", &env.namespace];
    let mut left = Terminal::start(&person, &new);
    left.expect("Who?").await;
    left.send(&format!("{USER}\r")).await;
    left.expect("role Admin").await;
    left.send("\u{3}").await;
    let (code, seen) = left.end().await;
    assert_eq!(code, 130, "{seen}");
    assert!(seen.rfind("\u{1b}[?25h") > seen.rfind("\u{1b}[?25l"), "the cursor is hidden: {seen:?}");

    let mut many = Terminal::start(&person, &new);
    many.expect("Who?").await;
    many.send(&format!("{USER}\r")).await;
    many.expect("role Admin").await;
    // Everything is ticked.
    many.send("a\r").await;
    many.expect("apply them in the cluster").await;
    many.send("\u{1b}[B\u{1b}[B\r").await;
    many.expect("objects about 1 account. Type").await;
    many.send("yes\n").await;
    let (code, seen) = many.end().await;
    assert!(code == 1 && seen.contains("nothing was changed"), "{seen}");
    let status = person.rescind(&["status"]).await;
    assert!(status.out.contains("There are no removals"), "{status:?}");
}
