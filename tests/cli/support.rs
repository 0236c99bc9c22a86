use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use rescind::api::UserRoleRevocation;
use serde_json::json;

use crate::harness::*;
use crate::person::Person;
use crate::rights::grant;

const EMAIL: &str = "jane@acme.com";

fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read_to_string(path).unwrap());
            }
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_has_no_people_and_no_secrets() {
    let env = Environment::new("support").await;
    let object = json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
        "metadata": {
            "name": "jane", "namespace": env.namespace,
            "annotations": {"rescind.dev/requested-by": EMAIL, "note": format!("Bearer {}", env.token)},
        },
        "spec": {"userId": USER, "roles": [ROLE]},
    });
    // kubectl apply keeps the manifest once more, in an annotation.
    env.plane.apply(&object.to_string()).unwrap();
    env.put::<UserRoleRevocation>("typo", json!({"userId": "auth0|nobody", "roles": [ROLE]})).await;
    let operator = env.operator().await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    env.reason::<UserRoleRevocation>("typo", "SubjectNotFound").await;
    operator.stop().await;
    let calls = env.calls().len();
    let person = Person::admin(&env);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("bundle");
    let here = ["--operator-namespace", env.namespace.as_str()];
    let made = person.rescind(&[&["support", "--dir", dir.to_str().unwrap()], &here[..]].concat()).await;
    assert_eq!(made.code, 0, "{made:?}");
    let bundle = files(&dir);
    let names: Vec<&str> = bundle.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "crds.json",
            "events.json",
            "missing.txt",
            "objects/auth0tenants.json",
            "objects/clusterauth0tenants.json",
            "objects/orgmemberroleremovals.json",
            "objects/orgmembershipremovals.json",
            "objects/userpermissionrevocations.json",
            "objects/userrolerevocations.json",
            "versions.json",
        ]
    );
    let all: String = bundle.values().cloned().collect();
    let (_, id) = USER.split_once('|').unwrap();
    for secret in [id, "auth0|nobody", EMAIL, &env.token, &env.fake.ca_base64()] {
        assert!(!all.contains(secret), "{secret}");
    }
    let objects = &bundle["objects/userrolerevocations.json"];
    assert!(objects.contains("user-") && objects.contains("mail-") && objects.contains(ROLE), "{objects}");
    assert!(objects.contains("Bearer [token]") && objects.contains("SubjectNotFound"), "{objects}");
    assert!(bundle["missing.txt"].contains("no pod of the operator"), "{}", bundle["missing.txt"]);
    assert!(bundle["versions.json"].contains(env!("CARGO_PKG_VERSION")));
    assert_eq!(env.calls().len(), calls, "Auth0 is not called");

    let again = person.rescind(&[&["support", "--dir", dir.to_str().unwrap()], &here[..]].concat()).await;
    assert!(again.code == 2 && again.err.contains("exists already"), "{again:?}");
    let tar = folder.path().join("bundle.tar");
    let made = person.rescind(&["support", "--with-ids", "--dir", tar.to_str().unwrap()]).await;
    assert_eq!(made.code, 0, "{made:?}");
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    assert!(Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&out).status().unwrap().success());
    let bundle = files(&out.join("rescind-support"));
    let objects = &bundle["objects/userrolerevocations.json"];
    assert!(objects.contains(USER) && objects.contains(EMAIL) && !objects.contains(&env.token), "{objects}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_collected_is_listed() {
    let env = Environment::new("support-few").await;
    grant(&env, "clerk", &[("rescind.dev", &["userrolerevocations"], &["list"])]).await;
    let person = Person::admin(&env);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("bundle");
    let made = person.rescind(&["support", "--as", "clerk", "--dir", dir.to_str().unwrap()]).await;
    assert!(made.code == 0 && made.err.contains("not collected: you may not list auth0tenants"), "{made:?}");
    let missing = &files(&dir)["missing.txt"];
    assert!(missing.contains("you may not list orgmembershipremovals") && missing.lines().count() >= 8, "{missing}");
}
