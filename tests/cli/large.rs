//! How many calls a large plan takes. `RESCIND_PLAN_MANIFESTS` asks for more manifests, to measure it.

use std::fmt::Write;
use std::time::Instant;

use fake_auth0::Kind;
use serde_json::{Value, json};

use crate::fixtures::{ORG, ROLE};
use crate::harness::Environment;
use crate::person::Person;

/// A file with a membership and a role of each of so many people of one organization, which has three times as many
/// members.
fn crowd(env: &Environment, people: usize) -> String {
    let user = |number: usize| format!("auth0|{number:06}");
    env.fake.edit(|tenant| {
        tenant.organization(ORG).members((0..people * 3).map(user));
        (0..people).for_each(|number| _ = tenant.user(user(number)).role(ROLE));
    });
    (0..people).fold(String::new(), |mut text, number| {
        let id = user(number);
        let _ = writeln!(
            text,
            "---\n{{apiVersion: rescind.dev/v1alpha1, kind: OrgMembershipRemoval, metadata: {{name: m{number}}}, \
             spec: {{organizationId: {ORG}, members: [\"{id}\"]}}}}\n---\n{{apiVersion: rescind.dev/v1alpha1, kind: \
             UserRoleRevocation, metadata: {{name: r{number}}}, spec: {{userId: \"{id}\", roles: [{ROLE}]}}}}"
        );
        text
    })
}

/// One walk of the organization's list, and one read of each person.
#[tokio::test]
async fn a_large_plan_reads_each_list_once() {
    let people = std::env::var("RESCIND_PLAN_MANIFESTS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let env = Environment::new("plan-large").await;
    env.put_tenant(json!({"brake": {"maxRemovals": 100_000, "maxShareOfOrganization": 100}})).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("crowd.yaml"), crowd(&env, people)).unwrap();
    let person = Person::admin(&env);
    env.fake.reset_calls();
    let began = Instant::now();
    let args = ["rescind", "plan", "-n", &env.namespace, "-f", "crowd.yaml", "-o", "json"];
    let printed = person.kubectl_in(folder.path(), &args, "").await;
    println!("plan of {} manifests: {:.2} s, {} calls", 2 * people, began.elapsed().as_secs_f64(), env.fake.total());
    assert_eq!(printed.code, 0, "{}", printed.err);
    let plan: Value = serde_json::from_str(&printed.out).unwrap();
    assert_eq!(plan["counts"], json!({"remove": 2 * people}));
    // The walk ends with the page that shows the last of them; its length is asked for once.
    let pages = (people * 3).div_ceil(50) as u64;
    assert!(env.fake.count(Kind::GetMembers) <= pages + 1, "{} of {pages}", env.fake.count(Kind::GetMembers));
    assert_eq!(env.fake.count(Kind::GetUserRoles), people as u64);
    assert_eq!(plan["tenants"][0]["calls"], env.fake.total());
    assert_eq!(plan["tenants"][0]["deletes"], people.div_ceil(10) + people);
}
