//! The control plane, and the namespaces on it, each connected to a tenant of Auth0 of its own.
//!
//! Objects are plain JSON here, so that the benchmark knows the operator as its users do: by its manifests.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fake_auth0::{Edit, FakeAuth0};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use stack::ControlPlane;
use tokio::task::JoinSet;

use crate::fixtures::{self, ROLE};

/// Concurrent requests: as many as the operators make by default.
pub const CONCURRENCY: usize = 16;

/// A cluster into which the operator is installed.
pub struct Cluster<'a> {
    pub plane: &'a ControlPlane,
    pub client: Client,
}

impl<'a> Cluster<'a> {
    pub async fn new(plane: &'a ControlPlane) -> Self {
        Self { plane, client: Client::try_from(fixtures::admin(plane).await).unwrap() }
    }

    /// A new namespace for this tenant, not connected yet.
    pub fn namespace(&self, name: &'static str, fake: &FakeAuth0) -> Namespace<'_> {
        self.create_namespace(name);
        Namespace { cluster: self, name, fake: fake.clone() }
    }

    pub fn create_namespace(&self, name: &str) {
        self.plane.run(&["create", "namespace", name]).expect("a namespace");
    }

    pub fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }
}

/// A namespace and its tenant of Auth0.
pub struct Namespace<'a> {
    pub cluster: &'a Cluster<'a>,
    pub name: &'static str,
    pub fake: FakeAuth0,
}

impl Namespace<'_> {
    /// Applies a Secret and a tenant object with this `reservePercent`, and whatever else comes with them.
    pub fn connect(&self, reserve: u32, more: &[Value]) {
        let secret = fixtures::secret(self.name, &self.fake);
        let mut spec = fixtures::tenant_spec(&self.fake);
        spec["rateLimit"] = json!({"maxRequestsPerSecond": 5000, "reservePercent": reserve});
        spec["verification"] = json!("After");
        let tenant = json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "Auth0Tenant",
            "metadata": {"name": "default", "namespace": self.name}, "spec": spec,
        });
        let manifests = [&secret, &tenant].into_iter().chain(more).map(|manifest| format!("---\n{manifest}\n"));
        self.cluster.plane.apply(&manifests.collect::<String>()).expect("good manifests");
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        self.cluster.api(kind, self.name)
    }

    /// Applies objects of these numbers, many at a time.
    pub async fn apply(&self, removal: Removal, numbers: Range<usize>) {
        apply(self.api(removal.kind()), removal, numbers).await;
    }
}

/// A kind of removal object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    UserRoles,
    Memberships,
}

impl Kind {
    pub fn resource(self) -> ApiResource {
        let kind = match self {
            Self::UserRoles => "UserRoleRevocation",
            Self::Memberships => "OrgMembershipRemoval",
        };
        ApiResource::from_gvk(&GroupVersionKind::gvk("rescind.dev", "v1alpha1", kind))
    }

    /// The path of its objects in the API.
    pub fn path(self, namespace: &str) -> String {
        DynamicObject::url_path(&self.resource(), Some(namespace))
    }
}

/// What the objects of a measurement remove, one item each.
#[derive(Clone, Copy)]
pub enum Removal {
    /// The role of the n-th user.
    Role,
    /// The n-th member of this organization.
    Member(&'static str),
}

impl Removal {
    pub const fn kind(self) -> Kind {
        match self {
            Self::Role => Kind::UserRoles,
            Self::Member(_) => Kind::Memberships,
        }
    }

    /// The name of the n-th object.
    pub fn name(self, n: usize) -> String {
        match self {
            Self::Role => format!("leaver-{n:06}"),
            Self::Member(organization) => format!("{}-{n:06}", organization.replace('_', "-")),
        }
    }

    /// The n-th person.
    pub fn user(self, n: usize) -> String {
        match self {
            Self::Role => format!("auth0|5f7c8ec7c33c6c00{n:08}"),
            // The organizations differ in this letter.
            Self::Member(organization) => format!("auth0|{}{n:023}", &organization[4..5]),
        }
    }

    /// The manifest of the n-th object.
    pub fn manifest(self, n: usize) -> Value {
        let spec = match self {
            Self::Role => json!({"userId": self.user(n), "roles": [ROLE]}),
            Self::Member(organization) => json!({"organizationId": organization, "members": [self.user(n)]}),
        };
        let ApiResource { api_version, kind, .. } = self.kind().resource();
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": self.name(n)}, "spec": spec})
    }

    /// Seeds a tenant with what the first `objects` objects remove.
    pub fn fill(self, tenant: &mut Edit<'_>, objects: usize) {
        match self {
            Self::Role => (0..objects).for_each(|n| drop(tenant.user(self.user(n)).role(ROLE))),
            Self::Member(organization) => {
                let members: Vec<String> = (0..objects).map(|n| self.user(n)).collect();
                tenant.users(members.iter().cloned());
                tenant.organization(organization).members(&members);
            }
        }
    }
}

/// The identity of an applied object.
pub struct Applied {
    pub name: String,
    pub uid: String,
    pub version: String,
}

/// Applies objects concurrently and returns them in order.
pub async fn apply(api: Api<DynamicObject>, removal: Removal, numbers: Range<usize>) -> Vec<Applied> {
    let apply = move |n| {
        let api = api.clone();
        async move {
            let params = PatchParams::apply("bench").force();
            let applied = api.patch(&removal.name(n), &params, &Patch::Apply(removal.manifest(n))).await;
            let meta = applied.expect("a good manifest").metadata;
            let of = |text: Option<String>| text.expect("the API server fills it in");
            Applied { name: of(meta.name), uid: of(meta.uid), version: of(meta.resource_version) }
        }
    };
    for_each(numbers, apply).await
}

/// Runs `work` for each number concurrently and returns the results in order.
pub async fn for_each<T, F>(numbers: Range<usize>, work: impl Fn(usize) -> F + Clone + Send + 'static) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send,
{
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let mut workers = JoinSet::new();
    for _ in 0..CONCURRENCY {
        let (next, work, end) = (next.clone(), work.clone(), numbers.end);
        workers.spawn(async move {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return done;
                }
                done.push((number, work(number).await));
            }
        });
    }
    let mut all: Vec<(usize, T)> = workers.join_all().await.into_iter().flatten().collect();
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, done)| done).collect()
}
