//! A release is installed, used, upgraded, rolled back, uninstalled, and installed again.

use std::path::Path;

use fake_auth0::FakeAuth0;
use kube::{Api, Client};
use rescind::api::UserRoleRevocation;
use serde_json::Value;
use stack::ControlPlane;

use crate::cluster::{Controller, client, namespace, start, wait_until_allowed, within};
use crate::helm::{NAMESPACE, chart, helm, root, said};
use crate::operator::Operator;
use crate::tenant::{connect, leavers_removed, remove_leavers, tenant};

/// The namespace of the objects.
const PEOPLE: &str = "people";
/// The number of objects that a large customer has after some years.
const OBJECTS: usize = 1000;

struct Release {
    plane: ControlPlane,
}

impl Release {
    async fn helm(&self, args: &[&str]) -> Result<String, String> {
        let mut command = tokio::process::Command::from(helm(args));
        command.arg("--kubeconfig").arg(self.plane.kubeconfig_path());
        said(within(&args.join(" "), command.output()).await.unwrap())
    }

    /// `helm <verb> rescind …` in its namespace.
    async fn release(&self, args: &[&str], chart: Option<&Path>) -> Result<String, String> {
        let mut full = vec![args[0], "rescind"];
        full.extend(chart.map(|chart| chart.to_str().unwrap()));
        full.extend(["--namespace", NAMESPACE]);
        full.extend(&args[1..]);
        self.helm(&full).await
    }

    fn deployment(&self) -> Value {
        let json = self.plane.run(&["get", "deployment", "rescind", "-n", NAMESPACE, "-o", "json"]).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    fn args(&self) -> String {
        self.deployment()["spec"]["template"]["spec"]["containers"][0]["args"].to_string()
    }

    /// Names and kinds of everything with the label of the release.
    fn labelled(&self, kinds: &str) -> String {
        let all = ["get", kinds, "-A", "-l", "app.kubernetes.io/instance=rescind", "-o", "name"];
        self.plane.run(&all).unwrap()
    }
}

/// All kinds that the chart creates, except CRDs.
const KINDS: &str = "deployments,serviceaccounts,services,poddisruptionbudgets,networkpolicies,\
                     roles,rolebindings,clusterroles,clusterrolebindings";

/// Writes an older version of the chart, in which one kind lacks its last printer column.
fn older_chart(folder: &Path) {
    let copied = std::process::Command::new("cp").arg("-r").arg(chart()).arg(folder).status().unwrap();
    assert!(copied.success());
    let path = folder.join("rescind/files/crds/rescind.dev_userrolerevocations.yaml");
    let crd = std::fs::read_to_string(&path).unwrap();
    let column = crd.find("    - jsonPath: .metadata.creationTimestamp").unwrap();
    let end = column + crd[column..].find("    name: v1alpha1").unwrap();
    std::fs::write(path, format!("{}{}", &crd[..column], &crd[end..])).unwrap();
}

async fn versions(client: &Client) -> Vec<(String, Option<String>)> {
    let api: Api<UserRoleRevocation> = Api::namespaced(client.clone(), PEOPLE);
    let list = api.list(&Default::default()).await.unwrap();
    let version = |object: UserRoleRevocation| (object.metadata.name.unwrap(), object.metadata.resource_version);
    list.items.into_iter().map(version).collect()
}

fn has_age_column(plane: &ControlPlane) -> bool {
    let columns = "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}";
    plane.run(&["get", "crd", "userrolerevocations.rescind.dev", "-o", columns]).unwrap().contains("Age")
}

/// Connects a tenant with the commands in Helm's notes.
async fn do_as_told(plane: &ControlPlane, notes: &str, fake: &FakeAuth0) {
    let (_, told) = notes.split_once("Connect a tenant").expect("how to connect a tenant");
    let commands: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let connection = format!("domain: {}\n  caBundle: {}", fake.domain(), fake.ca_base64());
    let script = commands.join("\n").replace("domain: acme.eu.auth0.com", &connection);
    assert!(script.contains(fake.domain()) && script.ends_with("--for=condition=Ready a0t/default --timeout=1m"));
    let folder = tempfile::tempdir().unwrap();
    fake.client(fake_auth0::Client::new("an-application", "its-secret").scopes(fake.all_scopes()));
    for (file, value) in [("client-id.txt", "an-application"), ("client-secret.txt", "its-secret")] {
        std::fs::write(folder.path().join(file), value).unwrap();
    }
    let path = format!("{}:{}", plane.kubectl_path().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-ec", &script]).current_dir(folder.path()).env("PATH", path).env("HOME", folder.path());
    let output = shell.env("KUBECONFIG", plane.kubeconfig_path()).output();
    said(within("what the notes say", output).await.unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_release_lives_and_its_objects_outlive_it() {
    let release = Release { plane: start() };
    let plane = &release.plane;
    namespace(plane, PEOPLE);
    let values = ["--set", "watchNamespaces={people}"];

    // Somebody has tried the operator by hand before, even with newer CRDs.
    let by_hand = root().join("crds");
    plane.run(&["apply", "--server-side", "-f", by_hand.to_str().unwrap()]).unwrap();
    assert!(has_age_column(plane));

    // No controller rolls the Deployment out yet, so a `--wait` that does not wait would be noticed.
    let older = tempfile::tempdir().unwrap();
    older_chart(older.path());
    let old = older.path().join("rescind");
    let install = ["install", "--create-namespace", "--wait", "--timeout", "3s", values[0], values[1]];
    let take = ["--take-ownership", "--force-conflicts"];
    let refusal = release.release(&[&install[..], &take[..]].concat(), Some(&old)).await.unwrap_err();
    assert!(refusal.contains("Deployment/rescind-system/rescind not ready"), "{refusal}");
    assert!(!has_age_column(plane));

    let client = client(plane).await;
    let _controller = Controller::start(client.clone());
    let upgrade = ["upgrade", "--wait", "--timeout", "60s", values[0], values[1]];
    let notes = release.release(&upgrade, Some(&chart())).await.unwrap();
    assert!(notes.contains("kubectl rollout status -n rescind-system deployment/rescind"), "{notes}");
    assert!(has_age_column(plane), "the upgrade brings the CRDs along");

    // The installed operator works.
    let account = format!("system:serviceaccount:{NAMESPACE}:rescind");
    wait_until_allowed(plane, &account, "watch", "secrets", &["-n", PEOPLE]);
    let fake = tenant(OBJECTS + 1).await;
    let domain = [("--allowed-domains", fake.domain())];
    let mut operator = Operator::start(plane, &release.deployment(), &domain).await;
    operator.ready().await;
    do_as_told(plane, &notes, &fake).await;
    connect(plane, PEOPLE, &fake);
    remove_leavers(&client, PEOPLE, 0..OBJECTS).await;
    leavers_removed(&client, PEOPLE, OBJECTS).await;
    operator.stop().await;
    let (calls, before, args) = (fake.total(), versions(&client).await, release.args());
    assert!(calls > 0 && before.len() == OBJECTS);

    // An upgrade with finished objects: calls and writes for the new object, none for the others.
    let changed = ["--reset-then-reuse-values", "--set", "log.level=debug", "--set", "replicas=3"];
    release.release(&[&upgrade[..4], &changed[..]].concat(), Some(&chart())).await.unwrap();
    assert!(release.args().contains("--log-level=debug"));
    let mut operator = Operator::start(plane, &release.deployment(), &domain).await;
    operator.ready().await;
    remove_leavers(&client, PEOPLE, OBJECTS..OBJECTS + 1).await;
    leavers_removed(&client, PEOPLE, OBJECTS + 1).await;
    let relay = operator.stop().await;
    let new = format!("leaver{OBJECTS:04}");
    let calls: Vec<String> = fake.calls().iter().skip(calls as usize).map(|call| call.to_string()).collect();
    assert!(!calls.is_empty() && calls.iter().all(|call| call.contains(&new)), "{calls:#?}");
    let mut after = versions(&client).await;
    after.retain(|(name, _)| *name != format!("leaver-{OBJECTS}"));
    assert_eq!(after, before);
    assert!(relay.refused().is_empty(), "{:?}", relay.refused());

    release.release(&["rollback", "--wait", "--timeout", "60s"], None).await.unwrap();
    assert_eq!(release.args(), args);

    // Everything that the chart created is gone except the CRDs; what people created stays.
    release.release(&["uninstall", "--wait", "--timeout", "60s"], None).await.unwrap();
    assert_eq!(release.labelled(KINDS), "");
    assert_eq!(release.labelled("crds").lines().count(), rescind::api::crds().len());
    assert_eq!(versions(&client).await.len(), OBJECTS + 1);

    // The same release adopts the CRDs again; another release only if it is told to.
    let again = ["install", "--wait", "--timeout", "60s", values[0], values[1]];
    release.release(&again, Some(&chart())).await.unwrap();
    release.release(&["uninstall", "--wait", "--timeout", "60s"], None).await.unwrap();
    let path = chart();
    let path = path.to_str().unwrap();
    let other = ["install", "second", path, "-n", PEOPLE, "--wait", "--timeout", "60s"];
    let refusal = release.helm(&other).await.unwrap_err();
    assert!(refusal.contains("cannot be imported into the current release"), "{refusal}");
    release.helm(&[&other[..], &["--take-ownership"]].concat()).await.unwrap();
    assert_eq!(versions(&client).await.len(), OBJECTS + 1);
}
