//! An object as far as it can be parsed. One that cannot be parsed, such as one stored under an older CRD, must not
//! fail the list or the watch that it came with.
//!
//! kube's `DeserializeGuard` has the same purpose, but copies every object twice on the way, which would be most of the
//! operator's own work for a removal.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The object, or only its metadata if the rest cannot be parsed. Nothing else is kept of it, because it may be a
/// Secret.
#[derive(Clone, Debug)]
pub(crate) struct Readable<K>(pub(crate) Result<K, Box<ObjectMeta>>);

#[derive(Deserialize)]
struct Named {
    metadata: ObjectMeta,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Readable<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        if let Ok(object) = serde_json::from_str(text.get()) {
            return Ok(Self(Ok(object)));
        }
        // The parser's own error may quote what it could not read, so it is dropped.
        let Named { metadata } = serde_json::from_str(text.get()).map_err(|_| D::Error::custom("no metadata"))?;
        Ok(Self(Err(Box::new(metadata))))
    }
}

impl<K: Resource> Resource for Readable<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|meta| &**meta, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|meta| &mut **meta, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::{ObjectList, WatchEvent};
    use serde_json::json;

    use super::*;

    fn good() -> serde_json::Value {
        json!({"metadata": {"name": "good"}, "data": {"a": "b"}})
    }

    fn bad() -> serde_json::Value {
        json!({"metadata": {"name": "bad"}, "data": ["canary"]})
    }

    /// Parsed as kube does it: from text, within a list and within an event.
    #[test]
    fn one_that_cannot_be_read_leaves_the_others() {
        let list = json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {}, "items": [good(), bad()]});
        let list: ObjectList<Readable<ConfigMap>> = serde_json::from_str(&list.to_string()).unwrap();
        assert_eq!(list.items[0].0.as_ref().unwrap().data.as_ref().unwrap()["a"], "b");
        assert_eq!(list.items[1].0.as_ref().unwrap_err().name.as_deref(), Some("bad"));
        let text = format!(r#"{{"type":"MODIFIED","object":{}}}"#, bad());
        let Ok(WatchEvent::Modified(object)) = serde_json::from_str::<WatchEvent<Readable<ConfigMap>>>(&text) else {
            panic!("{text}")
        };
        assert_eq!(object.meta().name.as_deref(), Some("bad"));
        assert!(!format!("{object:?}").contains("canary"));
    }
}
