//! What a cluster-scoped tenant lets the namespaces do. Who is admitted is decided in the tenant room.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::OrganizationId;
use super::removal_kinds::RemovalKind;

/// The rule for values of labels. `self` is one of them.
const LABEL_VALUE: &str = "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$')";
const LABEL_VALUE_SAYS: &str = "must be the value of a label: at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit";

/// Which namespaces may use the tenant, and for what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// The namespaces whose removals may use this tenant, by their labels. Who may label namespaces decides who may use
    /// the tenant. A namespace that loses its label is out before the next call.
    pub allowed_namespaces: NamespaceSelector,

    /// The kinds of removals that may use this tenant. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_kinds: Option<Vec<RemovalKind>>,

    /// The organizations at which removals may use this tenant, by organization id. Default: all. If it is set, only
    /// removals at these organizations are allowed: kinds that take something from a user in the whole Auth0 tenant are
    /// refused unless `allowedKinds` names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_organization_ids: Option<Vec<OrganizationId>>,
}

/// A label selector with at least one term. A namespace matches if it satisfies every term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)")
    .message("must have at least one term; to admit all namespaces write matchExpressions: [{key: kubernetes.io/metadata.name, operator: Exists}]"))]
pub struct NamespaceSelector {
    /// Labels that a namespace must have with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub match_labels: BTreeMap<String, LabelValue>,

    /// Conditions on labels of a namespace, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// A condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)")
    .message("must have values with operator In or NotIn, and none with Exists or DoesNotExist"))]
pub struct LabelRequirement {
    /// The key of the label.
    #[schemars(length(min = 1, max = 317))]
    #[x_kube(validation = Rule::new(
        "self.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')")
        .message("must be the key of a label, such as rescind.dev/tenant or kubernetes.io/metadata.name"))]
    pub key: String,

    /// In: the label has one of `values`. NotIn: it has none of them, or is absent. Exists: it is there. DoesNotExist:
    /// it is absent.
    pub operator: LabelOperator,

    /// The values, with operator In or NotIn only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub values: Vec<LabelValue>,
}

/// The operators of a label selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or is absent.
    NotIn,
    /// The label is there, whatever its value.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// The value of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": LABEL_VALUE, "message": LABEL_VALUE_SAYS}]))]
pub struct LabelValue(#[schemars(length(max = 63))] pub String);
