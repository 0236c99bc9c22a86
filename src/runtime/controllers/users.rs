//! Which removals wait for which tenant, so that a change of one wakes its own and nobody has to look through all.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use kube::runtime::reflector::Store;

use crate::revocation::Revocation;
use crate::runtime::cache::Key;
use crate::tenant::TenantKey;

use super::controller::Requests;

/// The removals of every kind and scope.
#[derive(Default)]
pub(crate) struct Users(RwLock<Vec<Arc<dyn Wake>>>);

trait Wake: Send + Sync {
    fn wake(&self, tenant: &TenantKey);
}

impl Users {
    /// Those of one kind and scope, which are woken through `requests`.
    pub(crate) fn of<K: Revocation>(&self, store: Store<K>, requests: Requests<K>) -> Arc<UsersOf<K>> {
        let users = Arc::new(UsersOf { by_tenant: Mutex::default(), store, requests });
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(users.clone());
        users
    }

    /// Wakes everybody who waits for this tenant, the oldest first.
    pub(crate) fn wake(&self, tenant: &TenantKey) {
        for users in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            users.wake(tenant);
        }
    }
}

/// Those of one kind and scope.
pub(crate) struct UsersOf<K: Revocation> {
    by_tenant: Mutex<HashMap<TenantKey, HashSet<Key>>>,
    store: Store<K>,
    requests: Requests<K>,
}

impl<K: Revocation> UsersOf<K> {
    /// The object of this name was `before` and is `now`; none if it needs no tenant.
    pub(crate) fn change(&self, key: &Key, before: Option<&K>, now: Option<&K>) {
        let tenant = |object: &K| TenantKey::of(&key.namespace, &object.options().tenant_ref);
        let (before, now) = (before.map(tenant), now.map(tenant));
        if before == now {
            return;
        }
        let mut by_tenant = self.lock();
        if let Some(users) = before.as_ref().and_then(|before| by_tenant.get_mut(before)) {
            users.remove(key);
            if users.is_empty() {
                before.map(|before| by_tenant.remove(&before));
            }
        }
        if let Some(now) = now {
            by_tenant.entry(now).or_default().insert(key.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantKey, HashSet<Key>>> {
        self.by_tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Revocation> Wake for UsersOf<K> {
    fn wake(&self, tenant: &TenantKey) {
        let users: Vec<Key> = self.lock().get(tenant).into_iter().flatten().cloned().collect();
        let age = |key: &Key| Some(self.store.get(&key.reference())?.meta().creation_timestamp.as_ref()?.0);
        let mut users: Vec<_> = users.into_iter().map(|key| (age(&key), key)).collect();
        users.sort_unstable();
        for (_, key) in users {
            self.requests.add(&key);
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

    #[test]
    fn users_are_woken_by_age_and_forgotten_when_they_are_done() {
        let (store, mut writer) = reflector::store();
        let (users, (requests, mut requested)) = (Users::default(), Requests::new());
        let of = users.of::<UserRoleRevocation>(store, requests);
        let key = |name| Key::new("a", name);
        let young = object("young", "t", "2026-01-02T00:00:00Z");
        let old = object("z-old", "t", "2026-01-01T00:00:00Z");
        let other = object("other", "u", "2026-01-01T00:00:00Z");
        for (name, object) in [("young", &young), ("z-old", &old), ("other", &other)] {
            writer.apply_watcher_event(&Event::Apply(object.clone()));
            of.change(&key(name), None, Some(object));
        }
        let mut woken = |tenant: &str| {
            users.wake(&TenantKey { namespace: "a".into(), name: tenant.into() });
            std::iter::from_fn(|| Some(requested.next().now_or_never()??.name)).collect::<Vec<_>>()
        };
        assert_eq!(woken("t"), ["z-old", "young"]);
        of.change(&key("young"), Some(&young), Some(&object("young", "u", "2026-01-02T00:00:00Z")));
        assert_eq!((woken("t"), woken("u")), (vec!["z-old".to_owned()], vec!["other".to_owned(), "young".to_owned()]));
        of.change(&key("z-old"), Some(&old), None);
        assert_eq!(woken("t"), [""; 0]);
        assert!(!of.lock().contains_key(&TenantKey { namespace: "a".into(), name: "t".into() }));
    }
}
