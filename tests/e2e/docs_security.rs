//! Applies the admission policy of docs/security.md as it stands there.

use std::time::Instant;

use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use rescind::api::OrgMembershipRemoval;
use serde_json::json;

use crate::harness::*;

/// The first block of YAML on the page.
fn policy() -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md")).unwrap();
    let block = page.split("```yaml\n").nth(1).expect("a block of YAML");
    block.split("```").next().unwrap().to_owned()
}

/// A team's namespace may remove people from its own organization only.
#[tokio::test(flavor = "multi_thread")]
async fn a_team_stays_within_its_organization() {
    let env = Environment::new("policy").await;
    env.plane.apply(&policy()).expect("the API server takes it");
    let labels = json!({"metadata": {"labels": {"identity/team": "true", "identity/organization": ORG}}});
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(env.client.clone());
    namespaces.patch(&env.namespace, &PatchParams::default(), &Patch::Merge(labels)).await.unwrap();
    let api = env.api::<OrgMembershipRemoval>();
    let removal = |organization: &str| -> OrgMembershipRemoval {
        let spec = json!({"organizationId": organization, "members": [USER]});
        serde_json::from_value(json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "OrgMembershipRemoval",
            "metadata": {"generateName": "m-"}, "spec": spec,
        }))
        .unwrap()
    };
    // The API server compiles a policy some time after it accepted it and does not say when, so this tries until it
    // applies.
    let started = Instant::now();
    let refused = loop {
        match api.create(&PostParams::default(), &removal("org_0000000000000000")).await {
            Err(kube::Error::Api(refused)) => break refused.message,
            Err(error) => panic!("{error}"),
            Ok(object) => drop(api.delete(object.metadata.name.as_ref().unwrap(), &DeleteParams::default()).await),
        }
        assert!(started.elapsed() < PATIENCE, "the policy does not hold");
    };
    assert!(refused.contains("its own organization only"), "{refused}");
    api.create(&PostParams::default(), &removal(ORG)).await.expect("its own organization");
    // Other namespaces are not affected.
    let other = Environment::bare("nopolicy").await;
    other.api::<OrgMembershipRemoval>().create(&PostParams::default(), &removal("org_0000000000000000")).await.unwrap();
}
