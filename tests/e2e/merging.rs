//! Objects that share a call: fewer calls, and a verdict for each. The decisions are tested in tests/dispatch; these
//! tests show that they reach the wire and the status.

use fake_auth0::{Fault, Kind, Unknown};
use rescind::api::{OrgMembershipRemoval, UserRoleRevocation};
use serde_json::json;

use crate::harness::*;

fn leaver(n: usize) -> String {
    format!("auth0|leaver-{n:02}")
}

/// While one call to an organization is in flight, the other objects gather: eleven objects, two DELETEs, one object
/// bad.
#[tokio::test(flavor = "multi_thread")]
async fn objects_share_calls_and_a_bad_one_fails_alone() {
    let env = Environment::new("merging").await;
    env.fake.switch(|s| s.unknown_member = Unknown::BadRequest);
    env.fake.edit(|tenant| {
        tenant.users((0..11).filter(|n| *n != 4).map(leaver));
        tenant.organization(ORG).members((0..11).filter(|n| *n != 4).map(leaver).collect::<Vec<_>>());
    });
    let first = env.fake.fault(Fault::hold().on(Kind::DeleteMembers).once());
    let _operator = env.operator().await;
    let spec = |n: usize| json!({"organizationId": ORG, "members": [leaver(n)]});
    env.put::<OrgMembershipRemoval>("m0", spec(0)).await;
    within(first.arrived()).await;
    for n in 1..11 {
        env.put::<OrgMembershipRemoval>(&format!("m{n}"), spec(n)).await;
    }
    // A full batch does not wait for the call that is held.
    let status = env.reason::<OrgMembershipRemoval>("m4", "InvalidRequest").await;
    assert!(status.conditions.iter().any(|condition| condition.message.contains("auth0|leaver-04")), "{status:?}");
    first.release();
    for n in (0..11).filter(|n| *n != 4) {
        let status = env.reason::<OrgMembershipRemoval>(&format!("m{n}"), "Removed").await;
        assert_eq!(status.result.unwrap().accepted, 1, "its own count");
        assert!(status.correlation_id.is_some());
    }
    let deletes = env.fake.count(Kind::DeleteMembers);
    assert!(deletes <= 10, "{deletes} DELETEs");
}

/// After a lost answer the list is read before the DELETE is repeated. If the role is gone, the status says that nobody
/// confirmed who removed it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_read_before_it_is_repeated() {
    let env = Environment::new("lostanswer").await;
    env.fake.edit(|tenant| {
        tenant.user(USER).role(ROLE);
    });
    env.fake.fault(Fault::act_then_drop().on_deletes().once());
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let status = env.reason::<UserRoleRevocation>("jane", "AlreadyAbsent").await;
    assert_eq!(env.fake.count(Kind::DeleteUserRoles), 1, "{:?}", env.calls());
    assert_eq!((status.result.clone().unwrap().accepted, status.result.clone().unwrap().already_absent), (0, 1));
    assert!(status.conditions[0].message.contains("may have removed"), "{status:?}");
}
