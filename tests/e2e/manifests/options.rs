//! The fields that all removal kinds share, and fields that do not exist.

use serde_json::json;

use super::targets::{not_text, null_is_missed};
use super::*;

const TENANT_NAME: &str = "must be the name of an Auth0Tenant in this namespace, or of a ClusterAuth0Tenant: lower-case letters, digits, '-' and '.'";

/// Names of other objects. `says` is what the message tells the user to write.
pub fn object_names(says: &'static str) -> Vec<Case> {
    vec![
        kept("a name", "acme-eu.production"),
        kept("one letter", "a"),
        kept("digits", "0"),
        kept("the longest", "a".repeat(253)),
        refused("one character too long", "a".repeat(254), "may not be more than 253"),
        refused("empty", "", says),
        refused("of another namespace", "other/default", "there is no way to name another namespace"),
        refused("steps in a path", "../other/default", says),
        refused("two dots alone", "..", says),
        refused("two dots inside", "a..b", says),
        refused("a dash beside a dot", "a-.b", says),
        refused("upper case", "Default", says),
        refused("an underscore", "my_tenant", says),
        refused("a dash at the end", "acme-", says),
        refused("a dot at the start", ".acme", says),
        refused("a space after", "acme ", says),
        refused("a line end after", "acme\n", says),
        refused("a letter beyond ASCII", "bücher", says),
    ]
}

/// A boolean that defaults to false.
pub fn switch() -> Vec<Case> {
    vec![
        kept("on", true),
        kept("off", false),
        left_out_is(false),
        becomes("null", (), false),
        refused("a text", "true", "must be of type boolean"),
        refused("a number", 1, "must be of type boolean"),
        refused("empty", "", "must be of type boolean"),
    ]
}

/// An enum; `says` is the message that lists its words.
pub fn word(words: &[&'static str], default: &'static str, says: &'static str) -> Vec<Case> {
    let mut cases: Vec<_> = words.iter().map(|word| kept("a word of the list", *word)).collect();
    cases.extend([
        left_out_is(default),
        becomes("null", (), default),
        refused("lower case", default.to_lowercase(), says),
        refused("another word", "Perhaps", says),
        refused("empty", "", says),
        refused("a truth value", true, "must be of type string"),
        refused("a list", json!([default]), "must be of type string"),
    ]);
    cases
}

fn shared() -> Vec<Row> {
    let at = |place| REMOVALS.map(|kind| (kind, place));
    let default = json!({"kind": "Auth0Tenant", "name": "default"});
    let references = [
        left_out_is(default.clone()),
        becomes("null", (), default.clone()),
        becomes("empty", json!({}), default.clone()),
        becomes("a name alone", json!({"name": "other"}), json!({"kind": "Auth0Tenant", "name": "other"})),
        becomes("a kind alone", json!({"kind": "Auth0Tenant"}), default),
        refused("a text", "default", "must be of type object"),
        refused("a list", json!([]), "must be of type object"),
    ];
    let mut names = object_names(TENANT_NAME);
    names.extend([left_out_is("default"), becomes("null", (), "default")]);
    names.extend(not_text());
    let mut rows = rows(&at("spec.tenantRef"), None, &references);
    rows.extend(super::rows(&at("spec.tenantRef.name"), None, &names));
    let words = ["Auth0Tenant", "ClusterAuth0Tenant"];
    let kinds = word(&words, "Auth0Tenant", r#"supported values: "Auth0Tenant", "ClusterAuth0Tenant""#);
    rows.extend(super::rows(&at("spec.tenantRef.kind"), None, &kinds));
    let words = word(&["Fail", "Ignore"], "Fail", r#"supported values: "Fail", "Ignore""#);
    rows.extend(super::rows(&at("spec.ifNotFound"), None, &words));
    let words = word(&["Once", "Continuous"], "Once", r#"supported values: "Once", "Continuous""#);
    rows.extend(super::rows(&at("spec.policy"), None, &words));
    rows.extend(super::rows(&at("spec.suspend"), None, &switch()));
    rows
}

/// A misspelt field must be refused, not treated as left out.
fn unknown() -> Vec<Row> {
    let says = [refused("unknown", "x", "unknown field")];
    let everywhere = ["spec.supend", "spec.namespace", "spec.status", "spec.tenantRef.namespace", "data"];
    let mut places: Vec<_> = REMOVALS.iter().flat_map(|kind| everywhere.map(|place| (*kind, place))).collect();
    places.extend([
        (&UPR, "spec.hold.foo"),
        (&URR, "spec.unknown"),
        (&UPR, "spec.user_id"),
        (&UPR, "spec.permission"),
        (&UPR, "spec.roles"),
        (&UPR, "spec.permissions[0].resource_server_identifier"),
        (&UPR, "spec.permissions[0].permission_name"),
        (&URR, "spec.userID"),
        (&URR, "spec.role"),
        (&URR, "spec.organizationId"),
        (&OMR, "spec.userId"),
        (&OMR, "spec.member"),
        (&OMRR, "spec.organization"),
        (&OMRR, "spec.members"),
        (&A0T, "spec.brake.x"),
        (&A0T, "spec.unknown"),
        (&A0T, "spec.token"),
        (&A0T, "spec.Domain"),
        (&A0T, "spec.tenantRef"),
        (&A0T, "spec.credentials.token"),
        (&A0T, "spec.credentials.tokenSecretRef.namespace"),
        (&A0T, "stringData"),
        (&A0T, "spec.allowedNamespaces"),
        (&A0T, "spec.brake.maxRemovalsTotal"),
        (&CA0T, "spec.unknown"),
        (&CA0T, "spec.namespace"),
        (&CA0T, "spec.namespaceSelector"),
        (&CA0T, "spec.allowedNamespaces.names"),
        (&CA0T, "spec.credentials.tokenSecretRef.namespace"),
    ]);
    rows(&places, None, &says)
}

fn whole() -> Vec<Row> {
    let cases = [
        left_out_is_refused(),
        null_is_missed(),
        refused("a text", "x", "must be of type object"),
        refused("a list", json!([]), "must be of type object"),
    ];
    rows(&KINDS.map(|kind| (kind, "spec")), None, &cases)
}

pub fn table() -> Vec<Row> {
    let mut rows = shared();
    rows.extend(unknown());
    rows.extend(whole());
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_fields_are_validated_and_unknown_fields_refused() {
    run(table()).await;
}
