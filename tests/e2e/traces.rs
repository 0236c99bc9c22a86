//! The content of traces. That they arrive is tested where they are sent (`src/telemetry/otlp.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use fake_auth0::{Fault, Kind};
use kube::ResourceExt;
use rescind::api::{OrgMembershipRemoval, UserRoleRevocation};
use rescind::telemetry::traces::{Span, Tracer, Traces};
use serde_json::json;

use crate::harness::*;

#[derive(Default)]
struct Collector(Mutex<Vec<Span>>);

impl Tracer for Collector {
    fn ended(&self, span: Span) {
        self.0.lock().unwrap().push(span);
    }
}

impl Collector {
    fn of(&self, uid: &str) -> Vec<Span> {
        self.0.lock().unwrap().iter().filter(|span| span.uid == uid).cloned().collect()
    }
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    span.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_an_object_holds_all_its_work_and_no_person() {
    let (env, collector) = (Environment::new("traces").await, Arc::new(Collector::default()));
    env.fake.fault(Fault::status(503).on(Kind::DeleteUserRoles).once());
    let _operator = env.operator_with(|settings| settings.traces = Traces::to(collector.clone())).await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let correlation = env.reason::<UserRoleRevocation>("jane", "Removed").await.correlation_id;
    let uid = env.api::<UserRoleRevocation>().get("jane").await.unwrap().uid().unwrap();
    let spans = collector.of(&uid);
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    let expected = ["DELETE users/{id}/roles", "GET users/{id}/roles", "reconcile UserRoleRevocation"];
    assert_eq!(names, expected.into());
    let deletes: Vec<_> = spans.iter().filter(|span| span.name.starts_with("DELETE")).collect();
    assert_eq!(deletes[0].failure, Some("unavailable"));
    let last = deletes.last().unwrap();
    assert_eq!(attribute(last, "rescind.name"), Some("jane"));
    assert_eq!(attribute(last, "rescind.correlation_id"), correlation.as_deref());
    let told = format!("{:?}", collector.0.lock().unwrap());
    assert!(!told.contains(USER) && !told.contains(ROLE) && !told.contains(&env.token), "{told}");
}

/// While one call is held, the others gather, as in tests/e2e/merging.rs.
#[tokio::test(flavor = "multi_thread")]
async fn a_shared_call_is_in_each_trace() {
    let (env, collector) = (Environment::new("traces-shared").await, Arc::new(Collector::default()));
    let users: Vec<String> = (0..11).map(|n| format!("auth0|shared-{n}")).collect();
    env.fake.edit(|tenant| {
        tenant.users(users.clone());
        tenant.organization(ORG).members(users.clone());
    });
    let first = env.fake.fault(Fault::hold().on(Kind::DeleteMembers).once());
    let _operator = env.operator_with(|settings| settings.traces = Traces::to(collector.clone())).await;
    let mut uids = Vec::new();
    for (n, user) in users.iter().enumerate() {
        let spec = json!({"organizationId": ORG, "members": [user]});
        uids.push(env.put::<OrgMembershipRemoval>(&format!("m{n}"), spec).await.uid().unwrap());
        if n == 0 {
            within(first.arrived()).await;
        }
    }
    first.release();
    // By correlation id: the number of traces that contain the call, and the numbers of traces that it says it is in.
    let mut calls = BTreeMap::<String, (usize, BTreeSet<String>)>::new();
    for (n, uid) in uids.iter().enumerate() {
        env.reason::<OrgMembershipRemoval>(&format!("m{n}"), "Removed").await;
        let deletes: Vec<_> = collector.of(uid).into_iter().filter(|span| span.name.starts_with("DELETE")).collect();
        assert_eq!(deletes.len(), 1, "{deletes:?}");
        let of = |key| attribute(&deletes[0], key).unwrap().to_owned();
        let (traces, said) = calls.entry(of("rescind.correlation_id")).or_default();
        *traces += 1;
        said.insert(of("rescind.objects"));
    }
    assert!(calls.len() < users.len(), "nothing was shared");
    for (traces, said) in calls.values() {
        assert_eq!(*said, BTreeSet::from([traces.to_string()]), "{calls:?}");
    }
}
