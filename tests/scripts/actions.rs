//! The resource actions (buttons): which are enabled, and that each changes only what it is for.

use rescind::api::RECONCILE_ANNOTATION;
use serde_json::{Value, json};

use crate::lua::{NOW, kinds, run, script};
use crate::statuses::{all, fresh, is_tenant};

pub const ACTIONS: [&str; 3] = ["reconcile", "suspend", "resume"];

/// The actions that discovery returns: name, whether disabled, icon.
pub fn discovered(object: &Value) -> Vec<(String, bool, String)> {
    let found = run(&script("actions/discovery.lua"), object).unwrap();
    let action = |(name, action): (&String, &Value)| {
        (name.clone(), action["disabled"].as_bool().unwrap(), action["iconClass"].as_str().unwrap().to_owned())
    };
    found.as_object().unwrap().iter().map(action).collect()
}

fn enabled(object: &Value) -> Vec<String> {
    discovered(object).into_iter().filter(|(_, disabled, _)| !disabled).map(|(name, ..)| name).collect()
}

#[test]
fn what_is_suspended_can_only_be_resumed() {
    for kind in kinds() {
        let mut object = fresh(&kind);
        let running: &[&str] = if is_tenant(&kind) { &["suspend"] } else { &["reconcile", "suspend"] };
        assert_eq!(enabled(&object), running);
        object["spec"].as_object_mut().unwrap().remove("suspend");
        assert_eq!(enabled(&object), running, "the field may be missing");
        object["spec"]["suspend"] = json!(true);
        assert_eq!(enabled(&object), ["resume"]);
    }
}

/// Argo CD sends the difference as a patch, so every change that a script makes is written.
#[test]
fn actions_change_one_field() {
    let objects = all().into_iter().map(|case| case.object).chain(kinds().into_iter().map(|kind| fresh(&kind)));
    for object in objects {
        for suspend in [Some(json!(true)), Some(json!(false)), None] {
            let mut before = object.clone();
            match suspend {
                Some(suspend) => before["spec"]["suspend"] = suspend,
                None => drop(before["spec"].as_object_mut().unwrap().remove("suspend")),
            }
            for name in enabled(&before) {
                let after = run(&script(&format!("actions/{name}/action.lua")), &before).unwrap();
                let mut wanted = before.clone();
                match name.as_str() {
                    "reconcile" => wanted["metadata"]["annotations"][RECONCILE_ANNOTATION] = json!(NOW),
                    "suspend" => wanted["spec"]["suspend"] = json!(true),
                    "resume" => wanted["spec"]["suspend"] = json!(false),
                    other => panic!("an unknown action: {other}"),
                }
                assert_eq!(after, wanted, "{name}");
            }
        }
    }
}

#[test]
fn a_request_leaves_other_annotations_alone() {
    let mut object = fresh("UserRoleRevocation");
    object["metadata"]["annotations"] = json!({"a": "b", RECONCILE_ANNOTATION: "earlier"});
    let after = run(&script("actions/reconcile/action.lua"), &object).unwrap();
    assert_eq!(after["metadata"]["annotations"], json!({"a": "b", RECONCILE_ANNOTATION: NOW}));
}
