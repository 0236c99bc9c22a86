//! Whom a cluster-scoped tenant admits.

use serde_json::json;

use super::targets::{not_text, null_is_missed};
use super::*;

const ONE_TERM: &str = "must have at least one term; to admit all namespaces write matchExpressions: [{key: \
                        kubernetes.io/metadata.name, operator: Exists}]";
const VALUES: &str = "must have values with operator In or NotIn, and none with Exists or DoesNotExist";
const KEY: &str = "must be the key of a label, such as rescind.dev/tenant or kubernetes.io/metadata.name";
const VALUE: &str = "must be the value of a label: at most 63 letters";

fn selectors() -> Vec<Row> {
    let all = json!({"key": "kubernetes.io/metadata.name", "operator": "Exists"});
    let labels = json!({"team": "people"});
    let cases = [
        kept("one label", json!({"matchLabels": labels})),
        kept("all namespaces", json!({"matchExpressions": [all]})),
        kept("both", json!({"matchLabels": labels, "matchExpressions": [all]})),
        left_out_is_refused(),
        null_is_missed(),
        refused("empty", json!({}), ONE_TERM),
        refused("without a term", json!({"matchLabels": {}, "matchExpressions": []}), ONE_TERM),
        refused("names", json!(["people"]), "must be of type object"),
        refused("a text", "*", "must be of type object"),
    ];
    rows(&[(&CA0T, "spec.allowedNamespaces")], None, &cases)
}

fn labels() -> Vec<Row> {
    let many = |count: usize| (0..count).map(|n| (format!("l{n}"), json!("x"))).collect::<serde_json::Map<_, _>>();
    let place = "spec.allowedNamespaces.matchLabels";
    let cases = [
        kept("an empty value", json!({"team": ""})),
        kept("the longest value", json!({"team": "a".repeat(63)})),
        kept("the most", many(16)),
        refused("one too many", many(17), "must have at most 16 items"),
        refused_at("a list of values", json!({"team": ["a", "b"]}), ".team", "must be of type string"),
        refused_at("a value too long", json!({"team": "a".repeat(64)}), ".team", "may not be more than 63"),
        refused_at("a value with a space", json!({"team": "a b"}), "[team]", VALUE),
        refused_at("a pattern", json!({"team": "*"}), "[team]", VALUE),
        refused_at("a truth value", json!({"team": true}), ".team", "must be of type string"),
    ];
    rows(&[(&CA0T, place)], None, &cases)
}

fn expressions() -> Vec<Row> {
    let place = "spec.allowedNamespaces.matchExpressions";
    let exists = |n: usize| json!({"key": format!("l{n}"), "operator": "Exists"});
    let list = |count: usize| (0..count).map(exists).collect::<Vec<_>>();
    let with = |operator: &str, values: Value| json!([{"key": "team", "operator": operator, "values": values}]);
    let cases = [
        kept("the most", list(16)),
        refused("one too many", list(17), "must have at most 16 items"),
        kept("one of", with("In", json!(["a", "b"]))),
        kept("none of", with("NotIn", json!(["a"]))),
        kept("absent", json!([{"key": "team", "operator": "DoesNotExist"}])),
        refused_at("one of nothing", with("In", json!([])), "[0]", VALUES),
        refused_at("none of nothing", json!([{"key": "team", "operator": "NotIn"}]), "[0]", VALUES),
        refused_at("there with values", with("Exists", json!(["a"])), "[0]", VALUES),
        refused_at("absent with values", with("DoesNotExist", json!(["a"])), "[0]", VALUES),
    ];
    let mut all = rows(&[(&CA0T, place)], None, &cases);
    let base = json!({"allowedNamespaces": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}});
    let mut keys = vec![
        kept("a name", "Team_1.x"),
        kept("with a prefix", "rescind.dev/tenant"),
        kept("the longest", format!("{}/{}", "a".repeat(253), "b".repeat(63))),
        refused("empty", "", KEY),
        refused("two slashes", "a/b/c", KEY),
        refused("a space", "a b", KEY),
        refused("a prefix in upper case", "Rescind.dev/tenant", KEY),
        left_out_is_refused(),
        null_is_missed(),
    ];
    keys.extend(not_text());
    all.extend(beside(rows(&[(&CA0T, "spec.allowedNamespaces.matchExpressions[0].key")], None, &keys), &base));
    let words = r#"supported values: "In", "NotIn", "Exists", "DoesNotExist""#;
    let operators = [
        kept("none of", "NotIn"),
        refused("in lower case", "in", words),
        refused("a sign", "=", words),
        left_out_is_refused(),
        null_is_missed(),
    ];
    all.extend(beside(
        rows(&[(&CA0T, "spec.allowedNamespaces.matchExpressions[0].operator")], None, &operators),
        &base,
    ));
    let many = |count: usize| (0..count).map(|n| json!(n.to_string())).collect::<Vec<_>>();
    let values = [
        kept("the most", many(100)),
        refused("one too many", many(101), "must have at most 100 items"),
        refused_at("twice the same", json!(["a", "a"]), "[1]", "Duplicate value"),
        refused_at("a space", json!(["a b"]), "[0]", VALUE),
        refused("a text", "a", "must be of type array"),
    ];
    all.extend(beside(rows(&[(&CA0T, "spec.allowedNamespaces.matchExpressions[0].values")], None, &values), &base));
    all
}

fn limits() -> Vec<Row> {
    let kinds = ["UserPermissionRevocation", "UserRoleRevocation", "OrgMembershipRemoval", "OrgMemberRoleRemoval"];
    let words = r#"supported values: "UserPermissionRevocation", "UserRoleRevocation", "OrgMembershipRemoval", "OrgMemberRoleRemoval""#;
    let none = "should have at least 1 items";
    let cases = [
        kept("all four", json!(kinds)),
        left_out_is(()),
        kept("null", ()),
        refused("none", json!([]), none),
        refused_at("twice the same", json!([kinds[0], kinds[0]]), "[1]", "Duplicate value"),
        refused_at("a short name", json!(["urr"]), "[0]", words),
        refused_at("a tenant", json!(["Auth0Tenant"]), "[0]", words),
        refused("a text", kinds[0], "must be of type array"),
    ];
    let mut all = rows(&[(&CA0T, "spec.allowedKinds")], None, &cases);
    let ids = |count: usize| (0..count).map(|n| json!(format!("org_{n:016}"))).collect::<Vec<_>>();
    let cases = [
        kept("one", json!([ORG])),
        kept("the most", ids(100)),
        refused("one too many", ids(101), "must have at most 100 items"),
        left_out_is(()),
        kept("null", ()),
        refused("none", json!([]), none),
        refused_at("twice the same", json!([ORG, ORG]), "[1]", "Duplicate value"),
        refused_at("a name", json!(["acme"]), "[0]", "must be an Auth0 organization id such as org_9ybsU1dN2dKfDkBi"),
        refused("a text", ORG, "must be of type array"),
    ];
    all.extend(rows(&[(&CA0T, "spec.allowedOrganizationIds")], None, &cases));
    let cases = [
        kept("the least", 1),
        kept("the most", 10_000_000),
        left_out_is(()),
        refused("none", 0, "should be greater than or equal to"),
        refused("one more", 10_000_001, "should be less than or equal to"),
        refused("a text", "10", "must be of type int"),
    ];
    all.extend(rows(&[(&CA0T, "spec.brake.maxRemovalsTotal")], None, &cases));
    all
}

pub fn table() -> Vec<Row> {
    [selectors(), labels(), expressions(), limits()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_tenant_says_whom_it_admits() {
    run(table()).await;
}
