//! The commands of the pages for kubectl's plugin, one after the other as they stand there. (Those that install:
//! tests/chart/commands_in_docs.rs; which test runs what: tests/docs/shell.rs.)

use std::path::Path;

use serde_json::json;

use crate::fixtures::{ORG, ROLE, USER};
use crate::harness::{Environment, OTHER_ROLE, OTHER_USER, crds, own_plane, prompt_fake, roles};
use crate::person::Person;
use crate::process::Process;

const PLUGIN: &str = "docs/kubectl-rescind.md";

/// The blocks of sh of a page, with each command on one line.
fn blocks(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.map(|block| block.replace("\\\n", "")).collect()
}

/// The commands of a page that begin so.
fn commands(page: &str, begin: &str) -> Vec<String> {
    let blocks = blocks(page).concat();
    let found: Vec<String> = blocks.lines().filter(|line| line.starts_with(begin)).map(str::to_owned).collect();
    assert!(!found.is_empty(), "{page}: {begin}");
    found
}

/// The namespace of the pages, in a cluster of its own, with people who leave.
async fn identity() -> Environment {
    let plane = own_plane().await;
    plane.apply(&crds()).unwrap();
    let mut env = Environment::bare_on(plane, prompt_fake().await, "pages").await;
    plane.run(&["create", "namespace", "identity"]).unwrap();
    env.namespace = "identity".to_owned();
    env.put_secret(&env.token).await;
    env.put_tenant(json!({})).await;
    env.fake.edit(|tenant| {
        tenant.role(ROLE, "Admin");
        tenant.role(OTHER_ROLE, "Billing viewer");
        tenant.user(USER).name("Li Wei").email("li.wei@acme.com");
        tenant.user(OTHER_USER).name("Jane Doe").email("jane@acme.com");
        tenant.organization(ORG).name("acme").display_name("Acme Inc");
    });
    env
}

/// Runs commands in this folder. Some are to find something, which is not their failure.
async fn run(person: &Person<'_>, folder: &Path, commands: Vec<String>) {
    for command in commands {
        let places = ["/etc/bash_completion.d", "/usr/local/bin"];
        let here = places.iter().fold(command.clone(), |text, place| text.replace(place, "."));
        // The tests' cluster runs no operator in a pod, which is wrong as long as it waits.
        let here = here.replace("--wait 2m", "--wait 1s");
        let finds = here.contains("rescind check") || here.contains("--exit-code");
        let printed = person.shell(folder, &here).await;
        assert!(printed.code == 0 || (finds && printed.code == 1), "{command}: {printed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_pages_do_what_they_say() {
    let env = identity().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("leavers.csv"), "Employee No;Work e-mail\n004711;li.wei@acme.com\n").unwrap();
    let mut person = Person::admin(&env);
    person.use_namespace(&folder.join("kubeconfig"), "identity").await;
    run(&person, folder, commands(PLUGIN, "kubectl rescind new ")).await;
    run(&person, folder, commands("README.md", "kubectl rescind new ")).await;
    run(&person, folder, commands("README.md", "kubectl rescind plan ")).await;
    run(&person, folder, commands("docs/gitops.md", "kubectl apply --dry-run=server ")).await;
    run(&person, folder, blocks("docs/gitops.md").into_iter().filter(|block| block.contains("sha256sum")).collect())
        .await;

    let mut operator = Process::start(&env);
    run(&person, folder, commands("README.md", "kubectl apply -f leavers")).await;
    run(&person, folder, commands("README.md", "kubectl rescind status ")).await;
    let leaver = json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation", "spec": roles(OTHER_USER),
        "metadata": {"name": "jane-admin", "namespace": "identity", "labels": {"rescind.dev/batch": "2026-11-25"}},
    });
    env.plane.apply(&leaver.to_string()).unwrap();
    for verb in ["status", "plan", "check", "retry", "stop", "resume", "support", "completion", "version"] {
        run(&person, folder, commands(PLUGIN, &format!("kubectl rescind {verb}"))).await;
    }
    run(&person, folder, commands(PLUGIN, "ln -s ")).await;

    assert_eq!(operator.terminate().await, Some(0));
    std::fs::write(folder.join("rescind.jsonl"), operator.log()).unwrap();
    let event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
        "verb": "patch", "user": {"username": "lee@acme.com"}, "responseStatus": {"code": 201},
        "objectRef": {"resource": "userrolerevocations", "namespace": "identity", "name": "jane-admin",
            "apiGroup": "rescind.dev", "apiVersion": "v1alpha1"},
        "requestReceivedTimestamp": jiff::Timestamp::now().to_string(),
    });
    std::fs::write(folder.join("audit.jsonl"), format!("{event}\n")).unwrap();
    run(&person, folder, commands("docs/evidence.md", "kubectl rescind evidence ")).await;
}
