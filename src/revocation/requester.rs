//! Who asked for a removal, for the audit log: what the object says in the annotation `rescind.dev/requested-by`, and
//! whether the API server has enforced that this is true.
//!
//! The chart's admission policy (`requester.enforce`) demands that the annotation is the authenticated user when an
//! object is created, and that it stays. A person who may change the policy could lift it for a moment, so the annotation
//! counts as proof only if policy and binding are exactly the chart's, were never edited, and are older than the object.
//! In doubt it is only claimed.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{GROUP, REQUESTED_BY_ANNOTATION};

use super::kinds::{ForEachKind, Revocation, for_each_kind};

/// An API server enforces a policy a moment after it accepted it, and does not say when: it compiles new ones once a
/// second. Times of creation are whole seconds, and by the clock of the API server that wrote them.
const ENFORCED_AFTER: SignedDuration = SignedDuration::from_secs(10);

/// An admission policy. Its spec is kept as it is, because a field that this version does not know could make an
/// exception.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = ValidatingAdmissionPolicy)]
pub struct AdmissionPolicy {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its spec.
    #[serde(default)]
    pub spec: Value,
}

/// The binding of an admission policy.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = ValidatingAdmissionPolicyBinding)]
pub struct AdmissionBinding {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its spec.
    #[serde(default)]
    pub spec: Value,
}

/// Why one may believe the annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequesterSource {
    /// The API server has compared it with the authenticated user.
    Admission,
    /// The client wrote it, and nothing is known of what the API server made of it.
    Claimed,
}

impl RequesterSource {
    /// The word in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Claimed => "claimed",
        }
    }
}

/// The caches of the chart's policy and of its binding, which have one name.
pub struct RequesterPolicy {
    /// The name of both.
    pub name: String,
    /// The cache of the policy.
    pub policies: Store<AdmissionPolicy>,
    /// The cache of the binding.
    pub bindings: Store<AdmissionBinding>,
    /// Whether both watches work, as far as is known.
    pub is_watched: Box<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for RequesterPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequesterPolicy").field("name", &self.name).finish_non_exhaustive()
    }
}

impl RequesterPolicy {
    /// Why one may believe the annotation of an object that was created then.
    pub fn source(&self, created: Option<Timestamp>) -> RequesterSource {
        if !(self.is_watched)() {
            return RequesterSource::Claimed;
        }
        let policy = self.policies.get(&ObjectRef::new(&self.name));
        let binding = self.bindings.get(&ObjectRef::new(&self.name));
        source(&self.name, policy.as_deref(), binding.as_deref(), created)
    }
}

/// Why one may believe the annotation of an object that was created then, if these are the policy of this name and its
/// binding. The binding has to cover every namespace: which labels a namespace had when the object was created is not
/// known any more.
fn source(
    name: &str,
    policy: Option<&AdmissionPolicy>,
    binding: Option<&AdmissionBinding>,
    created: Option<Timestamp>,
) -> RequesterSource {
    // An edited object has another generation, and one that was deleted and created again is younger.
    let stood_then = |meta: &ObjectMeta| {
        let since = meta.creation_timestamp.as_ref().map(|time| time.0);
        let is_older =
            since.zip(created).is_some_and(|(since, created)| created.duration_since(since) > ENFORCED_AFTER);
        is_older && meta.generation == Some(1) && meta.deletion_timestamp.is_none()
    };
    let is_named = |meta: &ObjectMeta| meta.name.as_deref() == Some(name);
    let policy_stood = policy.is_some_and(|policy| {
        let meta = &policy.metadata;
        is_named(meta) && stood_then(meta) && policy.spec == policy_spec()
    });
    let binding_stood =
        binding.is_some_and(|binding| stood_then(&binding.metadata) && binding.spec == binding_spec(name));
    if policy_stood && binding_stood { RequesterSource::Admission } else { RequesterSource::Claimed }
}

/// The spec of the chart's policy, with everything that the API server fills in.
pub fn policy_spec() -> Value {
    let mut plurals = Plurals::default();
    for_each_kind(&mut plurals);
    plurals.0.sort_unstable();
    let value_in = |object: &str| format!("{object}.metadata.?annotations['{REQUESTED_BY_ANNOTATION}'].orValue('')");
    json!({
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {},
            "resourceRules": [{
                "apiGroups": [GROUP], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
                "resources": plurals.0, "scope": "*",
            }],
        },
        "variables": [
            {"name": "by", "expression": value_in("object")},
            {"name": "was", "expression": format!("oldObject == null ? '' : {}", value_in("oldObject"))},
        ],
        "validations": [{
            "expression":
                "oldObject == null ? variables.by == request.userInfo.username : variables.by == variables.was",
            "messageExpression": format!(
                "oldObject == null ? 'the annotation {REQUESTED_BY_ANNOTATION} must be ' + request.userInfo.username + \
                 ', who asks' : 'the annotation {REQUESTED_BY_ANNOTATION} must stay as it was: ' + variables.was"
            ),
        }],
    })
}

/// The spec of its binding.
pub fn binding_spec(name: &str) -> Value {
    json!({"policyName": name, "validationActions": ["Deny"]})
}

/// Collects the plurals of the removal kinds.
#[derive(Default)]
struct Plurals(Vec<String>);

impl ForEachKind for Plurals {
    fn visit<K: Revocation>(&mut self) {
        self.0.push(K::plural(&()).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;

    use super::*;

    const NAME: &str = "rescind-requested-by";
    const CREATED: i64 = 1_000_000;

    fn object(spec: Value) -> Value {
        let since = Timestamp::from_second(CREATED).unwrap().to_string();
        json!({"metadata": {"name": NAME, "generation": 1, "creationTimestamp": since}, "spec": spec})
    }

    /// What is said of an object that was created this long after both, when one of them was changed in this way.
    fn said(seconds: i64, change: impl Fn(&mut Value, &mut Value)) -> &'static str {
        let (mut policy, mut binding) = (object(policy_spec()), object(binding_spec(NAME)));
        change(&mut policy, &mut binding);
        let parsed = (serde_json::from_value(policy).ok(), serde_json::from_value(binding).ok());
        let created = Timestamp::from_second(CREATED + seconds).unwrap();
        source(NAME, parsed.0.as_ref(), parsed.1.as_ref(), Some(created)).as_str()
    }

    #[test]
    fn what_stood_before_the_object_is_proof() {
        for (seconds, expected) in
            [(-1, "claimed"), (0, "claimed"), (1, "claimed"), (10, "claimed"), (11, "admission"), (9999, "admission")]
        {
            assert_eq!(said(seconds, |_, _| {}), expected, "{seconds} s after the policy");
        }
        let (policy, binding): (AdmissionPolicy, AdmissionBinding) = (
            serde_json::from_value(object(policy_spec())).unwrap(),
            serde_json::from_value(object(binding_spec(NAME))).unwrap(),
        );
        assert_eq!(source(NAME, Some(&policy), Some(&binding), None), RequesterSource::Claimed, "no time is known");
        assert_eq!(source("other", Some(&policy), Some(&binding), Some(Timestamp::MAX)), RequesterSource::Claimed);
    }

    /// A cache whose watch fails may be behind without knowing it.
    #[test]
    fn what_is_not_watched_is_no_proof() {
        let (policies, mut policy_writer) = reflector::store();
        let (bindings, mut binding_writer) = reflector::store();
        let created = Some(Timestamp::from_second(CREATED + 100).unwrap());
        let says = |is_watched: bool| {
            let (policies, bindings) = (policies.clone(), bindings.clone());
            let is_watched = Box::new(move || is_watched);
            RequesterPolicy { name: NAME.to_owned(), policies, bindings, is_watched }.source(created).as_str()
        };
        assert_eq!(says(true), "claimed", "neither exists");
        let policy: AdmissionPolicy = serde_json::from_value(object(policy_spec())).unwrap();
        policy_writer.apply_watcher_event(&Event::Apply(policy));
        assert_eq!(says(true), "claimed", "it is not bound");
        let binding: AdmissionBinding = serde_json::from_value(object(binding_spec(NAME))).unwrap();
        binding_writer.apply_watcher_event(&Event::Apply(binding));
        assert_eq!((says(true), says(false)), ("admission", "claimed"));
    }

    /// Each change that could have let another value pass, now or earlier, leaves only a claim.
    #[test]
    fn any_doubt_leaves_a_claim() {
        let later = Timestamp::from_second(CREATED + 95).unwrap().to_string();
        let set = |pointer: &str, value: Value| (pointer.to_owned(), value);
        let of_both = [
            set("/metadata/creationTimestamp", json!(later)),
            set("/metadata/creationTimestamp", Value::Null),
            set("/metadata/generation", json!(2)),
            set("/metadata/generation", Value::Null),
            set("/metadata/deletionTimestamp", json!(later)),
            set("/metadata", Value::Null),
            set("/spec", Value::Null),
        ];
        let of_policy = [
            set("/metadata/name", json!("other")),
            set("/spec/failurePolicy", json!("Ignore")),
            set("/spec/paramKind", json!({"apiVersion": "v1", "kind": "ConfigMap"})),
            set("/spec/matchConditions", json!([{"name": "x", "expression": "request.userInfo.username != 'eve'"}])),
            set("/spec/matchConstraints/excludeResourceRules", json!([{}])),
            set("/spec/matchConstraints/namespaceSelector", json!({"matchLabels": {"a": "b"}})),
            set("/spec/matchConstraints/objectSelector", json!({"matchLabels": {"a": "b"}})),
            set("/spec/matchConstraints/matchPolicy", json!("Exact")),
            set("/spec/matchConstraints/resourceRules/0/resources", json!(["userrolerevocations"])),
            set("/spec/matchConstraints/resourceRules/0/operations", json!(["CREATE"])),
            set("/spec/matchConstraints/resourceRules/0/resourceNames", json!(["jane"])),
            set("/spec/matchConstraints/resourceRules/0/apiVersions", json!(["v1"])),
            set("/spec/variables/0/expression", json!("request.userInfo.username")),
            set("/spec/validations/0/expression", json!("true")),
            set("/spec/validations", json!([])),
            set("/spec/aFieldOfTheFuture", json!(true)),
        ];
        let of_binding = [
            set("/spec/policyName", json!("other")),
            set("/spec/validationActions", json!(["Audit"])),
            set("/spec/validationActions", json!(["Warn", "Audit"])),
            set("/spec/matchResources", json!({"namespaceSelector": {"matchLabels": {"a": "b"}}})),
            set("/spec/paramRef", json!({"name": "x", "parameterNotFoundAction": "Allow"})),
            set("/spec/aFieldOfTheFuture", json!(true)),
        ];
        let put = |object: &mut Value, (pointer, value): &(String, Value)| {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap()[key] = value.clone();
        };
        for change in of_both.iter().chain(&of_policy) {
            assert_eq!(said(100, |policy, _| put(policy, change)), "claimed", "policy: {change:?}");
        }
        for change in of_both.iter().chain(&of_binding) {
            assert_eq!(said(100, |_, binding| put(binding, change)), "claimed", "binding: {change:?}");
        }
        assert_eq!(said(100, |_, _| {}), "admission");
    }
}
