//! The rate of the API server for a client that only makes the operator's final status write: the same status, the same
//! verb, new objects, and as many concurrent requests.

use std::sync::Arc;

use http::Request;
use kube::api::{ApiResource, Patch, PatchParams, PostParams};
use kube::core::Request as Requests;
use serde_json::{Value, json};

use crate::cluster::{Applied, Cluster, Kind, Removal, apply, for_each};
use crate::common::progress;
use crate::counters::{Counts, Mark};
use crate::race::PAUSE;
use crate::watching::Watch;

/// The verb of Rescind's status writes, as the API server counted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Server-side apply.
    Apply,
    /// A merge patch.
    Patch,
    /// A PUT of the whole object with the resource version that it replaces.
    Put,
}

/// The status write of a finished object.
pub struct Write {
    pub verb: Verb,
    pub manager: String,
    pub status: Value,
}

impl Write {
    /// Learns the write from Rescind: `object` is one that it finished, and `counts` has the requests of that run.
    pub fn learn(object: &Value, counts: &Counts) -> Self {
        let count = |verb: &str| counts.requests_to(Some(verb), "userrolerevocations/status");
        let verbs = [(Verb::Apply, count("APPLY")), (Verb::Patch, count("PATCH")), (Verb::Put, count("PUT"))];
        let verb = verbs.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("there are three").0;
        let managers = object["metadata"]["managedFields"].as_array().expect("fields are managed");
        let manager =
            managers.iter().find(|entry| entry["subresource"] == "status").expect("somebody wrote the status");
        let manager = manager["manager"].as_str().expect("a name").to_owned();
        Self { verb, manager, status: object["status"].clone() }
    }

    /// The request that writes this status to an object.
    fn request(&self, namespace: &str, object: &Applied) -> Request<Vec<u8>> {
        let Applied { name, uid, version } = object;
        let requests = Requests::new(Kind::UserRoles.path(namespace));
        let ApiResource { api_version, kind, .. } = Kind::UserRoles.resource();
        let metadata = json!({"name": name, "namespace": namespace, "uid": uid});
        let mut body = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "status": self.status});
        let patch = PatchParams { field_manager: Some(self.manager.clone()), ..PatchParams::default() };
        let request = match self.verb {
            Verb::Apply => requests.patch_subresource("status", name, &patch.force(), &Patch::Apply(body)),
            Verb::Patch => requests.patch_subresource("status", name, &patch, &Patch::Merge(body)),
            Verb::Put => {
                body["metadata"]["resourceVersion"] = version.as_str().into();
                let put = PostParams { field_manager: Some(self.manager.clone()), ..PostParams::default() };
                requests.replace_subresource("status", name, &put, body.to_string().into_bytes())
            }
        };
        request.expect("a good request")
    }
}

/// A measured series of writes.
pub struct Raw {
    pub objects: usize,
    pub counts: Counts,
}

impl Raw {
    /// Writes per second.
    pub fn rate(&self) -> f64 {
        self.objects as f64 / self.counts.seconds
    }

    pub fn and(self, other: Self) -> Self {
        Self { objects: self.objects + other.objects, counts: self.counts.and(other.counts) }
    }
}

/// Creates objects in a new namespace and then writes the status of each.
pub async fn measure(cluster: &Cluster<'_>, namespace: &'static str, write: &Arc<Write>, objects: usize) -> Raw {
    progress(&format!("{objects} raw status writes ({:?})", write.verb));
    cluster.create_namespace(namespace);
    let applied = apply(cluster.api(Kind::UserRoles, namespace), Removal::Role, 0..objects).await;
    tokio::time::sleep(PAUSE).await;
    let (client, write, applied) = (cluster.client.clone(), write.clone(), Arc::new(applied));
    let mut watch = Watch::start(cluster, Kind::UserRoles, namespace).await;
    let mark = Mark::now(&cluster.client).await;
    for_each(0..objects, move |n| {
        let (client, request) = (client.clone(), write.request(namespace, &applied[n]));
        async move { drop(client.request_text(request).await.expect("a good status")) }
    })
    .await;
    let last = watch.wait(objects).await;
    Raw { objects, counts: mark.until(last, None, &cluster.client).await }
}
