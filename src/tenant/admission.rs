//! Whether a cluster-scoped tenant lets a removal use it (promise 7). Pure.

use std::collections::BTreeMap;

use crate::api::{Admission, LabelOperator, LabelRequirement, NamespaceSelector};
use crate::dispatch::Removal;

/// The removal that asks for a tenant.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its kind.
    pub kind: &'static str,
    /// What it removes.
    pub removal: &'a Removal,
}

/// Why the tenant `name` does not let the removal use it, for users; `None` if it does. `labels` are those of the
/// removal's namespace. The text does not show what the tenant allows: its reader may not be meant to know.
pub fn refusal(
    admission: &Admission,
    name: &str,
    applicant: &Applicant<'_>,
    labels: &BTreeMap<String, String>,
) -> Option<String> {
    let Applicant { namespace, kind, removal: Removal { endpoint, .. } } = applicant;
    if !matches(&admission.allowed_namespaces, labels) {
        return Some(format!(
            "ClusterAuth0Tenant {name} does not admit namespace {namespace}, so nothing is sent: the labels of the \
             namespace do not match spec.allowedNamespaces of the tenant. Ask an administrator of the cluster to \
             label the namespace or to change the tenant, or name another tenant in spec.tenantRef."
        ));
    }
    let named = admission.allowed_kinds.as_ref().map(|kinds| kinds.iter().any(|allowed| allowed.0 == *kind));
    if named == Some(false) {
        return Some(format!(
            "ClusterAuth0Tenant {name} does not allow {kind}, so nothing is sent. Ask an administrator of the cluster \
             to name it in spec.allowedKinds of the tenant, or name another tenant in spec.tenantRef."
        ));
    }
    let organizations = admission.allowed_organization_ids.as_ref()?;
    match endpoint.organization() {
        Some(id) if organizations.iter().any(|allowed| allowed.as_str() == &**id) => None,
        Some(id) => Some(format!(
            "ClusterAuth0Tenant {name} does not allow removals at organization {id}, so nothing is sent. Ask an \
             administrator of the cluster to name it in spec.allowedOrganizationIds of the tenant, or name another \
             tenant in spec.tenantRef."
        )),
        None if named == Some(true) => None,
        None => Some(format!(
            "ClusterAuth0Tenant {name} allows only removals at some organizations, and {kind} takes something from a \
             user in the whole Auth0 tenant, so nothing is sent. Ask an administrator of the cluster to name {kind} \
             in spec.allowedKinds of the tenant, or name another tenant in spec.tenantRef."
        )),
    }
}

/// Whether a namespace with these labels satisfies every term. No namespace matches a selector without a term, which
/// the schema rejects.
fn matches(selector: &NamespaceSelector, labels: &BTreeMap<String, String>) -> bool {
    let NamespaceSelector { match_labels, match_expressions } = selector;
    let has_terms = !(match_labels.is_empty() && match_expressions.is_empty());
    has_terms
        && match_labels.iter().all(|(key, value)| labels.get(key) == Some(&value.0))
        && match_expressions.iter().all(|requirement| holds(requirement, labels))
}

fn holds(requirement: &LabelRequirement, labels: &BTreeMap<String, String>) -> bool {
    let LabelRequirement { key, operator, values } = requirement;
    let label = labels.get(key);
    let is_named = || label.is_some_and(|label| values.iter().any(|value| value.0 == *label));
    match operator {
        LabelOperator::In => is_named(),
        // The schema rejects a list without values, which would admit everybody.
        LabelOperator::NotIn => !values.is_empty() && !is_named(),
        LabelOperator::Exists => label.is_some(),
        LabelOperator::DoesNotExist => label.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
    use kube::core::{Selector, SelectorExt};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::auth0::Endpoint;

    fn admission(namespaces: Value, more: Value) -> Admission {
        let mut spec = more;
        spec["allowedNamespaces"] = namespaces;
        serde_json::from_value(spec).unwrap()
    }

    fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn all() -> Value {
        json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]})
    }

    #[test]
    fn a_namespace_is_admitted_by_its_labels_alone() {
        let team = [("kubernetes.io/metadata.name", "a"), ("team", "people"), ("stage", "live")];
        let term = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "team", "operator": operator, "values": values}]});
        let rows = [
            (json!({}), false),
            (json!({"matchLabels": {}, "matchExpressions": []}), false),
            (all(), true),
            (json!({"matchLabels": {"team": "people"}}), true),
            (json!({"matchLabels": {"team": "People"}}), false),
            (json!({"matchLabels": {"team": "people", "stage": "test"}}), false),
            (json!({"matchLabels": {"team": "people", "stage": "live"}}), true),
            (json!({"matchLabels": {"absent": ""}}), false),
            (term("In", json!(["other", "people"])), true),
            (term("In", json!([])), false),
            (term("NotIn", json!(["people"])), false),
            (term("NotIn", json!(["other"])), true),
            (term("NotIn", json!([])), false),
            (term("Exists", json!([])), true),
            (term("DoesNotExist", json!([])), false),
            (json!({"matchExpressions": [{"key": "absent", "operator": "DoesNotExist"}]}), true),
            (json!({"matchExpressions": [{"key": "absent", "operator": "NotIn", "values": ["x"]}]}), true),
            (
                json!({"matchLabels": {"team": "people"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}),
                false,
            ),
        ];
        for (selector, expected) in rows {
            let parsed: NamespaceSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(matches(&parsed, &labels(&team)), expected, "{selector}");
        }
    }

    proptest! {
        /// A selector with terms admits what Kubernetes' own selectors select.
        #[test]
        fn selectors_mean_what_they_mean_in_kubernetes(
            equal in prop::collection::btree_map("[ab]", "[xy]", 0..2),
            terms in prop::collection::vec(
                ("[abc]", 0..4_usize, prop::collection::btree_set("[xyz]", 1..3)), 0..4
            ),
            labels in prop::collection::btree_map("[abc]", "[xyz]", 0..3),
        ) {
            let terms: Vec<Value> = terms.into_iter().map(|(key, operator, values)| {
                let operator = ["In", "NotIn", "Exists", "DoesNotExist"][operator];
                let values = if operator.ends_with("In") { json!(values) } else { json!([]) };
                json!({"key": key, "operator": operator, "values": values})
            }).collect();
            let selector = json!({"matchLabels": equal, "matchExpressions": terms});
            let ours: NamespaceSelector = serde_json::from_value(selector.clone()).unwrap();
            let theirs: Selector = serde_json::from_value::<LabelSelector>(selector).unwrap().try_into().unwrap();
            let has_terms = !(equal.is_empty() && terms.is_empty());
            prop_assert_eq!(matches(&ours, &labels), has_terms && theirs.matches(&labels));
        }
    }

    fn removal(endpoint: Endpoint) -> Removal {
        Removal { endpoint, items: Vec::new() }
    }

    #[test]
    fn kinds_and_organizations_restrict() {
        let (ours, others) = ("org_9ybsU1dN2dKfDkBi", "org_0123456789abcdef");
        let user = Endpoint::UserRoles { user: "auth0|a".into() };
        let members = |organization: &str| Endpoint::OrganizationMembers { organization: organization.into() };
        let (user_kind, members_kind) = ("UserRoleRevocation", "OrgMembershipRemoval");
        let by_kind = json!({"allowedKinds": [members_kind]});
        let by_organization = json!({"allowedOrganizationIds": [ours]});
        let by_both = json!({"allowedOrganizationIds": [ours], "allowedKinds": [user_kind]});
        let rows = [
            (json!({}), user_kind, user.clone(), None),
            (json!({}), members_kind, members(others), None),
            (by_kind.clone(), members_kind, members(others), None),
            (by_kind, user_kind, user.clone(), Some("does not allow UserRoleRevocation")),
            (json!({"allowedKinds": []}), user_kind, user.clone(), Some("does not allow UserRoleRevocation")),
            (by_organization.clone(), members_kind, members(ours), None),
            (by_organization.clone(), members_kind, members(others), Some(others)),
            (by_organization, user_kind, user.clone(), Some("in the whole Auth0 tenant")),
            (by_both.clone(), user_kind, user.clone(), None),
            (by_both, members_kind, members(ours), Some("does not allow OrgMembershipRemoval")),
            (json!({"allowedOrganizationIds": []}), members_kind, members(ours), Some(ours)),
        ];
        let own = labels(&[("kubernetes.io/metadata.name", "a")]);
        for (more, kind, endpoint, expected) in rows {
            let applicant = Applicant { namespace: "a", kind, removal: &removal(endpoint) };
            let refused = refusal(&admission(all(), more.clone()), "acme", &applicant, &own);
            assert_eq!(refused.is_some(), expected.is_some(), "{more} {kind}: {refused:?}");
            assert!(refused.is_none_or(|text| text.contains(expected.unwrap()) && text.contains("acme")), "{more}");
        }
    }

    /// What a tenant admits may be none of the reader's business.
    #[test]
    fn a_refusal_does_not_show_the_selector() {
        let selector = json!({"matchLabels": {"secret-key": "secret-value"}});
        let endpoint = Endpoint::UserRoles { user: "auth0|a".into() };
        let applicant = Applicant { namespace: "a", kind: "UserRoleRevocation", removal: &removal(endpoint) };
        let text = refusal(&admission(selector, json!({})), "acme", &applicant, &labels(&[])).unwrap();
        assert!(text.contains("acme") && text.contains("namespace a,") && !text.contains("secret-"), "{text}");
    }
}
