//! The CustomResourceDefinitions as they are installed: what the derive macros make, and what those cannot express.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSON, ValidationRule,
};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::removal_kinds::removal_kinds;
use super::times::INSTANT;
use super::{Auth0Tenant, ClusterAuth0Tenant};

/// A definition and the name of its file under `crds/`.
pub struct Crd {
    /// `<group>_<plural>.yaml`.
    pub file: String,
    /// The definition.
    pub definition: CustomResourceDefinition,
}

impl Crd {
    /// The definition as YAML, as it is installed and kept under `crds/`.
    pub fn yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        serde_saphyr::to_string(&self.definition)
    }
}

/// The definitions of all kinds, in the order in which `rescind crds` prints them.
pub fn crds() -> Vec<Crd> {
    let tenants = [Auth0Tenant::crd(), ClusterAuth0Tenant::crd()];
    let tenant = [("Tenant", ".spec.tenantRef.name")];
    let removals = removal_kinds().into_iter().map(|crd| complete(crd, &tenant, removal_rules()));
    removals.chain(tenants.into_iter().map(|crd| complete(crd, &[], Vec::new()))).collect()
}

/// The rules for several fields of a removal together. A derive on a flattened part cannot express them.
fn removal_rules() -> Vec<ValidationRule> {
    let rule = |field: &str, rule: String, message: &str| ValidationRule {
        rule,
        message: Some(message.to_owned()),
        field_path: Some(format!(".{field}")),
        ..ValidationRule::default()
    };
    let both = "has(self.notBefore) && has(self.notAfter)";
    // An invalid instant is rejected by the rule of its own field; here, `timestamp()` would only add an error of its
    // own.
    let valid = format!("[self.notBefore, self.notAfter].all(time, time.matches('{INSTANT}'))");
    let in_order = "timestamp(self.notAfter) >= timestamp(self.notBefore)";
    vec![
        rule(
            "interval",
            "!has(self.interval) || self.policy == 'Continuous'".to_owned(),
            "must be left out with policy Once: write policy: Continuous to read again and again",
        ),
        rule(
            "notAfter",
            format!("!({both} && {valid}) || {in_order}"),
            "must not be earlier than notBefore, or it could never act",
        ),
    ]
}

/// The rules of the whole object: once something was removed, its times are part of the record. An object of policy
/// Continuous goes on, so its times may move; none is woken after it has expired.
fn rules_after_action() -> Vec<ValidationRule> {
    let status = "oldSelf.status";
    let ended = format!(
        "has({status}.conditions) && {status}.conditions.exists(c, c.type == 'Ready' && c.reason in ['Expired', 'NotReplayed'])"
    );
    let removed = format!(
        "(has({status}.lastRemovalTime) || has({status}.finished) && {status}.finished.mode == 'Remove') && \
         self.spec.policy != 'Continuous' && !({ended})"
    );
    let rule = |field: &str| {
        let (new, old) = (format!("self.spec.{field}"), format!("oldSelf.spec.{field}"));
        let same = format!("has({new}) == has({old}) && (!has({new}) || {new} == {old})");
        let rule = |done: &str, why: &str| ValidationRule {
            // First what is so at every write of a status.
            rule: format!("({same}) || !has({status}) || !({done})"),
            message: Some(format!("cannot be changed any more: {why}; create a new object")),
            field_path: Some(format!(".spec.{field}")),
            ..ValidationRule::default()
        };
        [
            rule(&removed, "this object has been carried out"),
            rule(&ended, "this object was too old to act, and never acts"),
        ]
    };
    ["notBefore", "notAfter"].iter().flat_map(|field| rule(field)).collect()
}

fn complete(mut crd: CustomResourceDefinition, first: &[(&str, &str)], rules: Vec<ValidationRule>) -> Crd {
    for version in &mut crd.spec.versions {
        let own = version.additional_printer_columns.take().unwrap_or_default();
        let ready = r#".status.conditions[?(@.type=="Ready")]"#;
        let mut columns: Vec<_> = first.iter().map(|(name, path)| column(name, path, "string")).collect();
        columns.extend(own);
        columns.push(column("Ready", &format!("{ready}.status"), "string"));
        columns.push(column("Reason", &format!("{ready}.reason"), "string"));
        columns.push(column("Age", ".metadata.creationTimestamp", "date"));
        version.additional_printer_columns = Some(columns);

        let schema = version.schema.as_mut().and_then(|validation| validation.open_api_v3_schema.as_mut());
        let Some(schema) = schema else { continue };
        if !rules.is_empty() {
            schema.x_kubernetes_validations.get_or_insert_default().extend(rules_after_action());
        }
        let Some(properties) = schema.properties.as_mut() else { continue };
        if let Some(spec) = properties.get_mut("spec").filter(|_| !rules.is_empty()) {
            spec.x_kubernetes_validations.get_or_insert_default().extend(rules.iter().cloned());
        }
        if let Some(status) = properties.get_mut("status") {
            // kstatus takes an object without conditions for current. An impossible observed generation prevents that
            // from the first moment on, without an early write.
            status.default = Some(JSON(json!({ "observedGeneration": -1 })));
            status.nullable = None;
        }
    }
    let definition = tidied(crd);
    Crd { file: format!("{}_{}.yaml", definition.spec.group, definition.spec.names.plural), definition }
}

/// Descriptions come from doc comments: their line ends become spaces for `kubectl explain`. And no enum may be
/// nullable: the API server would reject null as none of the words, instead of treating the field as left out.
fn tidied(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    fn tidy(value: &mut Value) {
        match value {
            Value::Object(map) => {
                if map.contains_key("enum") {
                    map.remove("nullable");
                }
                for (key, value) in map {
                    if let ("description", Value::String(text)) = (key.as_str(), &mut *value) {
                        *text = text.replace('\n', " ");
                    }
                    tidy(value);
                }
            }
            Value::Array(values) => values.iter_mut().for_each(tidy),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let Ok(mut value) = serde_json::to_value(&crd) else { return crd };
    tidy(&mut value);
    serde_json::from_value(value).unwrap_or(crd)
}

fn column(name: &str, path: &str, type_: &str) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        json_path: path.to_owned(),
        type_: type_.to_owned(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `visit` with every schema in `schema`, each with its name.
    fn walk(name: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
        visit(name, schema);
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            walk(name, field, visit);
        }
        if let Some(items) = schema.get("items") {
            walk(name, items, visit);
        }
    }

    /// YAML 1.1 parsers read an unquoted `Off` as false, and the API server would reject it for its type.
    #[test]
    fn no_word_is_a_boolean_to_yaml() {
        for crd in crds() {
            let schema = serde_json::to_value(&crd.definition.spec.versions[0]).unwrap();
            walk("", &schema["schema"]["openAPIV3Schema"], &mut |name, schema| {
                let words = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
                for word in words.map(str::to_lowercase) {
                    let boolean = ["y", "n", "yes", "no", "on", "off", "true", "false"].contains(&word.as_str());
                    assert!(!boolean, "{} {name}: {word}", crd.file);
                }
            });
        }
    }

    /// A missing default is how the operator notices that an older CRD prunes an object. The fields without a default
    /// came into the schema together with fields that have one.
    #[test]
    fn restraining_fields_have_a_default() {
        let without = [
            "interval",
            "verification",
            "notBefore",
            "notAfter",
            "hold",
            "audience",
            "caBundle",
            "allowedKinds",
            "allowedOrganizationIds",
        ];
        for crd in crds() {
            let version = serde_json::to_value(&crd.definition.spec.versions[0]).unwrap();
            let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
            let required = spec["required"].as_array().unwrap();
            for (name, field) in spec["properties"].as_object().unwrap() {
                let known = required.contains(&json!(name)) || without.contains(&name.as_str());
                assert!(known || field.get("default").is_some(), "{}: {name} has no default", crd.file);
            }
        }
    }
}
