//! The index from tenants to the removals that depend on them, so that a change of a tenant wakes those removals
//! without a search through all objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, RwLock};

use jiff::Timestamp;
use kube::runtime::reflector::Store;
use tokio::sync::watch::Receiver;

use crate::api::TenantObject;
use crate::auth0::Endpoint;
use crate::revocation::{Revocation, Want, want};
use crate::runtime::cache::Key;
use crate::sync::{lock, read, write};
use crate::tenant::{Applicant, Demand, Group, ItemId, Listing, TenantKey, Tenants};

use super::controller::Queue;

/// The indexes of every kind and scope.
#[derive(Default)]
pub(crate) struct Dependents(RwLock<Vec<Arc<dyn Wake>>>);

/// An index without its kind.
trait Wake: Send + Sync {
    fn wake(&self, tenant: &TenantKey);
    fn wake_cluster_scoped(&self, namespace: Option<&str>);
    fn wake_all(&self);
    fn is_listed(&self) -> bool;
    fn demand(&self, tenants: &Tenants, tenant: (&TenantKey, &dyn TenantObject), now: Timestamp, demand: &mut Demands);
}

/// What the objects of a tenant want to have removed, by namespace.
pub(crate) type Demands = BTreeMap<Arc<str>, Demand>;

impl Dependents {
    /// Adds the index of one kind and scope, whose objects are woken through `queue`.
    pub(crate) fn of<K: Revocation>(
        &self,
        store: Store<K>,
        queue: Queue<K>,
        listing: Receiver<Listing>,
    ) -> Arc<DependentsOf<K>> {
        let dependents = Arc::new(DependentsOf { by_tenant: Mutex::default(), store, queue, listing });
        write(&self.0).push(dependents.clone());
        dependents
    }

    /// Queues the unsettled removals that depend on this tenant, within each kind the oldest first.
    pub(crate) fn wake(&self, tenant: &TenantKey) {
        for dependents in read(&self.0).iter() {
            dependents.wake(tenant);
        }
    }

    /// Whether every kind and scope was listed, as far as it can be.
    pub(crate) fn is_listed(&self) -> bool {
        read(&self.0).iter().all(|dependents| dependents.is_listed())
    }

    /// What the objects of a tenant want to have removed now or later.
    pub(crate) fn demand(&self, tenants: &Tenants, tenant: (&TenantKey, &dyn TenantObject), now: Timestamp) -> Demands {
        let mut demand = Demands::new();
        read(&self.0).iter().for_each(|dependents| dependents.demand(tenants, tenant, now, &mut demand));
        demand
    }

    /// Queues all unsettled removals, within each kind the oldest first.
    pub(crate) fn wake_all(&self) {
        for dependents in read(&self.0).iter() {
            dependents.wake_all();
        }
    }

    /// Queues the unsettled removals in `namespace` (in all if none) that depend on cluster-scoped tenants, within each
    /// kind the oldest first.
    pub(crate) fn wake_cluster_scoped(&self, namespace: Option<&str>) {
        for dependents in read(&self.0).iter() {
            dependents.wake_cluster_scoped(namespace);
        }
    }
}

/// The index of one kind and scope.
pub(crate) struct DependentsOf<K: Revocation> {
    by_tenant: Mutex<BTreeMap<TenantKey, BTreeSet<Key>>>,
    store: Store<K>,
    queue: Queue<K>,
    listing: Receiver<Listing>,
}

impl<K: Revocation> DependentsOf<K> {
    /// Takes note that the object with this key was `before` and is `now`; `None` if it needs no tenant.
    pub(crate) fn change(&self, key: &Key, before: Option<&K>, now: Option<&K>) {
        let tenant = |object: &K| TenantKey::of(&key.namespace, &object.options().tenant_ref);
        let (before, now) = (before.map(tenant), now.map(tenant));
        if before == now {
            return;
        }
        let mut by_tenant = lock(&self.by_tenant);
        if let Some(keys) = before.as_ref().and_then(|before| by_tenant.get_mut(before)) {
            keys.remove(key);
            if keys.is_empty() {
                before.map(|before| by_tenant.remove(&before));
            }
        }
        if let Some(now) = now {
            by_tenant.entry(now).or_default().insert(key.clone());
        }
    }
}

impl<K: Revocation> Wake for DependentsOf<K> {
    fn wake(&self, tenant: &TenantKey) {
        let keys = lock(&self.by_tenant).get(tenant).into_iter().flatten().cloned().collect();
        self.queue_by_age(keys);
    }

    fn wake_all(&self) {
        let keys = lock(&self.by_tenant).values().flatten().cloned().collect();
        self.queue_by_age(keys);
    }

    fn is_listed(&self) -> bool {
        *self.listing.borrow() != Listing::NotYet
    }

    fn demand(&self, tenants: &Tenants, tenant: (&TenantKey, &dyn TenantObject), now: Timestamp, demand: &mut Demands) {
        let (key, object) = tenant;
        let domain = object.tenant_spec().domain.parse().ok();
        let keys: Vec<Key> = lock(&self.by_tenant).get(key).into_iter().flatten().cloned().collect();
        for of in keys {
            let Some(removal) = self.store.get(&of.reference()) else { continue };
            let want = want(&*removal, object.tenant_spec().mode, domain.as_ref(), now);
            if want == Want::Nothing {
                continue;
            }
            let named = removal.removal();
            if tenants.bars(&key.name, object, &Applicant { namespace: &of.namespace, kind: K::KIND, removal: &named })
            {
                continue;
            }
            let (items, demand) = (ItemId::of(&named), demand.entry(of.namespace.clone()).or_default());
            if let Endpoint::OrganizationMembers { organization } = &named.endpoint {
                demand.organizations.insert(Group::of_organization(organization), organization.clone());
            }
            match want {
                Want::From(at) => demand.coming.extend(items.into_iter().map(|item| (at, item))),
                Want::Now | Want::Nothing => demand.ready.extend(items),
            }
        }
    }

    fn wake_cluster_scoped(&self, namespace: Option<&str>) {
        let by_tenant = lock(&self.by_tenant);
        // The tenants without a namespace come first.
        let of_cluster = by_tenant.iter().take_while(|(tenant, _)| tenant.namespace.is_none());
        let keys = of_cluster.flat_map(|(_, keys)| match namespace {
            // The keys are sorted by namespace.
            Some(namespace) => keys
                .range(Key::new(namespace, "")..)
                .take_while(|key| *key.namespace == *namespace)
                .cloned()
                .collect::<Vec<Key>>(),
            None => keys.iter().cloned().collect(),
        });
        let keys = keys.collect();
        drop(by_tenant);
        self.queue_by_age(keys);
    }
}

impl<K: Revocation> DependentsOf<K> {
    fn queue_by_age(&self, keys: Vec<Key>) {
        let created = |key: &Key| Some(self.store.get(&key.reference())?.meta().creation_timestamp.as_ref()?.0);
        let mut keys: Vec<_> = keys.into_iter().map(|key| (created(&key), key)).collect();
        keys.sort_unstable();
        for (_, key) in keys {
            self.queue.add(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::api::UserRoleRevocation;

    fn object(name: &str, tenant: &str, created: &str) -> UserRoleRevocation {
        serde_json::from_value(json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
            "metadata": {"namespace": "a", "name": name, "creationTimestamp": created},
            "spec": {"userId": "auth0|1", "roles": ["rol_0123456789abcdef"], "tenantRef": {"name": tenant}},
        }))
        .unwrap()
    }

    /// A change of a namespace concerns its own objects, and of those only the ones of cluster-scoped tenants.
    #[test]
    fn dependents_of_cluster_tenants_are_woken_by_namespace() {
        let (store, mut writer) = reflector::store();
        let (dependents, (queue, mut queued)) = (Dependents::default(), Queue::new());
        let (_listed, listing) = tokio::sync::watch::channel(Listing::Complete);
        let of = dependents.of::<UserRoleRevocation>(store, queue, listing);
        let mut put = |namespace: &str, name: &str, kind: &str, created: &str| {
            let mut object = object(name, "t", created);
            object.metadata.namespace = Some(namespace.to_owned());
            object.spec.options.tenant_ref.kind = serde_json::from_value(json!(kind)).unwrap();
            writer.apply_watcher_event(&Event::Apply(object.clone()));
            of.change(&Key::new(namespace, name), None, Some(&object));
        };
        put("a", "young", "ClusterAuth0Tenant", "2026-01-03T00:00:00Z");
        put("a", "old", "ClusterAuth0Tenant", "2026-01-01T00:00:00Z");
        put("a", "local", "Auth0Tenant", "2026-01-01T00:00:00Z");
        put("a-b", "other", "ClusterAuth0Tenant", "2026-01-02T00:00:00Z");
        let mut woken = |wake: &dyn Fn()| {
            wake();
            std::iter::from_fn(|| Some(queued.next().now_or_never()??.name)).collect::<Vec<_>>()
        };
        assert_eq!(woken(&|| dependents.wake_cluster_scoped(Some("a"))), ["old", "young"]);
        assert_eq!(woken(&|| dependents.wake_cluster_scoped(Some("a-b"))), ["other"]);
        assert_eq!(woken(&|| dependents.wake_cluster_scoped(Some("b"))), [""; 0]);
        assert_eq!(woken(&|| dependents.wake_cluster_scoped(None)), ["old", "other", "young"]);
        let cluster = TenantKey { namespace: None, name: "t".into() };
        assert_eq!(woken(&|| dependents.wake(&cluster)), ["old", "other", "young"]);
        let local = TenantKey { namespace: Some("a".into()), name: "t".into() };
        assert_eq!(woken(&|| dependents.wake(&local)), ["local"]);
    }

    #[test]
    fn dependents_are_woken_by_age_and_forgotten_when_they_are_settled() {
        let (store, mut writer) = reflector::store();
        let (dependents, (queue, mut queued)) = (Dependents::default(), Queue::new());
        let (_listed, listing) = tokio::sync::watch::channel(Listing::Complete);
        let of = dependents.of::<UserRoleRevocation>(store, queue, listing);
        let key = |name| Key::new("a", name);
        let young = object("young", "t", "2026-01-02T00:00:00Z");
        let old = object("z-old", "t", "2026-01-01T00:00:00Z");
        let other = object("other", "u", "2026-01-01T00:00:00Z");
        for (name, object) in [("young", &young), ("z-old", &old), ("other", &other)] {
            writer.apply_watcher_event(&Event::Apply(object.clone()));
            of.change(&key(name), None, Some(object));
        }
        let mut woken = |tenant: &str| {
            dependents.wake(&TenantKey { namespace: Some("a".into()), name: tenant.into() });
            std::iter::from_fn(|| Some(queued.next().now_or_never()??.name)).collect::<Vec<_>>()
        };
        assert_eq!(woken("t"), ["z-old", "young"]);
        of.change(&key("young"), Some(&young), Some(&object("young", "u", "2026-01-02T00:00:00Z")));
        assert_eq!((woken("t"), woken("u")), (vec!["z-old".to_owned()], vec!["other".to_owned(), "young".to_owned()]));
        of.change(&key("z-old"), Some(&old), None);
        assert_eq!(woken("t"), [""; 0]);
        assert!(!lock(&of.by_tenant).contains_key(&TenantKey { namespace: Some("a".into()), name: "t".into() }));
    }

    /// What a guard keeps from being sent is not counted by the brake, or it would stop the others.
    #[test]
    fn what_is_protected_is_not_wanted() {
        let (store, mut writer) = reflector::store();
        let (dependents, (queue, _queued)) = (Dependents::default(), Queue::new());
        let (_listed, listing) = tokio::sync::watch::channel(Listing::Complete);
        let of = dependents.of::<UserRoleRevocation>(store, queue, listing);
        for (name, user) in [("safe", "auth0|safe"), ("plain", "auth0|1")] {
            let mut object = object(name, "t", "2026-01-01T00:00:00Z");
            (object.spec.user_id, object.spec.options.unknown) = (user.into(), Vec::new());
            writer.apply_watcher_event(&Event::Apply(object.clone()));
            of.change(&Key::new("a", name), None, Some(&object));
        }
        let tenants = Tenants::new(
            crate::auth0::AllowedDomains::parse(["*.auth0.com"]).unwrap(),
            crate::auth0::Timeouts::default(),
        );
        let wanted = |protected: &[&str]| {
            let tenant: crate::api::Auth0Tenant = serde_json::from_value(json!({
                "apiVersion": "rescind.dev/v1alpha1", "kind": "Auth0Tenant",
                "metadata": {"namespace": "a", "name": "t"},
                "spec": {
                    "domain": "acme.auth0.com", "credentials": {"tokenSecretRef": {"name": "s"}},
                    "protected": {"userIds": protected},
                },
            }))
            .unwrap();
            let key = TenantKey { namespace: Some("a".into()), name: "t".into() };
            let demand = dependents.demand(&tenants, (&key, &tenant), Timestamp::UNIX_EPOCH);
            demand.values().map(|demand| demand.ready.len()).sum::<usize>()
        };
        assert_eq!((wanted(&[]), wanted(&["auth0|safe"]), wanted(&["auth0|safe", "auth0|1"])), (2, 1, 0));
    }
}
