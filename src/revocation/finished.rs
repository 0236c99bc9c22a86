//! What is finished: a matter of the target and of what was done to it, not of the generation. Pure.

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::api::{ConditionType, Mode, Reason, RemovalStatus, TenantKind, TenantRef};
use crate::auth0::Item;
use crate::dispatch::Removal;

/// Stands for what an object removes, and from where: the same for the same items in any order, another for another
/// tenant. It is stored in statuses, so its form can never change.
pub fn target(tenant: &TenantRef, removal: &Removal) -> String {
    let digest = digest(&SHA256, canonical(tenant, removal).as_bytes());
    digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn canonical(tenant: &TenantRef, removal: &Removal) -> String {
    let kind = match tenant.kind {
        TenantKind::Auth0Tenant => "Auth0Tenant",
        TenantKind::ClusterAuth0Tenant => "ClusterAuth0Tenant",
    };
    let endpoint = &removal.endpoint;
    let (organization, user) = (endpoint.organization().map(|id| &**id), endpoint.user().map(|id| &**id));
    let mut items: Vec<Value> = removal.items.iter().map(item).collect();
    items.sort_by_cached_key(Value::to_string);
    items.dedup();
    json!([kind, tenant.name, endpoint.template(), organization, user, items]).to_string()
}

fn item(item: &Item) -> Value {
    match item {
        Item::Id(id) => json!(**id),
        Item::Permission { resource_server, name } => json!([**resource_server, **name]),
    }
}

/// Whether nothing is left to do for an object of this generation whose mode in force is `mode`. `Ready=True` is believed
/// whatever version wrote it.
pub(super) fn is_finished(
    status: &RemovalStatus,
    generation: i64,
    mode: Mode,
    target: impl FnOnce() -> String,
) -> bool {
    let Some(ready) = status.condition(ConditionType::Ready).filter(|ready| ready.status == "True") else {
        return false;
    };
    let Some(finished) = &status.finished else {
        return ready.observed_generation.or(status.observed_generation) == Some(generation);
    };
    // From observing to removing leads the object's own edit only, never a default that somebody filled in.
    let done = finished.mode == Mode::Remove || mode == Mode::Observe || generation <= finished.generation;
    (done || Reason::parse(&ready.reason).is_none()) && finished.target == target()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Finished, conditions, verdicts};
    use crate::auth0::Endpoint;
    use jiff::Timestamp;

    fn tenant(name: &str) -> TenantRef {
        TenantRef { name: name.into(), ..TenantRef::default() }
    }

    fn ids(ids: &[&str]) -> Vec<Item> {
        ids.iter().map(|id| Item::Id((*id).into())).collect()
    }

    fn roles(items: &[&str]) -> Removal {
        Removal { endpoint: Endpoint::UserRoles { user: "auth0|a".into() }, items: ids(items) }
    }

    /// They are stored in the statuses of finished objects: another value would have them removed again.
    #[test]
    fn targets_never_change() {
        let permission = |api: &str, name: &str| Item::Permission { resource_server: api.into(), name: name.into() };
        let permissions = vec![permission("https://b/", "read:x"), permission("https://a/", "read:\"ü\"")];
        let cluster = TenantRef { kind: TenantKind::ClusterAuth0Tenant, name: "eu".into() };
        let (user, organization) = || ("auth0|a".into(), "org_9ybsU1dN2dKfDkBi".into());
        let removal = |endpoint, items| Removal { endpoint, items };
        let vectors = [(tenant("default"), roles(&["rol_b", "rol_a"]), "", "")];
        for (tenant, removal, text, hash) in vectors {
            assert_eq!((canonical(&tenant, &removal).as_str(), target(&tenant, &removal).as_str()), (text, hash));
        }
    }
}
