//! Promises 3 and 4: "removed" is said only after a complete read that does not contain the item. Nothing unreadable,
//! incomplete or empty counts as such a read.

use std::time::Duration;

use fake_auth0::{Fault, Kind, Lag, PagingQuirks};
use rescind::api::{OrgMembershipRemoval, RECONCILE_ANNOTATION, UserRoleRevocation};
use serde_json::json;

use crate::harness::*;

/// Promise 3.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_still_shows_it_is_waited_out() {
    let env = Environment::new("lag").await;
    env.fake.lag(Kind::GetUserOrganizations, Lag::For(Duration::from_secs(18)));
    let _operator = env.operator().await;
    env.put::<OrgMembershipRemoval>("jane", json!({"organizationId": ORG, "members": [USER]})).await;
    let status = env.reason::<OrgMembershipRemoval>("jane", "AwaitingConsistency").await;
    assert!(status.next_attempt_time.is_some() && status.verified_time.is_none());
    assert_eq!(status.result.clone().unwrap().remaining, 1);
    let status = env.reason::<OrgMembershipRemoval>("jane", "Removed").await;
    assert_eq!((status.result.clone().unwrap().accepted, status.result.clone().unwrap().remaining), (1, 0));
    assert_eq!(env.fake.count(Kind::DeleteMembers), 1, "looked at again, not removed again");
}

/// Promise 4: one user for each way to misread a list. None may become `Removed` while its list is like this.
#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_read_proves_nothing() {
    let env = Environment::new("misread").await;
    let entry = |id: &str| json!({"id": id, "name": "x", "description": "x"});
    let page = |start: u32, total: u32, roles: &[serde_json::Value]| {
        json!({
            "start": start, "limit": 50, "total": total, "roles": roles,
        })
    };
    let faults: Vec<(&str, Fault)> = vec![
        ("html", Fault::html(200)),
        ("empty", Fault::status(200).body("")),
        ("null", Fault::status(200).json(&json!(null))),
        ("no-list", Fault::status(200).json(&json!({"start": 0, "limit": 50, "total": 0}))),
        ("null-list", Fault::status(200).json(&json!({"start": 0, "limit": 50, "total": 0, "roles": null}))),
        ("no-content", Fault::status(204)),
        ("cut", Fault::status(200).body("{\"start\":0,\"limit\":50,\"total\":0,\"roles\":[")),
        ("truncated", Fault::truncate()),
        ("more-exist", Fault::status(200).json(&page(0, 3, &[]))),
        ("wrong-start", Fault::status(200).json(&page(50, 1, &[entry("rol_AAAAAAAAAAAAAAAA")]))),
        ("unreadable-entry", Fault::status(200).json(&page(0, 1, &[json!({"name": "x"})]))),
        ("foreign-404", Fault::status(404).body("not here")),
        ("redirect", Fault::redirect("https://evil.example.com/")),
        ("huge", Fault::huge_body(2 << 20)),
        ("endless", Fault::endless_body()),
        ("forbidden", Fault::status(500)),
    ];
    // Pages that contradict each other are read again a few times, and then proved nothing.
    let changes = |name: &str| ["more-exist", "wrong-start", "unreadable-entry"].contains(&name);
    for (name, fault) in &faults {
        let user = format!("auth0|{name}");
        env.fake.edit(|tenant| {
            tenant.user(user.clone()).role(ROLE);
        });
        env.fake.fault(fault.clone().user(user).on_reads());
    }
    let _operator = env.operator().await;
    for (name, _) in &faults {
        env.put::<UserRoleRevocation>(name, json!({"userId": format!("auth0|{name}"), "roles": [ROLE]})).await;
    }
    for (name, _) in &faults {
        let reason = if changes(name) { "RemovedUnverified" } else { "Auth0Unavailable" };
        let status = env.reason::<UserRoleRevocation>(name, reason).await;
        assert!(status.verified_time.is_none() && status.last_removal_time.is_some(), "{name}");
    }
    env.fake.clear_faults();
    for (name, _) in faults.iter().filter(|(name, _)| !changes(name)) {
        env.reason::<UserRoleRevocation>(name, "Removed").await;
    }
    assert_eq!(env.fake.deletes().len(), faults.len(), "what was accepted is looked at, not repeated");
}

/// A member list that cannot be read to its end, because its pages lead in a circle.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_list_that_does_not_end_proves_nothing() {
    let env = Environment::new("circle").await;
    env.fake.edit(|tenant| {
        tenant.organization(ORG).numbered_members("auth0|m", 300);
    });
    env.fake.paging(PagingQuirks { looping_cursor: true, ..PagingQuirks::default() });
    let _operator = env.operator().await;
    let members = [USER, OTHER_USER];
    env.put::<OrgMembershipRemoval>("both", json!({"organizationId": ORG, "members": members})).await;
    let status = env.reason::<OrgMembershipRemoval>("both", "RemovedUnverified").await;
    assert!(status.verified_time.is_none());
    // On request the object gets another read, and no DELETE.
    env.fake.paging(PagingQuirks::default());
    let ask = json!({"metadata": {"annotations": {RECONCILE_ANNOTATION: "1"}}});
    let api = env.api::<OrgMembershipRemoval>();
    api.patch("both", &Default::default(), &kube::api::Patch::Merge(ask)).await.unwrap();
    env.reason::<OrgMembershipRemoval>("both", "Removed").await;
    assert_eq!(env.fake.deletes().len(), 1, "{:?}", env.calls());
}
