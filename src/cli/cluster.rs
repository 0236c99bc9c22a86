//! The Kubernetes side of a command: requests with a deadline, whose errors say who may not do what.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{Auth0Tenant, ClusterAuth0Tenant, TenantObject};
use crate::kube_error::explain;
use crate::kubeconfig;
use crate::tenant::TenantKey;

use super::error::CliError;
use super::flags::ClusterFlags;
use super::object::{Kind, Named, Object, kinds};

/// The field manager of what the commands write. Flux takes back what managers have set whose names begin with kubectl.
const FIELD_MANAGER: &str = "rescind-cli";
/// How many objects are written at the same time.
pub const WRITES: usize = 8;
/// How many objects one answer to a list holds.
const PAGE: u32 = 500;
/// How long an answer is waited for after a request that got none.
const SHORT: Duration = Duration::from_secs(1);

/// The cluster that a command speaks to.
#[derive(Clone)]
pub struct Cluster {
    /// Sends the requests.
    pub client: Client,
    /// The namespace that the flags or the kubeconfig name.
    pub namespace: String,
    /// Whether all namespaces are meant.
    pub all_namespaces: bool,
    /// Its address, for messages.
    pub whereabouts: String,
    timeout: Duration,
    /// Whether the last request got no answer. Then the next one is given less time, so that a command which makes many
    /// requests ends soon if the API server cannot be reached.
    is_silent: Arc<AtomicBool>,
}

/// The objects of a list, and what could not be read.
#[derive(Debug, Default)]
pub struct Listing {
    /// The objects, by kind, namespace and name.
    pub objects: Vec<Object>,
    /// Why some are missing, for users; empty if the list is complete.
    pub unread: Vec<String>,
}

/// Which objects to list.
#[derive(Clone, Debug, Default)]
pub struct Selected<'a> {
    /// A label selector.
    pub labels: Option<&'a str>,
    /// Only objects of these kinds; empty: of all.
    pub kinds: &'a [&'static str],
    /// Only objects about this user.
    pub user: Option<&'a str>,
}

impl Selected<'_> {
    /// Where the spec has the field `userId`, the API server sorts out the objects about the user.
    fn params(&self, kind: &Kind) -> ListParams {
        let mut params = ListParams { label_selector: self.labels.map(str::to_owned), ..ListParams::default() };
        if let Some(user) = self.user.filter(|_| kind.is_selectable_by_user) {
            let escaped = user.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=");
            params.field_selector = Some(format!("spec.userId={escaped}"));
        }
        params
    }
}

impl Cluster {
    /// The cluster that the flags choose. No request is sent yet.
    pub fn connect(flags: &ClusterFlags) -> Result<Self, CliError> {
        let mut config = kubeconfig::cluster(&flags.selection()).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})")).unwrap_or_default();
            CliError::failed(format!("{error}{cause}"))
        })?;
        let namespace = flags.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let whereabouts = kubeconfig::whereabouts(&config);
        // An API server that has too much to do is asked again, as kubectl does. The deadline ends that.
        config.default_retry = true;
        let client = Client::try_from(config)
            .map_err(|error| CliError::failed(format!("the kubeconfig cannot be used ({error})")))?;
        let (all_namespaces, timeout) = (flags.all_namespaces, flags.request_timeout);
        let timeout = if timeout.is_zero() { Duration::MAX } else { timeout };
        Ok(Self { client, namespace, all_namespaces, whereabouts, timeout, is_silent: Arc::default() })
    }

    /// The result of a request within the deadline. `what` completes "you may not" or "cannot", such as "list the
    /// namespaces".
    pub async fn request<T>(&self, what: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, CliError> {
        let timeout = if self.is_silent.load(Relaxed) { self.timeout.min(SHORT) } else { self.timeout };
        let answered = tokio::time::timeout(timeout, request).await;
        self.is_silent.store(!matches!(answered, Ok(Ok(_) | Err(kube::Error::Api(_)))), Relaxed);
        match answered {
            Ok(result) => result.map_err(|error| CliError::failed(self.words(what, &error))),
            Err(_) => {
                let (seconds, whereabouts) = (timeout.as_secs(), &self.whereabouts);
                Err(CliError::failed(format!("cannot {what}: {whereabouts} did not answer within {seconds} s")))
            }
        }
    }

    /// The same, where the caller judges the API server's own answers.
    pub async fn answer<T>(
        &self,
        what: &str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<kube::Result<T>, CliError> {
        let answered = async {
            match request.await {
                Err(error @ kube::Error::Api(_)) => Ok(Err(error)),
                other => other.map(Ok),
            }
        };
        self.request(what, answered).await
    }

    /// The same, where it may be absent.
    pub async fn find<T>(
        &self,
        what: &str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<Option<T>, CliError> {
        let found = async {
            match request.await {
                Ok(found) => Ok(Some(found)),
                Err(kube::Error::Api(status)) if status.is_not_found() && !is_unknown_kind(&status) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.request(what, found).await
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the enum is of another crate")]
    fn words(&self, what: &str, error: &kube::Error) -> String {
        match error {
            // The API server's own words of a missing right say the same once more.
            kube::Error::Api(status) if status.code == 403 && status.message.contains(" cannot ") => {
                format!("you may not {what}")
            }
            kube::Error::Api(status) if status.code == 403 => format!("you may not {what}: {}", explain(error)),
            kube::Error::Api(status) if is_unknown_kind(status) => {
                format!("cannot {what}: the CRDs of Rescind are not installed at {}", self.whereabouts)
            }
            kube::Error::Api(status) if status.code == 401 => format!(
                "cannot {what}: {} does not accept your credentials; log in again, or choose another context",
                self.whereabouts
            ),
            _ => format!("cannot {what}: {} ({})", explain(error), self.whereabouts),
        }
    }

    /// The API of a removal kind in the namespaces that are meant.
    pub fn removals(&self, kind: &Kind) -> Api<DynamicObject> {
        if self.all_namespaces {
            Api::all_with(self.client.clone(), &kind.resource)
        } else {
            Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource)
        }
    }

    /// All entries of a list, page by page.
    pub async fn list<K>(&self, what: &str, api: &Api<K>, labels: Option<&str>) -> Result<Vec<K>, CliError>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let params = ListParams { label_selector: labels.map(str::to_owned), ..ListParams::default() };
        self.list_with(what, api, params).await
    }

    /// The same, with other conditions.
    pub async fn list_with<K>(&self, what: &str, api: &Api<K>, params: ListParams) -> Result<Vec<K>, CliError>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let mut params = params.limit(PAGE);
        let mut all = Vec::new();
        loop {
            let page = self.request(what, api.list(&params)).await?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(all),
            }
        }
    }

    /// The removal objects that are selected. A kind that cannot be listed is named and does not fail the others; the
    /// error is that none of them can.
    pub async fn objects(&self, selected: &Selected<'_>) -> Result<Listing, CliError> {
        let mut listing = Listing::default();
        let mut first = None;
        let wanted = |kind: &Kind| selected.kinds.is_empty() || selected.kinds.contains(&kind.name);
        let kinds: Vec<Kind> = kinds().into_iter().filter(wanted).collect();
        for kind in &kinds {
            let place = self.place();
            let what = format!("list {} {place}", kind.resource.plural);
            match self.list_with(&what, &self.removals(kind), selected.params(kind)).await {
                Ok(found) => found.into_iter().for_each(|object| match read(kind, object) {
                    Ok(object) if selected.user.is_some_and(|user| !object.concerns(user)) => {}
                    Ok(object) => listing.objects.push(object),
                    Err(why) => listing.unread.push(why),
                }),
                Err(error) => {
                    listing.unread.push(error.to_string());
                    first = first.or(Some(error));
                }
            }
        }
        match first {
            Some(error) if listing.unread.len() == kinds.len() && listing.objects.is_empty() => Err(error),
            _ => Ok(listing),
        }
    }

    /// The removal object of this name in the namespace.
    pub async fn object(&self, Named { kind: name, name: object }: &Named) -> Result<Object, CliError> {
        self.one_namespace(object)?;
        let Some(kind) = kinds().into_iter().find(|kind| kind.name == *name) else {
            return Err(CliError::usage(format!("there is no kind {name}")));
        };
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource);
        let what = format!("get {} {object} in namespace {}", kind.resource.plural, self.namespace);
        let found = self.find(&what, api.get(object)).await?;
        let found = found
            .ok_or_else(|| CliError::failed(format!("there is no {name} {object} in namespace {}", self.namespace)))?;
        read(&kind, found).map_err(CliError::failed)
    }

    /// The tenant object, if there is one.
    pub async fn tenant(&self, key: &TenantKey) -> Result<Option<Arc<dyn TenantObject>>, CliError> {
        let what = format!("get {} {key}", key.kind());
        Ok(match &key.namespace {
            Some(namespace) => {
                let api: Api<Auth0Tenant> = Api::namespaced(self.client.clone(), namespace);
                self.find(&what, api.get(&key.name)).await?.map(|tenant| Arc::new(tenant) as Arc<dyn TenantObject>)
            }
            None => {
                let api: Api<ClusterAuth0Tenant> = Api::all(self.client.clone());
                self.find(&what, api.get(&key.name)).await?.map(|tenant| Arc::new(tenant) as Arc<dyn TenantObject>)
            }
        })
    }

    /// The labels of a namespace, if they can be read.
    pub async fn namespace_labels(&self, name: &str) -> Result<std::collections::BTreeMap<String, String>, CliError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = self.request(&format!("get namespace {name}"), api.get_metadata(name)).await?;
        Ok(found.labels().clone())
    }

    /// What the API server would store if this removal object were applied. Nothing is stored.
    pub async fn dry_run(&self, kind: &Kind, object: &Value) -> Result<Object, kube::Error> {
        self.apply_with(kind, object, PatchParams::apply(FIELD_MANAGER).dry_run()).await
    }

    /// Applies a removal object.
    pub async fn apply(&self, kind: &Kind, object: &Value) -> Result<Object, kube::Error> {
        self.apply_with(kind, object, PatchParams::apply(FIELD_MANAGER)).await
    }

    async fn apply_with(&self, kind: &Kind, object: &Value, params: PatchParams) -> Result<Object, kube::Error> {
        let text = |key: &str| object.pointer(key).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind.resource);
        let params = PatchParams { force: true, ..params }.validation_strict();
        let stored = api.patch(name, &params, &Patch::Apply(object)).await?;
        read(kind, stored).map_err(|why| kube::Error::SerdeError(serde::de::Error::custom(why)))
    }

    /// Changes fields of a stored object by a merge patch, so that its managed fields name this program.
    pub async fn change<K>(&self, what: &str, api: &Api<K>, name: &str, patch: &Value) -> Result<K, CliError>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.request(what, api.patch(name, &params.validation_strict(), &Patch::Merge(patch))).await
    }

    /// An error if all namespaces are meant, where `what` is in one.
    pub fn one_namespace(&self, what: &str) -> Result<(), CliError> {
        let text = || CliError::usage(format!("{what} is in one namespace: name it with -n in place of -A"));
        if self.all_namespaces { Err(text()) } else { Ok(()) }
    }

    /// What a person types to confirm a change of many objects: the namespace, or `all` for all of them.
    pub fn scope(&self) -> String {
        if self.all_namespaces { "all".to_owned() } else { self.namespace.clone() }
    }

    /// "in namespace x" or "in all namespaces".
    pub fn place(&self) -> String {
        if self.all_namespaces { "in all namespaces".to_owned() } else { format!("in namespace {}", self.namespace) }
    }
}

/// Whether the API server does not know the kind, or even the group, that was asked for. It answers 404 then, too.
fn is_unknown_kind(status: &kube::core::Status) -> bool {
    let says = |words: &str| status.message.contains(words);
    status.code == 404 && (says("could not find the requested resource") || says("404 page not found"))
}

fn read(kind: &Kind, object: DynamicObject) -> Result<Object, String> {
    let name = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
    let json = serde_json::to_value(object).map_err(|error| error.to_string());
    json.and_then(|json| kind.read(json)).map_err(|why| format!("{} {name} cannot be read: {why}", kind.name))
}
