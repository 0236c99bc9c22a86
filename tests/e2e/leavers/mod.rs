//! The examples of `examples/leaver` and what docs/leavers.md says of them.

mod namespace;
mod variants;

use std::collections::BTreeSet;

use fake_auth0::{Relation, State};
use rescind::api::{OrgMemberRoleRemoval, OrgMembershipRemoval, UserRoleRevocation};
use serde_json::{Value, json};

use crate::harness::*;
use crate::helm::{documents, helm, id, said, stream};

use variants::{LABEL, example, rendered};

/// Li Wei's accounts, and the second organization.
const LI: [&str; 2] = ["auth0|65a1b2c3d4e5f60718293a4b", "google-oauth2|108251234567890123456"];
const GLOBEX: &str = "org_Kd83hTq0ZmW5xYvN";

/// The objects in the namespace of the test.
fn placed(env: &Environment, objects: Vec<Value>) -> Vec<Value> {
    let place = |mut object: Value| {
        object["metadata"]["namespace"] = env.namespace.clone().into();
        object
    };
    objects.into_iter().map(place).collect()
}

/// The same removals at a time at which they are carried out.
fn due(mut objects: Vec<Value>) -> Vec<Value> {
    for object in &mut objects {
        object["spec"]["notBefore"] = "2026-01-01T00:00:00Z".into();
        object["spec"]["notAfter"] = "2999-01-01T00:00:00Z".into();
    }
    objects
}

/// Runs kubectl without blocking the operator of the test.
async fn kubectl(env: &Environment, args: &str) -> String {
    let (plane, args) = (env.plane, args.replace("-n identity", &format!("-n {}", env.namespace)));
    let run = move || plane.run(&args.split_whitespace().collect::<Vec<_>>()).unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Everything that these accounts hold.
fn held(state: &State, accounts: &[&str]) -> BTreeSet<Relation> {
    let of = |relation: &Relation| match relation {
        Relation::UserRole { user, .. }
        | Relation::UserPermission { user, .. }
        | Relation::Member { user, .. }
        | Relation::MemberRole { user, .. } => accounts.contains(&user.as_str()),
        _ => false,
    };
    state.relations().into_iter().filter(of).collect()
}

/// The same people lose the same, whichever variant is used, and the API server takes all of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_variants_make_the_same_removals() {
    let env = Environment::bare("variants").await;
    let variants = tokio::task::spawn_blocking(variants::all).await.unwrap();
    let [plain, kustomize, chart, set] = variants.each_ref().map(|(_, objects)| variants::removals(objects));
    assert_eq!(kustomize, chart);
    assert_eq!(kustomize, set);
    assert_eq!((plain.len(), &plain["jane-doe"]), (1, &kustomize["jane-doe"]));
    assert_eq!(kustomize.keys().collect::<Vec<_>>(), [&"jane-doe", &"li-wei"]);
    let kinds: Vec<&Value> = variants[0].1.iter().map(|object| &object["kind"]).collect();
    let order = ["OrgMemberRoleRemoval", "OrgMembershipRemoval", "UserRoleRevocation", "UserPermissionRevocation"];
    assert_eq!(kinds, order, "in the order of the files");
    for (variant, objects) in variants {
        let names: BTreeSet<String> = objects.iter().map(id).collect();
        assert_eq!(names.len(), objects.len(), "{variant}: {names:?}");
        assert!(objects.iter().all(|object| object["metadata"]["namespace"] == "identity"), "{variant}");
        let file = env.plane.dir().join(format!("{variant}-{}.yaml", env.namespace));
        std::fs::write(&file, stream(&placed(&env, objects))).unwrap();
        kubectl(&env, &format!("apply --dry-run=server --validate=strict -f {}", file.display())).await;
    }
}

/// The commands of docs/leavers.md with this verb, as they stand there.
fn commands(verb: &str) -> Vec<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/leavers.md")).unwrap();
    let start = format!("kubectl {verb} ");
    let of_verb = page.lines().filter(|line| line.starts_with(&start));
    let commands: Vec<String> = of_verb.map(|line| line.trim_start_matches("kubectl ").to_owned()).collect();
    assert!(!commands.is_empty(), "{verb}");
    commands
}

/// Runs the commands of the page with this verb for both people.
async fn as_the_page_says(env: &Environment, verb: &str) {
    for command in commands(verb) {
        for person in ["jane-doe", "li-wei"] {
            kubectl(env, &command.replace("jane-doe", person)).await;
        }
    }
}

/// Jane's files are applied in the wrong order, Li Wei's all at once. Both lose everything that they hold, other
/// people lose nothing, and deleting the objects gives nothing back.
#[tokio::test(flavor = "multi_thread")]
async fn people_with_several_accounts_lose_everything() {
    let env = Environment::new("leavers").await;
    env.fake.edit(|tenant| {
        for account in LI {
            tenant.user(account).role(ROLE);
            tenant.organization(ORG).member(account).member_role(account, ROLE);
            tenant.organization(GLOBEX).member(account);
        }
    });
    let before = env.fake.state();
    let operator = env.operator().await;
    let is_li = |object: &Value| object["metadata"]["labels"][LABEL] == "li-wei";
    let li = variants::chart().into_iter().filter(is_li).collect();
    apply(&env, &placed(&env, due(li))).await;
    let mut jane = placed(&env, due(variants::plain()));
    jane.swap(0, 1);
    apply(&env, &jane[..1]).await;
    env.reason::<OrgMembershipRemoval>("jane-doe-acme", "Removed").await;
    apply(&env, &jane[1..]).await;

    as_the_page_says(&env, "wait").await;
    as_the_page_says(&env, "get").await;
    env.reason::<OrgMemberRoleRemoval>("jane-doe-acme", "AlreadyAbsent").await;
    let lost = held(&before, &[USER, LI[0], LI[1]]);
    assert_eq!(lost.len(), 7 + 2 * 4);
    env.fake.assert_removed_exactly(&before, lost.clone());

    let calls = env.fake.total();
    as_the_page_says(&env, "delete").await;
    assert_eq!(kubectl(&env, "get urr,upr,omr,omrr -n identity -o name").await, "");
    // Another object is carried out meanwhile, so the operator has seen the deletions.
    env.put::<UserRoleRevocation>("other", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("other", "Removed").await;
    let other = Relation::user_role(OTHER_USER, ROLE);
    env.fake.assert_removed_exactly(&before, lost.into_iter().chain([other]));
    assert_eq!(env.fake.total(), calls + 2, "{:?}", env.calls());
    operator.stop().await;
}

async fn apply(env: &Environment, objects: &[Value]) {
    let (plane, manifests) = (env.plane, stream(objects));
    tokio::task::spawn_blocking(move || plane.apply(&manifests).unwrap()).await.unwrap();
}

/// A membership waits in a later sync wave with the component for it, and a Leaver that lacks a field is an error.
#[test]
fn components_of_kustomize_can_be_combined() {
    let folder = tempfile::tempdir().unwrap();
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg("-r").arg(example("kustomize")).arg(folder.path()).status().unwrap().success());
    let jane = folder.path().join("kustomize/leavers/jane-doe");
    let build = || plane().run(&["kustomize", jane.to_str().unwrap()]);
    let edit = |file: &str, change: &dyn Fn(String) -> String| {
        let path = jane.join(file);
        std::fs::write(&path, change(std::fs::read_to_string(&path).unwrap())).unwrap();
    };
    edit("kustomization.yaml", &|text| text + "  - ../../components/sync-waves\n");
    assert_wave(&documents(&build().unwrap()));
    edit("leaver.yaml", &|text| text.replace("memberRoles:", "roleNames:"));
    let refusal = build().unwrap_err().to_string();
    assert!(refusal.contains("memberRoles"), "{refusal}");
}

/// Only the membership is in a later sync wave.
fn assert_wave(objects: &[Value]) {
    let wave = |object: &Value| object.pointer("/metadata/annotations/argocd.argoproj.io~1sync-wave").cloned();
    for object in objects {
        assert_eq!(wave(object).is_some(), object["kind"] == "OrgMembershipRemoval", "{object}");
    }
    assert!(objects.iter().any(|object| wave(object).is_some()));
}

/// What the chart accepts and refuses, and that its names follow the targets.
#[test]
fn names_of_the_chart_follow_the_targets() {
    let chart = example("helm/leavers");
    for values in [None, Some(example("helm/leavers.yaml"))] {
        let mut lint = helm(&["lint", "--strict", "--with-subcharts", chart.to_str().unwrap()]);
        lint.args(values.iter().flat_map(|values| [std::ffi::OsStr::new("-f"), values.as_os_str()]));
        said(lint.output().unwrap()).unwrap();
    }
    let jane = |more: Value| {
        let mut jane = json!({"name": "jane", "userIds": [USER]});
        jane.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jane
    };
    let with = |leavers: Value, more: &[&str]| {
        let set = format!("leavers={leavers}");
        rendered(&example("helm/leavers.yaml"), &[&["--set-json", &set][..], more].concat())
    };
    let names = |more: Value| with(json!([jane(more)]), &[]).unwrap().iter().map(id).collect::<Vec<_>>();
    let both = names(json!({"roles": [ROLE, OTHER_ROLE], "notAfter": "2027-01-31T00:00:00Z"}));
    assert_eq!(both, names(json!({"roles": [OTHER_ROLE, ROLE, ROLE]})), "in another order");
    assert_ne!(both, names(json!({"roles": [ROLE]})), "another target");
    assert_eq!((both.len(), both[0].len()), (1, "UserRoleRevocation/identity/jane-0123456789".len()));

    let here = json!({"roles": [ROLE], "options": {"suspend": false}});
    let objects = with(json!([jane(here)]), &["--set", "options.suspend=true,options.mode=Observe"]).unwrap();
    assert_eq!((&objects[0]["spec"]["suspend"], &objects[0]["spec"]["mode"]), (&json!(false), &json!("Observe")));
    let organization = json!({"organizations": [{"id": ORG, "roles": [ROLE]}], "roles": [ROLE]});
    assert_wave(&with(json!([jane(organization)]), &["--set", "syncWaves=true"]).unwrap());

    let twice = json!({"roles": [ROLE]});
    for (leavers, says) in [
        (json!([jane(json!({}))]), "loses nothing"),
        (json!([jane(twice.clone()), jane(twice)]), "is there twice"),
        (json!([jane(json!({"role": [ROLE]}))]), "additional properties 'role' not allowed"),
        (json!([jane(json!({"roles": ["admin"]}))]), "does not match pattern"),
        (json!([jane(json!({"roles": [ROLE], "notBefore": "2026-12-18"}))]), "does not match pattern"),
        (json!([jane(json!({"userIds": ["jane@example.com"]}))]), "does not match pattern"),
    ] {
        let refusal = with(leavers.clone(), &[]).expect_err("refused");
        assert!(refusal.contains(says), "{leavers}: {refusal}");
    }
}
