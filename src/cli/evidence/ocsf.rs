//! A report as events of the Open Cybersecurity Schema Framework (OCSF), one a line, for programs that collect such.
//! docs/evidence.md has the mapping. Pure.

use serde_json::{Value, json};

use crate::cli::error::CliError;

use super::report::Evidence;
use super::row::{Row, Standing};

/// The version of the schema. Earlier ones have no activity for the removal of roles.
const VERSION: &str = "1.9.0";

/// All removals, one event a line.
pub fn lines(evidence: &Evidence) -> Result<String, CliError> {
    let mut out = String::new();
    for row in &evidence.rows {
        let text = serde_json::to_string(&event(row));
        out += &text.map_err(|error| CliError::failed(format!("the events cannot be written ({error})")))?;
        out.push('\n');
    }
    Ok(out)
}

/// The class of an event, what was done, and what it was done with.
fn class(row: &Row) -> (u32, &'static str, u32, &'static str, Value) {
    let management = |activity, name, fields| (3007, "User Management", activity, name, fields);
    let role = || json!([{"uid": row.item_id}]);
    match (row.item_type, &row.item_of) {
        ("permission", of) => {
            let resources = json!([{"uid": of, "type": "API"}]);
            management(15, "Remove Privileges", json!({"privileges": [row.item_id], "resources": resources}))
        }
        ("membership", _) => {
            let group = json!({"uid": row.item_id, "type": "Auth0 organization"});
            (3006, "Group Management", 4, "Remove User", json!({ "group": group }))
        }
        (_, None) => management(17, "Remove Roles", json!({"iam_roles": role()})),
        (_, Some(of)) => {
            let resources = json!([{"uid": of, "type": "Auth0 organization"}]);
            management(17, "Remove Roles", json!({"iam_roles": role(), "resources": resources}))
        }
    }
}

fn event(row: &Row) -> Value {
    let (class, class_name, activity, activity_name, fields) = class(row);
    // A removal that waits has neither succeeded nor failed.
    let waits = [
        "Queued",
        "AwaitingProof",
        "TenantNotReady",
        "RateLimited",
        "Auth0Unavailable",
        "AwaitingConsistency",
        "Scheduled",
        "NotLookedAt",
        "unknown",
    ];
    let (status, status_name) = match row.standing {
        Standing::Proved | Standing::Unproved => (1, "Success"),
        Standing::NotDone if waits.contains(&row.verdict.as_str()) => (0, "Unknown"),
        Standing::NotDone => (2, "Failure"),
    };
    let (severity, severity_name) = if row.exceptions().is_empty() { (1, "Informational") } else { (3, "Medium") };
    let at = row.removed_at.or(row.proved_at).or(row.requested_at);
    let proof = match row.standing {
        Standing::Proved => format!("proved ({})", row.proof),
        Standing::Unproved => format!("not proved ({})", row.proof),
        Standing::NotDone => "not done".to_owned(),
    };
    let mut event = json!({
        "category_uid": 3,
        "category_name": "Identity & Access Management",
        "class_uid": class,
        "class_name": class_name,
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": class * 100 + activity,
        "type_name": format!("{class_name}: {activity_name}"),
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "status_code": row.verdict,
        "status_detail": proof,
        "message": row.message,
        "time": at.map(|at| at.as_millisecond()),
        "start_time": row.requested_at.map(|at| at.as_millisecond()),
        "end_time": row.proved_at.map(|at| at.as_millisecond()),
        "metadata": {
            "version": VERSION,
            "product": {"name": "Rescind", "vendor_name": "Rescind", "version": env!("CARGO_PKG_VERSION")},
            "uid": format!("{}/{}/{}", row.uid, row.user_id, row.item_id),
            "correlation_uid": row.correlation_id,
        },
        "user": {"uid": row.user_id, "name": row.user_name, "domain": row.domain},
        "actor": {"user": {"name": row.requested_by}},
        "unmapped": {
            "object": {"kind": row.kind, "namespace": row.namespace, "name": row.name, "uid": row.uid},
            "requested_by_source": row.requested_by_source.map(|source| source.as_str()),
            "within_sla": row.within_sla.as_str(),
            "effective": row.effective,
            "exceptions": row.exceptions(),
        },
    });
    if let (Some(event), Value::Object(fields)) = (event.as_object_mut(), fields) {
        event.extend(fields);
    }
    without_nothing(&mut event);
    event
}

/// Takes out what is missing: the schema has no null, and an actor without a name is none.
fn without_nothing(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.values_mut().for_each(without_nothing);
        fields.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|inner| !inner.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::evidence::row::Source;

    #[test]
    fn each_kind_of_removal_has_its_type() {
        let of = |item_type, of: Option<&str>| {
            let row = Row { item_type, item_id: "x".into(), item_of: of.map(str::to_owned), ..Row::default() };
            event(&row)
        };
        assert_eq!(of("role", None)["type_uid"], 300_717);
        assert_eq!(of("organization-role", Some("org_1"))["resources"][0]["uid"], "org_1");
        assert_eq!(of("permission", Some("api"))["type_uid"], 300_715);
        assert_eq!(of("permission", Some("api"))["privileges"], json!(["x"]));
        assert_eq!(of("membership", None)["type_uid"], 300_604);
        assert_eq!(of("membership", None)["group"]["uid"], "x");
    }

    #[test]
    fn what_waits_has_not_failed() {
        let status = |standing, verdict: &str| {
            event(&Row { standing, verdict: verdict.into(), ..Row::default() })["status_id"].clone()
        };
        assert_eq!(status(Standing::Proved, "Removed"), 1);
        assert_eq!(status(Standing::NotDone, "RateLimited"), 0);
        assert_eq!(status(Standing::NotDone, "Protected"), 2);
    }

    #[test]
    fn nothing_is_null() {
        let bare = event(&Row::default()).to_string();
        assert!(!bare.contains("null") && !bare.contains("actor"), "{bare}");
        let asked =
            Row { requested_by: Some("lee".into()), requested_by_source: Some(Source::Claimed), ..Row::default() };
        assert_eq!(event(&asked)["actor"]["user"]["name"], "lee");
    }
}
