//! What an auditor gets, from a real operator, its log, and an audit log of the API server.

use std::path::Path;

use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, PostParams};
use rescind::api::{OrgMembershipRemoval, UserRoleRevocation};
use serde_json::{Value, json};

use crate::harness::*;
use crate::person::{Person, Printed};
use crate::process::Process;
use crate::rights::grant;

/// Two people and three removals that are done, one that is protected, one that was deleted, and one that only looks.
/// Returns the operator's log.
async fn quarter(env: &Environment) -> String {
    env.put_tenant(json!({"protected": {"userIds": ["auth0|0000000000000000000000a1"]}})).await;
    let mut operator = Process::start(env);
    let object = |name: &str, spec: Value| {
        let annotations = json!({"rescind.dev/requested-by": "=cmd|'/c calc'!A1"});
        serde_json::from_value(json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation", "spec": spec,
            "metadata": {"name": name, "annotations": annotations},
        }))
        .unwrap()
    };
    let roles_api = env.api::<UserRoleRevocation>();
    let spec = json!({"userId": USER, "roles": [ROLE, OTHER_ROLE]});
    roles_api.create(&PostParams::default(), &object("jane-roles", spec)).await.unwrap();
    env.reason::<UserRoleRevocation>("jane-roles", "Removed").await;
    env.put::<OrgMembershipRemoval>("acme", json!({"organizationId": ORG, "members": [OTHER_USER]})).await;
    env.reason::<OrgMembershipRemoval>("acme", "Removed").await;
    env.put::<UserRoleRevocation>("break-glass", roles("auth0|0000000000000000000000a1")).await;
    env.reason::<UserRoleRevocation>("break-glass", "Protected").await;
    let looks = json!({"userId": OTHER_USER, "roles": [ROLE], "mode": "Observe"});
    env.put::<UserRoleRevocation>("only-looks", looks).await;
    env.reason::<UserRoleRevocation>("only-looks", "WouldRemove").await;
    env.put::<UserRoleRevocation>("gone", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("gone", "Removed").await;
    roles_api.delete("gone", &DeleteParams::default()).await.unwrap();
    assert_eq!(operator.terminate().await, Some(0));
    operator.log()
}

/// An audit log of the API server, at level Metadata, in which lee created the object acme.
async fn kube_audit(env: &Environment) -> String {
    let acme = env.api::<OrgMembershipRemoval>().get("acme").await.unwrap().metadata;
    let line = |code: u16, name: &str, created: Timestamp| {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
            "verb": "patch", "user": {"username": "lee@acme.com"}, "responseStatus": {"code": code},
            "objectRef": {"resource": "orgmembershipremovals", "namespace": env.namespace, "name": name,
                "apiGroup": "rescind.dev", "apiVersion": "v1alpha1"},
            "requestReceivedTimestamp": created.to_string(),
        })
        .to_string()
    };
    let created = acme.creation_timestamp.unwrap().0;
    [line(201, "acme", created), line(200, "acme", created), line(201, "never-seen", created)].join("\n") + "\n"
}

fn of<'a>(rows: &'a [Value], name: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["name"] == name).collect()
}

fn lines(folder: &Path, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a test says once: without the hashes and the folder of this run.
fn steady(printed: &Printed, folder: &Path) -> String {
    let text = printed.out.replace(&folder.display().to_string(), "DIR");
    let words = text.split_inclusive([' ', '\n', ')']);
    let is_hash = |word: &str| word.len() >= 64 && word.bytes().take(64).all(|byte| byte.is_ascii_hexdigit());
    let text: String =
        words.map(|word| if is_hash(word) { format!("SHA256{}", &word[64..]) } else { word.to_owned() }).collect();
    // A busy machine takes a second more.
    let (before, after) = text.split_once("slowest ").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    format!("{before}slowest SOME\n{after}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_gets_every_removal_of_the_period() {
    let env = Environment::new("evidence").await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(file("rescind.jsonl"), quarter(&env).await).unwrap();
    std::fs::write(file("audit.jsonl"), kube_audit(&env).await).unwrap();
    let person = Person::admin(&env);
    let calls = env.fake.calls().len();
    let (audit, kube, out) = (file("rescind.jsonl"), file("audit.jsonl"), file("q4"));
    let period = ["evidence", "--since", "2026-01-01", "--until", "2099-12-31"];
    let logs = ["--audit-log", &audit, "--kube-audit", &kube];
    let printed = person.rescind(&[&period[..], &logs, &["--dir", &out, "--exit-code"]].concat()).await;
    assert_eq!(printed.code, 1, "{printed:?}");
    person.assert_golden("evidence.txt", &steady(&printed, folder.path()));

    let rows = lines(Path::new(&out), "removals.jsonl");
    assert_eq!(rows.len(), 6, "{rows:#?}");
    let jane = of(&rows, "jane-roles");
    assert_eq!(jane.len(), 2);
    for row in jane {
        assert_eq!(
            (&row["standing"], &row["verdict"], &row["proof"]),
            (&json!("proved"), &json!("Removed"), &json!("ReadAfter"))
        );
        assert_eq!((&row["removed_at_from"], &row["within_sla"]), (&json!("audit"), &json!("yes")));
        assert_eq!((&row["requested_by_source"], &row["user_id"]), (&json!("claimed"), &json!(USER)));
        assert!(row["seconds_to_proved"].as_i64().unwrap() >= row["seconds_to_removed"].as_i64().unwrap());
    }
    let acme = of(&rows, "acme")[0];
    assert_eq!((&acme["requested_by"], &acme["requested_by_source"]), (&json!("lee@acme.com"), &json!("kube-audit")));
    assert_eq!(
        (&acme["item_type"], &acme["item_id"], &acme["user_id"]),
        (&json!("membership"), &json!(ORG), &json!(OTHER_USER))
    );
    let gone = of(&rows, "gone")[0];
    assert_eq!((&gone["verdict"], &gone["proof"]), (&json!("Accepted"), &json!("ObjectDeleted")));
    assert_eq!((&gone["item_id"], &gone["user_id"]), (&json!(ROLE), &json!(OTHER_USER)));
    assert_eq!(of(&rows, "break-glass")[0]["verdict"], "Protected");
    assert_eq!(of(&rows, "never-seen")[0]["verdict"], "DeletedBeforeRemoval");
    assert!(of(&rows, "only-looks").is_empty());

    let mut csv = csv::Reader::from_path(Path::new(&out).join("removals.csv")).unwrap();
    let at = csv.headers().unwrap().iter().position(|name| name == "requested_by").unwrap();
    let asked: Vec<String> = csv.records().map(|record| record.unwrap()[at].to_owned()).collect();
    assert!(asked.contains(&"'=cmd|'/c calc'!A1".to_owned()), "no cell is a formula: {asked:?}");

    let manifest: Value =
        serde_json::from_slice(&std::fs::read(Path::new(&out).join("MANIFEST.json")).unwrap()).unwrap();
    assert_eq!((&manifest["schemaVersion"], &manifest["completeness"]["complete"]), (&json!(1), &json!(true)));
    assert_eq!(manifest["runBy"], "admin", "{manifest:#}");
    assert!(manifest["clusterUid"].is_string() && manifest["query"]["auditLogs"][0]["sha256"].is_string());
    assert_eq!(env.fake.calls().len(), calls, "without --recheck and --names Auth0 is not asked");
    verified(&person, &out).await;
}

/// Each change of a folder shows.
async fn verified(person: &Person<'_>, out: &str) {
    let verify = |expected: i32, words: &'static str| async move {
        let printed = person.kubectl(&["rescind", "evidence", "verify", out]).await;
        assert_eq!(printed.code, expected, "{printed:?}");
        assert!(format!("{}{}", printed.out, printed.err).contains(words), "{printed:?}");
    };
    verify(0, "is as its manifest says").await;
    let folder = Path::new(out);
    // As docs/evidence.md says it is done by hand.
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/evidence.md")).unwrap();
    let by_hand = page.split("```sh\n").find(|block| block.starts_with("cd q4\n")).unwrap();
    let by_hand = by_hand.split("```").next().unwrap();
    let sums = std::process::Command::new("sh").args(["-ec", by_hand]).current_dir(folder.parent().unwrap()).output();
    let sums = String::from_utf8(sums.unwrap().stdout).unwrap();
    assert_eq!(sums.matches(": OK\n").count(), 5, "{sums}");
    let file = |name: &str| folder.join(name);
    let change = |name: &str, change: &dyn Fn(String) -> String| {
        let before = std::fs::read_to_string(file(name)).unwrap();
        std::fs::write(file(name), change(before.clone())).unwrap();
        (file(name), before)
    };
    let (path, before) = change("removals.csv", &|text| text.replacen("Protected", "Removed", 1));
    verify(1, "removals.csv: its SHA-256 is").await;
    std::fs::write(path, before).unwrap();
    let (path, before) = change("MANIFEST.json", &|text| text.replacen("\"proved\": 3", "\"proved\": 4", 1));
    verify(1, "MANIFEST.json: proved are 4, and in removals.jsonl 3").await;
    std::fs::write(path, before).unwrap();
    let (path, before) = change("MANIFEST.json", &|text| text.replacen("removals.csv", "../rescind.jsonl", 1));
    verify(1, "../rescind.jsonl: no name of a file in the folder").await;
    std::fs::write(path, before).unwrap();
    let (path, before) = change("MANIFEST.intoto.json", &|text| text.replacen("\"sha256\": \"", "\"sha256\": \"0", 1));
    verify(1, "MANIFEST.intoto.json: it is about another manifest").await;
    std::fs::write(path, before).unwrap();
    std::fs::write(file("more.txt"), "x").unwrap();
    verify(1, "more.txt: the manifest does not name it").await;
    std::fs::remove_file(file("more.txt")).unwrap();
    std::fs::write(file("MANIFEST.json.sig"), "a signature").unwrap();
    verify(0, "is as its manifest says").await;
    std::fs::remove_file(file("exceptions.csv")).unwrap();
    verify(1, "exceptions.csv: cannot be read").await;
    std::fs::remove_file(file("MANIFEST.json")).unwrap();
    verify(2, "MANIFEST.json cannot be read").await;
}

/// Auth0 is read again, and only read: what was granted again shows, and people have names.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_granted_again_shows() {
    let env = Environment::new("recheck").await;
    quarter(&env).await;
    env.fake.edit(|tenant| {
        tenant.user(USER).role(ROLE).name("Jane <Doe>\u{202e}").email("jane@acme.com");
    });
    let before = env.fake.calls().len();
    let person = Person::admin(&env);
    let given = ["evidence", "--since", "2026-01-01", "--recheck", "--names", "-o", "json"];
    let printed = person.rescind(&given).await;
    assert_eq!(printed.code, 0, "{printed:?}");
    let report: Value = serde_json::from_str(&printed.out).unwrap();
    let rows = report["removals"].as_array().unwrap();
    let recheck = |name: &str, item: &str| {
        let row = rows.iter().find(|row| row["name"] == name && row["item_id"] == item).unwrap();
        (row["recheck"].as_str().unwrap(), row["still_gone_at"].is_string(), row["exceptions"].to_string())
    };
    assert_eq!(recheck("jane-roles", ROLE), ("held", false, "[\"held now\"]".to_owned()));
    assert_eq!(recheck("jane-roles", OTHER_ROLE), ("gone", true, "[]".to_owned()));
    assert_eq!(recheck("acme", ORG), ("gone", true, "[]".to_owned()));
    assert_eq!(of(rows, "jane-roles")[0]["user_name"], "Jane <Doe>\u{202e}");
    let calls = env.fake.calls().split_off(before);
    assert!(calls.iter().all(|call| call.method == "GET"), "{calls:#?}");
    assert_eq!(report["auth0"][0]["calls"], calls.len());
    let csv = person.rescind(&[&given[..6], &["csv"]].concat()).await;
    assert!(csv.out.contains("Jane <Doe>\\u202e"), "{csv:?}");

    let html = person.rescind(&[&given[..6], &["html"]].concat()).await;
    assert!(html.out.contains("Jane &#60;Doe&#62;") && !html.out.contains("Jane <Doe>"), "{html:?}");
    let without = person.rescind(&["evidence", "--since", "2026-01-01", "-o", "html"]).await;
    assert!(without.code == 0 && !without.out.contains("Jane"), "names only with --names");
    let events = person.rescind(&["evidence", "--since", "2026-01-01", "-o", "ocsf"]).await;
    let events: Vec<Value> = events.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<u64> = events.iter().map(|event| event["type_uid"].as_u64().unwrap()).collect();
    assert!(types.contains(&300_717) && types.contains(&300_604), "{types:?}");
}

/// A log with a hole, a file that is no audit log, and a kind that may not be listed.
#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_report_is_refused() {
    let env = Environment::new("incomplete").await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let log = quarter(&env).await;
    let first = log.lines().find(|line| line.contains("rescind::audit")).unwrap();
    std::fs::write(file("hole.jsonl"), log.replace(first, "")).unwrap();
    std::fs::write(file("text.log"), "nothing of that kind\n").unwrap();
    let person = Person::admin(&env);
    let period = ["evidence", "--since", "2026-01-01"];
    let (hole, text, out) = (file("hole.jsonl"), file("text.log"), file("out"));
    let given = ["--audit-log", &hole, "--kube-audit", &text, "--dir", &out];
    let refused = person.rescind(&[&period[..], &given].concat()).await;
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{refused:?}");
    assert!(refused.err.contains("the lines 1 to 1 are missing"), "{refused:?}");
    assert!(refused.err.contains("text.log has no line of audit.k8s.io/v1"), "{refused:?}");
    assert!(refused.err.contains("--incomplete-ok"), "{refused:?}");
    assert!(!Path::new(&out).exists());

    let written = person.rescind(&[&period[..], &given, &["--incomplete-ok"]].concat()).await;
    assert_eq!(written.code, 0, "{written:?}");
    assert!(written.out.contains("INCOMPLETE"), "{written:?}");
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(Path::new(&out).join("MANIFEST.json")).unwrap()).unwrap();
    assert_eq!(manifest["completeness"]["complete"], false);
    let again = person.rescind(&[&period[..], &given, &["--incomplete-ok"]].concat()).await;
    assert!(again.code == 1 && again.err.contains("is not empty"), "{again:?}");

    // Somebody who may list one kind.
    grant(&env, "auditor", &[("rescind.dev", &["userrolerevocations"], &["list"])]).await;
    let half = person.rescind(&[&period[..], &["-o", "json", "--as", "auditor", "--incomplete-ok"]].concat()).await;
    assert_eq!(half.code, 0, "{half:?}");
    assert!(half.err.contains("you may not list orgmembershipremovals"), "{half:?}");
    let report: Value = serde_json::from_str(&half.out).unwrap();
    assert_eq!((&report["schemaVersion"], &report["completeness"]["complete"]), (&json!(1), &json!(false)));
    assert_eq!(report["runBy"], "auditor");
    let columns = report["removals"][0].as_object().unwrap();
    assert!(columns.contains_key("object_removed_at") && !columns.contains_key("removed_at"), "{columns:?}");
}

/// The rules of docs/evidence.md, in the policy of a real API server: its log names who created an object, and what an
/// object named that was deleted before anything was done.
#[tokio::test(flavor = "multi_thread")]
async fn the_rules_of_the_page_are_enough_for_who_asked() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/evidence.md")).unwrap();
    let rules =
        page.split("```yaml\n").find_map(|block| block.split_once("```").filter(|(yaml, _)| yaml.contains("level:")));
    let policy = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{}- level: None\n", rules.unwrap().0);
    let plane = own_plane().await;
    let (policy_file, log) = (plane.dir().join("policy.yaml"), plane.dir().join("audit.jsonl"));
    std::fs::write(&policy_file, policy).unwrap();
    let flag = |name: &str, file: &Path| format!("--audit-{name}={}", file.display());
    let flags = [flag("policy-file", &policy_file), flag("log-path", &log), "--audit-log-mode=blocking".to_owned()];
    tokio::task::spawn_blocking(move || plane.restart_apiserver_with(&flags)).await.unwrap().unwrap();
    plane.apply(&crds()).unwrap();
    let env = Environment::with(plane, prompt_fake().await, "policy").await;
    let object = |metadata: Value, user: &str| json!({"apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation", "metadata": metadata, "spec": roles(user)});
    let person = Person::admin(&env);
    let lee = ["--as", "lee@acme.com", "--as-group", "system:masters", "-n", &env.namespace, "-f", "-"];
    for (verb, metadata, user) in
        [("apply", json!({"name": "applied"}), USER), ("create", json!({"generateName": "generated-"}), OTHER_USER)]
    {
        let text = object(metadata, user).to_string();
        let made = person.kubectl_in(Path::new("."), &[&[verb][..], &lee].concat(), &text).await;
        assert_eq!(made.code, 0, "{made:?}");
    }
    let api = env.api::<UserRoleRevocation>();
    let names =
        api.list(&Default::default()).await.unwrap().items.into_iter().filter_map(|object| object.metadata.name);
    let generated = names.into_iter().find(|name| name.starts_with("generated-")).unwrap();
    api.delete(&generated, &DeleteParams::default()).await.unwrap();

    let log = log.to_str().unwrap();
    let printed = person.rescind(&["evidence", "--since", "2026-01-01", "--kube-audit", log, "-o", "json"]).await;
    assert_eq!(printed.code, 0, "{printed:?}");
    let report: Value = serde_json::from_str(&printed.out).unwrap();
    let rows = report["removals"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{rows:#?}");
    for (name, user, verdict) in [("applied", USER, "NotLookedAt"), (&generated, OTHER_USER, "ObjectDeleted")] {
        let row = of(rows, name)[0];
        assert_eq!((&row["verdict"], &row["user_id"]), (&json!(verdict), &json!(user)), "{row:#}");
        assert_eq!(row["requested_by_source"], "kube-audit", "{row:#}");
        assert!(row["requested_by"].as_str().unwrap().contains("lee@acme.com"), "{row:#}");
    }
}
