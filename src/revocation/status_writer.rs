//! The one way in which a status is written, whatever the kind: a PUT on `/status`, bound to the uid and to the version
//! that the status was made from. It costs the API server less than server-side apply. What server-side apply would do
//! is done here: conditions of other writers and fields of other versions are kept.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{GetParams, PostParams};
use kube::core::object::HasStatus;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{Auth0TenantStatus, FIELD_MANAGER, RemovalStatus};

use super::conditions::is_ours;
use super::mutation_cache::Stored;

/// Asks the API server to answer with the metadata alone, as nothing else of the answer is read.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// A status that other writers may write into as well.
pub trait SharedStatus: Clone + Default + PartialEq + Serialize + DeserializeOwned {
    /// `conditions`.
    fn conditions(&mut self) -> &mut Vec<Condition>;

    /// The fields that this version does not know.
    fn unknown(&mut self) -> &mut BTreeMap<String, Value>;
}

impl SharedStatus for RemovalStatus {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn unknown(&mut self) -> &mut BTreeMap<String, Value> {
        &mut self.unknown
    }
}

impl SharedStatus for Auth0TenantStatus {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn unknown(&mut self) -> &mut BTreeMap<String, Value> {
        &mut self.unknown
    }
}

/// The status without what others wrote into it, with its conditions in a fixed order.
pub fn own_part<S: SharedStatus>(status: &S) -> S {
    let mut status = status.clone();
    status.conditions().retain(is_ours);
    status.conditions().sort_by(|a, b| a.type_.cmp(&b.type_));
    status.unknown().clear();
    status
}

/// The object whose status is written.
#[derive(Clone, Copy, Debug)]
pub struct StatusTarget<'a> {
    /// `metadata.namespace`; none for cluster-scoped kinds.
    pub namespace: Option<&'a str>,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.uid`. Another object of the same name is never written to.
    pub uid: &'a str,
    /// The generation that the status was made for.
    pub generation: i64,
}

/// How a write ended.
#[derive(Debug)]
pub enum Written<S> {
    /// The status is stored like this, including what other writers wrote into it.
    Written(Stored<S>),
    /// The API server has this status already; nothing was sent.
    Unchanged,
    /// The object is gone.
    Gone,
    /// Another object has this name now.
    Successor,
    /// The spec has changed since the status was made, so the caller has to decide again.
    Edited,
    /// Another process has written this status, which stands. The caller has to decide again.
    Superseded(Stored<S>),
}

/// Writes `wanted` over `stored`. If there is no `stored`, or the API server has another version by now, it reads the
/// object first, and leaves the status that it finds if that `stands`. After an error of the API server or of the
/// connection, the same write may be retried.
pub async fn write_status<K>(
    client: &Client,
    target: StatusTarget<'_>,
    stored: Option<&Stored<K::Status>>,
    wanted: &K::Status,
    stands: impl Fn(&K::Status) -> bool + Send,
) -> Result<Written<K::Status>, kube::Error>
where
    K: Resource<DynamicType = ()> + HasStatus + Clone + Debug + DeserializeOwned + Send + 'static,
    K::Status: SharedStatus,
{
    if let Some(stored) = stored {
        match put::<K>(client, target, stored, wanted).await? {
            Put::Ended(written) => return Ok(written),
            Put::Conflict(_) => {}
        }
    }
    // A conflict means that the object is another one, that somebody else wrote it, or that too many write at once.
    let Some(fresh) = get::<K>(client, target).await? else { return Ok(Written::Gone) };
    let meta = fresh.meta();
    if meta.uid.as_deref() != Some(target.uid) {
        return Ok(Written::Successor);
    }
    if meta.generation != Some(target.generation) {
        return Ok(Written::Edited);
    }
    let version = meta.resource_version.clone().unwrap_or_default();
    let fresh = Stored { version, status: fresh.status().cloned().unwrap_or_default() };
    if stands(&fresh.status) {
        return Ok(Written::Superseded(fresh));
    }
    match put::<K>(client, target, &fresh, wanted).await? {
        Put::Ended(written) => Ok(written),
        Put::Conflict(error) => Err(error),
    }
}

/// The body of the PUT: as much of the object as the API server needs to write a status.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a, S> {
    api_version: &'a str,
    kind: &'a str,
    metadata: Metadata<'a>,
    status: &'a S,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    name: &'a str,
    uid: &'a str,
    resource_version: &'a str,
}

/// What is read of the API server's answer.
#[derive(Deserialize)]
struct Answer {
    metadata: AnswerMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerMetadata {
    resource_version: String,
}

enum Put<S> {
    Ended(Written<S>),
    Conflict(kube::Error),
}

async fn put<K>(
    client: &Client,
    target: StatusTarget<'_>,
    stored: &Stored<K::Status>,
    wanted: &K::Status,
) -> Result<Put<K::Status>, kube::Error>
where
    K: Resource<DynamicType = ()> + HasStatus,
    K::Status: SharedStatus,
{
    let status = merged(&stored.status, wanted);
    if status == stored.status {
        return Ok(Put::Ended(Written::Unchanged));
    }
    let StatusTarget { namespace, name, uid, .. } = target;
    let body = serde_json::to_vec(&Body {
        api_version: &K::api_version(&()),
        kind: &K::kind(&()),
        metadata: Metadata { namespace, name, uid, resource_version: &stored.version },
        status: &status,
    });
    let body = body.map_err(kube::Error::SerdeError)?;
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let request = kube::core::Request::new(K::url_path(&(), target.namespace));
    let mut request =
        request.replace_subresource("status", target.name, &parameters, body).map_err(kube::Error::BuildRequest)?;
    request.headers_mut().insert(http::header::ACCEPT, http::HeaderValue::from_static(METADATA_ONLY));
    request.extensions_mut().insert("replace_status");
    match client.request::<Answer>(request).await {
        Ok(Answer { metadata }) => {
            Ok(Put::Ended(Written::Written(Stored { version: metadata.resource_version, status })))
        }
        Err(kube::Error::Api(response)) if response.is_not_found() => Ok(Put::Ended(Written::Gone)),
        Err(kube::Error::Api(response)) if response.is_conflict() => Ok(Put::Conflict(kube::Error::Api(response))),
        Err(error) => Err(error),
    }
}

async fn get<K>(client: &Client, target: StatusTarget<'_>) -> Result<Option<K>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let request = kube::core::Request::new(K::url_path(&(), target.namespace));
    let mut request = request.get(target.name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
    request.extensions_mut().insert("get");
    match client.request::<K>(request).await {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(response)) if response.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// `wanted`, with the conditions of other writers and the unknown fields as they are stored. Conditions keep their
/// order.
fn merged<S: SharedStatus>(stored: &S, wanted: &S) -> S {
    let (mut stored, mut merged) = (stored.clone(), wanted.clone());
    std::mem::swap(merged.unknown(), stored.unknown());
    let mut wanted = std::mem::take(merged.conditions());
    wanted.retain(is_ours);
    for condition in stored.conditions().drain(..) {
        match wanted.iter().position(|ours| ours.type_ == condition.type_) {
            Some(place) => merged.conditions().push(wanted.remove(place)),
            None if is_ours(&condition) => {}
            None => merged.conditions().push(condition),
        }
    }
    merged.conditions().append(&mut wanted);
    merged
}

#[cfg(test)]
mod tests;
