//! A removal object of any kind, from the cluster or from a file, and the list of the kinds.

use std::sync::OnceLock;

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Resource;
use kube::core::{ApiResource, ObjectMeta};
use serde::Serialize;
use serde_json::Value;

use crate::api::{RemovalOptions, RemovalStatus, requested_by};
use crate::auth0::EndpointRow;
use crate::dispatch::Removal;
use crate::revocation::{ForEachKind, Revocation, for_each_kind};
use crate::tenant::TenantKey;

/// A removal kind.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name, as in manifests.
    pub name: &'static str,
    /// Its short name, as in `kubectl get`.
    pub short: String,
    /// Where its objects are.
    pub resource: ApiResource,
    /// The row of its endpoint.
    pub row: &'static EndpointRow,
    /// Whether the API server can select its objects by their `spec.userId`.
    pub is_selectable_by_user: bool,
    parse: fn(Value) -> Result<Object, String>,
}

/// A removal object.
#[derive(Clone, Debug)]
pub struct Object {
    /// The name of its kind.
    pub kind: &'static str,
    /// Its metadata.
    pub meta: ObjectMeta,
    /// What it names.
    pub removal: Removal,
    /// The fields of its spec that all kinds share.
    pub options: RemovalOptions,
    /// Its status.
    pub status: Option<RemovalStatus>,
}

impl Object {
    /// `kind/name`.
    pub fn title(&self) -> String {
        format!("{}/{}", self.kind, self.name())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.meta.name.as_deref().unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.meta.namespace.as_deref().unwrap_or_default()
    }

    /// When it was created.
    pub fn created(&self) -> Option<Timestamp> {
        self.meta.creation_timestamp.as_ref().map(|time| time.0)
    }

    /// The tenant object that it uses.
    pub fn tenant(&self) -> TenantKey {
        TenantKey::of(self.namespace(), &self.options.tenant_ref)
    }

    /// Who asked for it, as its annotation says.
    pub fn requested_by(&self) -> Option<String> {
        requested_by(&self.meta)
    }

    /// Whether it is about this user.
    pub fn concerns(&self, user: &str) -> bool {
        let names = |item: &crate::auth0::Item| matches!(item, crate::auth0::Item::Id(id) if **id == *user);
        self.removal.endpoint.user().is_some_and(|id| **id == *user)
            || self.removal.endpoint.user().is_none() && self.removal.items.iter().any(names)
    }
}

/// Every removal kind, in the order of the documentation.
pub fn kinds() -> Vec<Kind> {
    static KINDS: OnceLock<Vec<Kind>> = OnceLock::new();
    KINDS.get_or_init(all_kinds).clone()
}

/// The definition of the kind. Making the schemas takes milliseconds, and some ask for each of many objects.
fn definition(kind: &str) -> Option<&'static CustomResourceDefinition> {
    static ALL: OnceLock<Vec<CustomResourceDefinition>> = OnceLock::new();
    let all = ALL.get_or_init(|| crate::api::crds().into_iter().map(|crd| crd.definition).collect());
    all.iter().find(|crd| crd.spec.names.kind == kind)
}

fn all_kinds() -> Vec<Kind> {
    #[derive(Default)]
    struct Kinds(Vec<Kind>);
    impl ForEachKind for Kinds {
        fn visit<K: Revocation>(&mut self) {
            let spec = definition(K::KIND).map(|crd| &crd.spec);
            let short = spec.and_then(|spec| spec.names.short_names.as_ref()?.first().cloned()).unwrap_or_default();
            let fields = spec.and_then(|spec| spec.versions.first()?.selectable_fields.as_ref());
            let is_selectable_by_user = fields.is_some_and(|all| all.iter().any(|one| one.json_path == ".spec.userId"));
            let (name, resource, row) = (K::KIND, ApiResource::erase::<K>(&()), K::row());
            self.0.push(Kind { name, short, resource, row, is_selectable_by_user, parse: parse::<K> });
        }
    }
    let mut kinds = Kinds::default();
    for_each_kind(&mut kinds);
    kinds.0
}

impl Kind {
    /// Reads an object of this kind. The error says what cannot be read.
    pub fn read(&self, object: Value) -> Result<Object, String> {
        (self.parse)(object)
    }

    /// Reads an object that no API server has seen: its schema's defaults are filled in, and nothing is checked but its
    /// form.
    pub fn read_with_defaults(&self, mut object: Value) -> Result<Object, String> {
        let version = definition(self.name).and_then(|crd| crd.spec.versions.first());
        let schema = version.and_then(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
        let schema = schema.and_then(|schema| serde_json::to_value(schema).ok()).unwrap_or_default();
        fill_defaults(&mut object, &schema);
        self.read(object)
    }

    /// Whether `text` names this kind as kubectl lets it be named.
    pub fn is_named(&self, text: &str) -> bool {
        let text = text.split('.').next().unwrap_or_default().to_ascii_lowercase();
        text == self.name.to_ascii_lowercase() || text == self.resource.plural || text == self.short
    }
}

/// Fills in the defaults of a schema where the object has nothing, as the API server does.
fn fill_defaults(object: &mut Value, schema: &Value) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let Some(fields) = object.as_object_mut() else { return };
    for (name, schema) in properties {
        if let Some(default) = schema.get("default").filter(|_| !fields.contains_key(name)) {
            fields.insert(name.clone(), default.clone());
        }
        fields.get_mut(name).into_iter().for_each(|field| fill_defaults(field, schema));
    }
}

fn parse<K: Revocation + Resource>(object: Value) -> Result<Object, String> {
    let object: K = serde_json::from_value(object).map_err(|error| error.to_string())?;
    Ok(Object {
        kind: K::KIND,
        meta: object.meta().clone(),
        removal: object.removal(),
        options: object.options().clone(),
        status: object.status().cloned(),
    })
}

/// An object by kind and name, as people write it: `urr/jane`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The name of the kind.
    pub kind: &'static str,
    /// The name of the object.
    pub name: String,
}

/// Reads `kind/name`. None if it is something else.
pub fn named(text: &str) -> Option<Named> {
    let (kind, name) = text.split_once('/')?;
    let kind = kinds().into_iter().find(|known| known.is_named(kind))?;
    let can_be = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(can_be);
    is_name.then(|| Named { kind: kind.name, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_as_kubectl_names_them() {
        for text in ["urr/a", "userrolerevocations/a", "UserRoleRevocation/a", "userrolerevocations.rescind.dev/a"] {
            assert_eq!(named(text), Some(Named { kind: "UserRoleRevocation", name: "a".to_owned() }), "{text}");
        }
        for text in ["auth0|x/y", "urr", "urr/", "pod/a", "urr/a/status", "urr/a?b", "urr/.."] {
            assert_eq!(named(text), None, "{text}");
        }
    }
}
