//! The CustomResourceDefinitions as they are installed: what the derives give, plus what they cannot say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSON,
};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{Auth0Tenant, OrgMemberRoleRemoval, OrgMembershipRemoval, UserPermissionRevocation, UserRoleRevocation};

/// One definition and the name of its file under `crds/`.
pub struct Crd {
    /// `<group>_<plural>.yaml`.
    pub file: String,
    /// The definition.
    pub definition: CustomResourceDefinition,
}

impl Crd {
    /// The definition as YAML, the way it is installed and kept under `crds/`.
    pub fn yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        serde_saphyr::to_string(&self.definition)
    }
}

/// Every kind's definition, in the order in which `rescind crds` prints them.
pub fn crds() -> Vec<Crd> {
    let removals = [
        UserPermissionRevocation::crd(),
        UserRoleRevocation::crd(),
        OrgMembershipRemoval::crd(),
        OrgMemberRoleRemoval::crd(),
    ];
    let tenants = [Auth0Tenant::crd()];
    let with_tenant = removals.into_iter().map(|crd| complete(crd, &[("Tenant", ".spec.tenantRef.name")]));
    with_tenant.chain(tenants.into_iter().map(|crd| complete(crd, &[]))).collect()
}

fn complete(mut crd: CustomResourceDefinition, first: &[(&str, &str)]) -> Crd {
    for version in &mut crd.spec.versions {
        let own = version.additional_printer_columns.take().unwrap_or_default();
        let ready = r#".status.conditions[?(@.type=="Ready")]"#;
        let mut columns: Vec<_> = first.iter().map(|(name, path)| column(name, path, "string")).collect();
        columns.extend(own);
        columns.push(column("Ready", &format!("{ready}.status"), "string"));
        columns.push(column("Reason", &format!("{ready}.reason"), "string"));
        columns.push(column("Age", ".metadata.creationTimestamp", "date"));
        version.additional_printer_columns = Some(columns);

        let status = version
            .schema
            .as_mut()
            .and_then(|validation| validation.open_api_v3_schema.as_mut())
            .and_then(|schema| schema.properties.as_mut())
            .and_then(|properties| properties.get_mut("status"));
        if let Some(status) = status {
            // kstatus takes an object without conditions for current. A generation that cannot be current prevents
            // that from the first moment on, without an early write (DESIGN section 2).
            status.default = Some(JSON(json!({ "observedGeneration": -1 })));
            status.nullable = None;
        }
    }
    let definition = unwrapped(crd);
    Crd { file: format!("{}_{}.yaml", definition.spec.group, definition.spec.names.plural), definition }
}

/// Descriptions come from doc comments, whose line ends mean nothing to readers of `kubectl explain`.
fn unwrapped(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    fn unwrap(value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match value {
                        Value::String(text) if key == "description" => *text = text.replace('\n', " "),
                        other => unwrap(other),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(unwrap),
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::to_value(&crd) else { return crd };
    unwrap(&mut value);
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
