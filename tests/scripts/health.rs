//! The health script on every status, whatever the order of the conditions and whatever is missing.

use rescind::api::Reason;
use serde_json::{Value, json};

use crate::lua::{health, kinds, script};
use crate::statuses::{Case, all, fresh, of_removal};

fn text() -> String {
    script("health.lua")
}

#[test]
fn every_status_has_the_health_of_the_table() {
    for Case { name, reason, object, health: expected, .. } in all() {
        let (status, message) = health(&text(), &object).unwrap();
        assert_eq!(status, expected, "{name}: {object:#}");
        let ready = object["status"]["conditions"][0].clone();
        assert_eq!(ready["reason"], reason.as_str());
        assert_eq!(ready["message"], message, "people read why in Argo CD, too");
    }
}

#[test]
fn an_object_that_was_not_looked_at_is_progressing() {
    for kind in kinds() {
        let mut object = fresh(&kind);
        for status in [json!({"observedGeneration": -1}), json!({}), Value::Null] {
            object["status"] = status;
            assert_eq!(health(&text(), &object).unwrap().0, "Progressing", "{object:#}");
        }
        object["status"] = json!({"observedGeneration": 3, "conditions": []});
        assert_eq!(health(&text(), &object).unwrap().0, "Progressing", "no condition is no verdict");
        object.as_object_mut().unwrap().remove("status");
        assert_eq!(health(&text(), &object).unwrap().0, "Progressing");
    }
}

/// A verdict on an earlier spec says nothing about this one, good or bad: a sync wave must neither go on nor fail by
/// it.
#[test]
fn a_changed_object_is_progressing() {
    for Case { name, mut object, .. } in all() {
        object["metadata"]["generation"] = json!(4);
        assert_eq!(health(&text(), &object).unwrap().0, "Progressing", "{name}");
        // The same holds for conditions that others write late.
        object["status"]["observedGeneration"] = json!(4);
        assert_eq!(health(&text(), &object).unwrap().0, "Progressing", "{name}");
    }
}

#[test]
fn suspended_is_seen_at_once_and_whatever_the_status_says() {
    for Case { name, mut object, .. } in all() {
        object["spec"]["suspend"] = json!(true);
        assert_eq!(health(&text(), &object).unwrap().0, "Suspended", "{name}");
    }
    let mut object = fresh("UserRoleRevocation");
    object["spec"]["suspend"] = json!(true);
    assert_eq!(health(&text(), &object).unwrap().0, "Suspended", "also while no operator runs");
}

/// Every order of the conditions, with a foreign one among them.
#[test]
fn the_order_of_conditions_carries_no_meaning() {
    for Case { name, mut object, health: expected, .. } in all() {
        let mut conditions = object["status"]["conditions"].as_array().unwrap().clone();
        conditions.push(json!({"type": "example.com/Seen", "status": "True", "reason": "x", "message": "x"}));
        for order in permutations(conditions.len()) {
            object["status"]["conditions"] = order.iter().map(|i| conditions[*i].clone()).collect();
            assert_eq!(health(&text(), &object).unwrap().0, expected, "{name}: {object:#}");
        }
    }
}

/// What came back was removed again: still Healthy, but the message says that it does come back.
#[test]
fn what_came_back_is_said_beside_the_verdict() {
    let mut cases = of_removal("UserRoleRevocation");
    cases.retain(|case| case.reason == Reason::Removed);
    let Case { mut object, .. } = cases.remove(0);
    let removed = object["status"]["conditions"][0]["message"].as_str().unwrap().to_owned();
    let drifted = json!({"type": "Drifted", "status": "True", "reason": "KeepsComingBack", "message": "It came back.",
        "observedGeneration": 3});
    object["status"]["conditions"].as_array_mut().unwrap().push(drifted);
    for (policy, message) in [("Continuous", format!("{removed} It came back.")), ("Once", removed)] {
        object["spec"]["policy"] = json!(policy);
        assert_eq!(health(&text(), &object).unwrap(), ("Healthy".to_owned(), message), "{policy}");
    }
    object["spec"]["policy"] = json!("Continuous");
    object["spec"]["suspend"] = json!(true);
    assert_eq!(health(&text(), &object).unwrap().0, "Suspended");
}

/// A removal that limits nothing did what it was asked for: Healthy, and the message says that it limits nothing.
#[test]
fn a_removal_without_effect_is_healthy_and_says_so() {
    let mut cases = of_removal("UserPermissionRevocation");
    cases.retain(|case| case.reason == Reason::Removed);
    let Case { object, .. } = cases.remove(0);
    let removed = object["status"]["conditions"][0]["message"].as_str().unwrap().to_owned();
    for (status, message) in
        [("False", format!("{removed} RBAC is off.")), ("Unknown", removed.clone()), ("True", removed.clone())]
    {
        let mut object = object.clone();
        let effective = json!({"type": "Effective", "status": status, "reason": "x", "message": "RBAC is off.",
            "observedGeneration": 3});
        object["status"]["conditions"].as_array_mut().unwrap().push(effective);
        assert_eq!(health(&text(), &object).unwrap(), ("Healthy".to_owned(), message), "{status}");
    }
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    match n {
        0 => vec![Vec::new()],
        n => permutations(n - 1)
            .into_iter()
            .flat_map(|rest| (0..n).map(move |i| [&rest[..i], &[n - 1], &rest[i..]].concat()))
            .collect(),
    }
}

/// With any two fields missing or null, the script never fails (Argo CD would show Unknown) and never gives a better
/// health.
#[test]
fn missing_fields_are_never_an_error_and_never_good_news() {
    let text = text();
    let mut cases = of_removal("UserRoleRevocation");
    cases.sort_by_key(|case| case.reason.as_str());
    cases.dedup_by_key(|case| case.reason);
    for Case { name, object, health: expected, .. } in cases {
        let mut paths = Vec::new();
        walk("", &object, &mut paths);
        for (i, first) in paths.iter().enumerate() {
            for second in &paths[i..] {
                for replacement in [None, Some(Value::Null)] {
                    let mut poorer = object.clone();
                    drop_field(&mut poorer, first, replacement.clone());
                    drop_field(&mut poorer, second, replacement);
                    let (found, _) =
                        health(&text, &poorer).unwrap_or_else(|e| panic!("{name}, {first}, {second}: {e}"));
                    assert!(found == expected || found == "Progressing", "{name}, {first}, {second}: {found}");
                }
            }
        }
    }
}

/// JSON pointers to everything below the top except `metadata`, which the API server writes.
fn walk(at: &str, value: &Value, paths: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (format!("{at}/{key}"), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(i, value)| (format!("{at}/{i}"), value)).collect(),
        _ => return,
    };
    for (path, child) in children {
        if path != "/metadata" {
            paths.push(path.clone());
        }
        walk(&path, child, paths);
    }
}

fn drop_field(object: &mut Value, path: &str, replacement: Option<Value>) {
    let (parent, name) = path.rsplit_once('/').unwrap();
    match (object.pointer_mut(parent), replacement) {
        (Some(Value::Object(map)), None) => drop(map.remove(name)),
        (Some(Value::Object(map)), Some(value)) => drop(map.insert(name.to_owned(), value)),
        // Lists from the API server have no null elements.
        (Some(Value::Array(list)), _) => {
            let index: usize = name.parse().unwrap();
            if index < list.len() {
                list.remove(index);
            }
        }
        _ => {}
    }
}
