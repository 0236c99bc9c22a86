//! Finds what in a spec does not fit the schema of this version.
//!
//! The schema is closed, so the API server lets such a spec pass only if another version's CRD is installed. A newer
//! one knows more fields and values. An older one prunes fields at every read, even those that say "do not act yet".
//! Nothing may be sent in either case. So each spec is compared with this version's own schema before it is decoded:
//! what does not fit is taken out, so that the rest can be decoded, and named in the field `unknown`.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The field in which the findings are passed to the derived decoder. It is not in the schema, so no manifest can set
/// it.
const FINDINGS: &str = "unknown";
/// The number of findings that are kept.
const MAX_FINDINGS: usize = 20;
/// The length, in characters, at which names and values from a spec are cut.
const MAX_NAME: usize = 64;

/// How a finding ends that is about a missing default.
const MISSING: &str = " (missing: the CRD is older than this version)";

/// Whether a finding is about a missing default, which an older CRD pruned.
pub(super) fn is_pruned(finding: &str) -> bool {
    finding.ends_with(MISSING)
}

/// The part of a schema that can be checked for unknown fields and values.
pub(super) enum Schema {
    /// An object with these fields and no others.
    Object(BTreeMap<String, Field>),
    /// A list of such items.
    List(Box<Schema>),
    /// One of these words (an enum).
    Words(Vec<String>),
    /// Anything; the derived decoder checks the type.
    Open,
}

/// A field of an object.
pub(super) struct Field {
    schema: Schema,
    /// The API server fills the field in if a manifest leaves it out.
    has_default: bool,
}

impl Schema {
    /// The schema of `spec` in a CRD.
    pub(super) fn of_spec(crd: &CustomResourceDefinition) -> Self {
        let version = crd.spec.versions.first();
        let root = version.and_then(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
        root.and_then(|root| root.properties.as_ref()?.get("spec")).map_or(Self::Open, Self::new)
    }

    fn new(props: &JSONSchemaProps) -> Self {
        if let Some(fields) = &props.properties {
            let field =
                |props: &JSONSchemaProps| Field { schema: Self::new(props), has_default: props.default.is_some() };
            return Self::Object(fields.iter().map(|(name, props)| (name.clone(), field(props))).collect());
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &props.items {
            return Self::List(Box::new(Self::new(items)));
        }
        match &props.enum_ {
            Some(words) => Self::Words(words.iter().filter_map(|word| word.0.as_str().map(str::to_owned)).collect()),
            None => Self::Open,
        }
    }

    /// Takes out of `value` what does not fit, and adds it to `findings`. Returns whether the value itself fits. A
    /// value of the wrong type is left in: the derived decoder rejects it.
    fn strip(&self, at: &Path<'_>, value: &mut Value, findings: &mut Vec<String>) -> bool {
        match (self, value) {
            (Self::Object(fields), Value::Object(values)) => strip_fields(fields, at, values, findings),
            (Self::List(items), Value::Array(values)) => {
                let mut index = 0;
                values.retain_mut(|value| {
                    index += 1;
                    items.strip(&Path::Item(at, index - 1), value, findings)
                });
            }
            (Self::Words(words), Value::String(word)) if !words.contains(word) => {
                note(findings, || format!("{at}: {}", short(word)));
                return false;
            }
            _ => {}
        }
        true
    }
}

fn strip_fields(
    fields: &BTreeMap<String, Field>,
    at: &Path<'_>,
    values: &mut Map<String, Value>,
    findings: &mut Vec<String>,
) {
    for (name, _) in fields.iter().filter(|(name, field)| field.has_default && !values.contains_key(*name)) {
        note(findings, || format!("{}{MISSING}", Path::Field(at, name)));
    }
    values.retain(|name, value| {
        let at = Path::Field(at, name);
        match fields.get(name) {
            Some(field) => field.schema.strip(&at, value, findings),
            None => {
                note(findings, || at.to_string());
                false
            }
        }
    });
}

fn note(findings: &mut Vec<String>, finding: impl FnOnce() -> String) {
    if findings.len() < MAX_FINDINGS {
        findings.push(finding());
    }
}

fn short(name: &str) -> &str {
    name.char_indices().nth(MAX_NAME).map_or(name, |(end, _)| &name[..end])
}

/// A place in a spec. It is made into text only for a finding.
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("spec"),
            Self::Field(parent, name) => write!(f, "{parent}.{}", short(name)),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Decodes a spec with `typed`, the derived decoder of its type, after `schema` has been applied.
pub(super) fn decode<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    schema: &Schema,
    typed: impl FnOnce(Value) -> serde_json::Result<T>,
) -> Result<T, D::Error> {
    let mut spec = Value::deserialize(deserializer)?;
    let mut findings = Vec::new();
    schema.strip(&Path::Root, &mut spec, &mut findings);
    if let (Value::Object(fields), false) = (&mut spec, findings.is_empty()) {
        fields.insert(FINDINGS.to_owned(), findings.into());
    }
    typed(spec).map_err(D::Error::custom)
}

/// Implements `Deserialize` and `Serialize` for a spec. Its type derives both with `#[serde(remote = "Self")]`, which
/// makes them plain functions of the type and leaves the traits to this macro.
macro_rules! closed {
    ($kind:ident, $spec:ident) => {
        impl<'de> serde::Deserialize<'de> for $spec {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                static SCHEMA: std::sync::LazyLock<$crate::api::closed::Schema> = std::sync::LazyLock::new(|| {
                    $crate::api::closed::Schema::of_spec(&<$kind as kube::CustomResourceExt>::crd())
                });
                $crate::api::closed::decode(deserializer, &SCHEMA, |spec| Self::deserialize(spec))
            }
        }

        impl serde::Serialize for $spec {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }
    };
}
pub(super) use closed;

#[cfg(test)]
mod tests;
