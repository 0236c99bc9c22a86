//! The operator with the rights that the chart grants: they suffice, it uses each one, and it asks for each one that is
//! taken away.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::cluster::{client, namespace, shared, wait_until_allowed};
use crate::helm::{self, chart, of_kind, only, render};
use crate::operator::Operator;
use crate::relay::Right;
use crate::tenant::{REMOVALS, all_removed, connect, limit, remove_one_of_each, tenant};

/// The number of operators that run at once in `each_right_is_missed_when_it_is_gone`.
const AT_ONCE: usize = 8;

/// The rules of these roles, split into single rights.
fn rules(roles: &[&Value]) -> Vec<(Right, Value)> {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut found = Vec::new();
    for rule in roles.iter().flat_map(|role| role["rules"].as_array().unwrap()) {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    let mut own = json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]});
                    if let Some(names) = rule.get("resourceNames") {
                        own["resourceNames"] = names.clone();
                    }
                    found.push((Right { group: group.clone(), resource: resource.clone(), verb }, own));
                }
            }
        }
    }
    found
}

/// The chart for an operator that lives in, and watches, `namespace` only.
fn own_namespace(name: &str) -> Vec<Value> {
    let watch = format!("watchNamespaces={{{name}}}");
    let sets = [watch.as_str(), "crds.enabled=false", "rbac.userRoles.create=false"];
    render(&chart(), name, &sets).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_rights_granted_are_those_used() {
    let plane = shared();
    namespace(plane, "rights");
    let objects = own_namespace("rights");
    plane.apply(&helm::stream(&objects)).unwrap();
    let granted = rules(&of_kind(&objects, "Role"));
    for (right, rule) in &granted {
        let (resource, sub) = right.resource.split_once('/').unwrap_or((&right.resource, ""));
        let mut resource = format!("{resource}.{}", right.group).trim_end_matches('.').to_owned();
        if let Some(name) = rule["resourceNames"][0].as_str() {
            resource = format!("{resource}/{name}");
        }
        let sub = format!("--subresource={sub}");
        let account = "system:serviceaccount:rights:rescind";
        wait_until_allowed(plane, account, &right.verb, &resource, &["-n", "rights", &sub]);
    }

    let fake = tenant(0).await;
    REMOVALS.iter().for_each(|(_, kind)| limit(&fake, *kind));
    let deployment = only(&objects, "Deployment");
    let mut operator = Operator::start(plane, deployment, &[("--allowed-domains", fake.domain())]).await;
    operator.ready().await;
    let mut standby = Operator::start(plane, deployment, &[("--allowed-domains", fake.domain())]).await;
    standby.ready().await;
    connect(plane, "rights", &fake);
    remove_one_of_each(plane, "rights");
    all_removed(&client(plane).await, "rights").await;
    assert!(operator.relay.sees(|request| request.right.resource == "events").await, "no event was written");
    let renewal =
        |request: &crate::relay::Request| request.right.resource == "leases" && request.right.verb == "update";
    assert!(operator.relay.sees(renewal).await, "the lease was not renewed");
    assert!(standby.relay.sees(|request| request.right.resource == "leases" && request.right.verb == "watch").await);
    let logs = [operator.log(), standby.log()];
    let relays = [operator.stop().await, standby.stop().await];

    let requests: Vec<_> = relays.iter().flat_map(|relay| relay.requests()).collect();
    let refused: Vec<_> = relays.iter().flat_map(|relay| relay.refused()).collect();
    assert!(refused.is_empty(), "{refused:?}\n{logs:#?}");
    let used: BTreeSet<Right> = requests.iter().map(|request| request.right.clone()).collect();
    assert_eq!(used, granted.into_iter().map(|(right, _)| right).collect());
    let elsewhere: Vec<_> = requests.iter().filter(|r| r.namespace.as_deref() != Some("rights")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

/// For each right, an operator that has all the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn each_right_is_missed_when_it_is_gone() {
    let granted = rules(&of_kind(&own_namespace("x"), "Role"));
    assert!(granted.len() > 20, "{granted:?}");
    let runs = granted
        .into_iter()
        .map(|(right, _)| right)
        .enumerate()
        .map(|(number, right)| tokio::spawn(without(number, right)));
    let missed: Vec<_> = stream::iter(runs).buffer_unordered(AT_ONCE).map(Result::unwrap).collect().await;
    let unmissed: Vec<_> = missed.iter().filter_map(|missed| missed.as_ref().err()).collect();
    assert!(unmissed.is_empty(), "not missed: {unmissed:#?}");
}

/// Checks that an operator without `right` asks for it and is refused.
async fn without(number: usize, right: Right) -> Result<(), String> {
    let plane = shared();
    let name = format!("without-{number}");
    namespace(plane, &name);
    let mut objects = own_namespace(&name);
    for role in objects.iter_mut().filter(|object| object["kind"] == "Role") {
        let kept = rules(&[role]).into_iter().filter(|(own, _)| *own != right).map(|(_, rule)| rule);
        role["rules"] = kept.collect();
    }
    plane.apply(&helm::stream(&objects)).unwrap();
    let fake = tenant(0).await;
    if right.verb == "get" {
        // Every removal reads its tenant.
        let (_, kind) = REMOVALS.iter().find(|(resource, _)| *resource == right.resource).unwrap_or(&REMOVALS[0]);
        limit(&fake, *kind);
    }
    connect(plane, &name, &fake);
    let deployment = only(&objects, "Deployment");
    let changes = [("--allowed-domains", fake.domain())];
    let mut operator = Operator::start(plane, deployment, &changes).await;
    let leader = if right.resource == "leases" && right.verb == "watch" {
        // Only standbys watch the lease.
        operator.ready().await;
        Some(std::mem::replace(&mut operator, Operator::start(plane, deployment, &changes).await))
    } else {
        None
    };
    remove_one_of_each(plane, &name);
    // Roles take effect with a delay, so other refusals may come first.
    let refused = operator.relay.sees(|request| request.right == right && request.status == 403).await;
    drop(leader);
    if refused { Ok(()) } else { Err(format!("{right}: {:?}\n{}", operator.relay.refused(), operator.log())) }
}
