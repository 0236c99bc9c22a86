//! The list of the fields and values on which this version does not act.

use std::fmt::Debug;

/// First the unknown fields and values, then those that are known but not acted on yet.
pub(super) struct Unsupported(Vec<String>);

impl Unsupported {
    pub(super) fn new(unknown: &[String]) -> Self {
        Self(unknown.to_vec())
    }

    /// Adds a field that must not be set, if it is.
    pub(super) fn field(&mut self, path: &str, is_set: bool) {
        if is_set {
            self.0.push(path.to_owned());
        }
    }

    /// Adds a field of which only one value is acted on, if it has another. `Debug` must give the value as it is
    /// written in manifests.
    pub(super) fn value<T: PartialEq + Debug>(&mut self, path: &str, value: T, supported: T) {
        if value != supported {
            self.0.push(format!("{path}: {value:?}"));
        }
    }
}

impl From<Unsupported> for Vec<String> {
    fn from(list: Unsupported) -> Self {
        list.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::api::{Auth0Tenant, TenantObject, UserRoleRevocationSpec};

    fn removal() -> Value {
        json!({
            "userId": "auth0|x", "roles": ["rol_bN1a2b3c4d5e6f7g"], "tenantRef": {"kind": "Auth0Tenant", "name": "other"},
            "policy": "Once", "mode": "Remove", "ifNotFound": "Ignore", "suspend": true,
        })
    }

    fn tenant() -> Value {
        json!({
            "domain": "acme.eu.auth0.com", "audience": "https://x/api/v2/", "caBundle": "AAAA",
            "credentials": {"tokenSecretRef": {"name": "other", "key": "other"}},
            "rateLimit": {"maxRequestsPerSecond": 1, "reservePercent": 90}, "verification": "Never", "mode": "Remove",
            "brake": {"maxRemovals": 1000, "window": "1h", "maxShareOfOrganization": 25},
            "protected": {"userIds": [], "roleIds": [], "organizationIds": [], "keepHolders": []}, "suspend": true,
        })
    }

    fn of_removal(spec: Value) -> Vec<String> {
        serde_json::from_value::<UserRoleRevocationSpec>(spec).expect("readable").options.unsupported()
    }

    fn of_tenant(spec: Value) -> Vec<String> {
        Auth0Tenant::new("t", serde_json::from_value(spec).expect("readable")).unsupported()
    }

    /// `spec` with `value` where `pointer` says.
    fn with(mut spec: Value, pointer: &str, value: Value) -> Value {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        spec.pointer_mut(parent).unwrap()[name] = value;
        spec
    }

    #[test]
    fn what_is_set_but_not_acted_on_is_named() {
        assert_eq!(of_removal(removal()), Vec::<String>::new());
        assert_eq!(of_tenant(tenant()), Vec::<String>::new());
        let (until, id) = ("2026-12-24T00:00:00Z", "rol_bN1a2b3c4d5e6f7g");
        for (pointer, value, named) in [
            ("/policy", json!("Continuous"), "spec.policy: Continuous"),
            ("/interval", json!("1h"), "spec.interval"),
            ("/mode", json!("Observe"), "spec.mode: Observe"),
            ("/verification", json!("After"), "spec.verification"),
            ("/notBefore", json!(until), "spec.notBefore"),
            ("/notAfter", json!(until), "spec.notAfter"),
            ("/hold", json!({"until": until, "reason": "x"}), "spec.hold"),
        ] {
            assert_eq!(of_removal(with(removal(), pointer, value)), [named]);
        }
        for (pointer, value, named) in [
            ("/mode", json!("Observe"), "spec.mode: Observe"),
            ("/brake/maxRemovals", json!(1), "spec.brake"),
            ("/brake/window", json!("2h"), "spec.brake"),
            ("/brake/maxShareOfOrganization", json!(100), "spec.brake"),
            ("/protected/userIds", json!(["auth0|x"]), "spec.protected"),
            ("/protected/roleIds", json!([id]), "spec.protected"),
            ("/protected/organizationIds", json!(["org_bN1a2b3c4d5e6f7g"]), "spec.protected"),
            ("/protected/keepHolders", json!([{"roleId": id, "atLeast": 1}]), "spec.protected"),
            ("/hold", json!({"until": until, "reason": "x"}), "spec.hold"),
        ] {
            assert_eq!(of_tenant(with(tenant(), pointer, value)), [named]);
        }
    }
}
