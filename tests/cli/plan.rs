//! `kubectl rescind plan`.

use rescind::api::UserRoleRevocation;
use serde_json::{Value, json};

use crate::fixtures::{API, ORG, ROLE, USER};
use crate::harness::{Environment, OTHER_ROLE, OTHER_USER};
use crate::person::Person;

const ABSENT_ROLE: &str = "rol_Kd83mQ2pLx0Zt7Ws";
const SAFE: &str = "auth0|break-glass";

/// A leaver's file with an object of each kind, one of which names a protected account, and one that is refused.
fn leaver() -> String {
    format!(
        r#"# Jane Doe leaves.
apiVersion: rescind.dev/v1alpha1
kind: UserRoleRevocation
metadata: {{name: jane-roles}}
spec:
  userId: "{USER}"
  roles: [{ROLE}, {ABSENT_ROLE}]
---
apiVersion: rescind.dev/v1alpha1
kind: UserPermissionRevocation
metadata: {{name: jane-permissions}}
spec:
  userId: "{USER}"
  permissions: [{{resourceServerIdentifier: "{API}", permissionName: read:x}}]
---
apiVersion: rescind.dev/v1alpha1
kind: OrgMembershipRemoval
metadata: {{name: acme}}
spec: {{organizationId: {ORG}, members: ["{USER}"], notBefore: "2099-12-31T17:00:00Z"}}
---
apiVersion: rescind.dev/v1alpha1
kind: OrgMembershipRemoval
metadata: {{name: too-many}}
spec: {{organizationId: {ORG}, members: ["{OTHER_USER}", "{SAFE}"]}}
---
apiVersion: rescind.dev/v1alpha1
kind: OrgMemberRoleRemoval
metadata: {{name: wrong}}
spec: {{organizationId: {ORG}, userId: "{USER}", roles: [Editor]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: other}}
"#
    )
}

async fn office(name: &str) -> Environment {
    let env = Environment::new(name).await;
    env.put_tenant(
        json!({"protected": {"userIds": [SAFE]}, "brake": {"maxRemovals": 1000, "maxShareOfOrganization": 100}}),
    )
    .await;
    env.fake.edit(|tenant| {
        tenant.role(ROLE, "Admin");
        tenant.role(OTHER_ROLE, "Auditor");
        tenant.user(USER).name("Jane Doe").permission_via(API, "read:x", OTHER_ROLE);
        tenant.organization(ORG).display_name("Acme Inc").connection("okta-acme", true);
    });
    env
}

#[tokio::test]
async fn each_item_has_one_of_four_signs() {
    let env = office("plan").await;
    let mut person = Person::admin(&env);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("jane.yaml"), leaver()).unwrap();
    env.fake.reset_calls();
    let args = ["rescind", "plan", "-n", &env.namespace, "-f", "jane.yaml"];
    let printed = person.kubectl_in(folder.path(), &args, "").await;
    assert_eq!(printed.code, 0, "{printed:?}");
    person.assert_golden("plan.txt", &printed.out);
    person.assert_golden("plan.err.txt", &printed.err);
    assert!(env.fake.calls().iter().all(|call| call.method == http::Method::GET), "{:?}", env.calls());

    let news = person.kubectl_in(folder.path(), &[&args[..], &["--exit-code"]].concat(), "").await;
    assert_eq!(news.code, 1);
    // A token that may not read roles.
    person.set("RESCIND_AUTH0_TOKEN", env.fake.token(&["read:organizations", "read:organization_members"]));
    let blind = person.kubectl_in(folder.path(), &args, "").await;
    person.assert_golden("plan-blind.txt", &blind.out);
}

#[tokio::test]
async fn a_saved_plan_says_what_has_changed_since() {
    let env = office("plan-against").await;
    let person = Person::admin(&env);
    env.put::<UserRoleRevocation>("jane", json!({"userId": USER, "roles": [ROLE, OTHER_ROLE]})).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.json");
    let file = file.to_str().unwrap();
    let first = person.rescind(&["plan", "urr/jane", "--out", file, "-o", "json"]).await;
    assert_eq!(first.code, 0, "{first:?}");
    let json: Value = serde_json::from_str(&first.out).unwrap();
    assert_eq!(json["schemaVersion"], 1);
    assert_eq!(json["tenants"][0]["objects"][0]["items"][0]["sign"], "remove");
    env.fake.edit(|tenant| {
        tenant.user(USER).without_role(ROLE);
    });
    let second = person.rescind(&["plan", "urr/jane", "--against", file, "--exit-code"]).await;
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.out.contains("gone already: "), "{}", second.out);
    let same = person.rescind(&["plan", "urr/jane", "--out", file]).await;
    assert_eq!(same.code, 0);
    let third = person.rescind(&["plan", "--all", "--against", file, "--exit-code"]).await;
    assert_eq!((third.code, third.out.contains("no difference")), (0, true), "{third:?}");
    let broken = person.rescind(&["plan", "--all", "--against", "/dev/null", "--exit-code"]).await;
    assert_eq!(broken.code, 2, "{broken:?}");
}

#[tokio::test]
async fn a_wrong_command_line_says_what_to_write() {
    let env = Environment::bare("plan-usage").await;
    let person = Person::admin(&env);
    for (args, says) in [
        (&["plan"][..], "required arguments"),
        (&["plan", "pod/x"], "write KIND/NAME"),
        (&["plan", "--all", "--max-requests-per-second", "0"], "0.1 to 1000"),
        (&["plna"], "plan"),
    ] {
        let printed = person.rescind(args).await;
        assert_eq!(printed.code, 2, "{printed:?}");
        assert!(printed.err.contains(says), "{printed:?}");
    }
    let missing = person.rescind(&["plan", "urr/nobody"]).await;
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("there is no UserRoleRevocation nobody in namespace"), "{missing:?}");
}
