//! When an object is finished. That depends on its target and on what was done to it, not on the generation: an edit
//! that changes neither must not remove anything again (docs/design.md, "Finished"). Pure.

use ring::digest::{SHA256, digest};
use serde::Serialize;

use crate::api::{ConditionType, Mode, Policy, Reason, RemovalStatus, TenantRef};
use crate::auth0::Item;
use crate::dispatch::Removal;
use crate::hex::hex;

/// `status.finished.target`: the first 16 hex digits of SHA-256 over tenant, endpoint and items. The order of the items
/// does not matter. It is stored in statuses, so its form can never change.
pub(super) fn target(tenant: &TenantRef, removal: &Removal) -> String {
    hex(&digest(&SHA256, canonical(tenant, removal).as_bytes()).as_ref()[..8])
}

/// The text that is hashed: a JSON array without white space. Ids other than these two follow them.
fn canonical(tenant: &TenantRef, removal: &Removal) -> String {
    let endpoint = &removal.endpoint;
    let (organization, user) = (endpoint.organization().map(|id| &**id), endpoint.user().map(|id| &**id));
    let mut items: Vec<String> = removal.items.iter().map(item).collect();
    items.sort_unstable();
    items.dedup();
    let mut parts = vec![
        text(tenant.kind.as_str()),
        text(&tenant.name),
        text(endpoint.template()),
        text(&organization),
        text(&user),
    ];
    parts.extend(endpoint.other_ids().map(|(_, id)| text(&**id)));
    parts.push(format!("[{}]", items.join(",")));
    format!("[{}]", parts.join(","))
}

fn item(item: &Item) -> String {
    match item {
        Item::Id(id) => text(&**id),
        Item::Permission { resource_server, name } => text(&[&**resource_server, &**name]),
    }
}

/// As JSON. Texts and lists of texts can always be written.
fn text(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The modes that decide whether an object is finished.
#[derive(Clone, Copy, Debug)]
pub(super) struct Modes {
    /// The object's own mode.
    pub(super) own: Mode,
    /// That of its tenant; none while the tenant cannot be used.
    pub(super) tenant: Option<Mode>,
}

impl Modes {
    /// The stricter one.
    pub(super) fn in_force(self) -> Mode {
        self.own.max(self.tenant.unwrap_or_default())
    }
}

/// Whether nothing is left to do for an object of this generation. `Ready=True` counts whatever version of the operator
/// wrote it.
pub(super) fn is_finished(
    status: &RemovalStatus,
    (generation, policy): (i64, Policy),
    modes: Modes,
    target: impl FnOnce() -> String,
) -> bool {
    let Some(ready) = status.condition(ConditionType::Ready).filter(|ready| ready.status == "True") else {
        return false;
    };
    let Some(finished) = &status.finished else {
        return ready.observed_generation.or(status.observed_generation) == Some(generation);
    };
    // An object that was only observed is removed after its own edit, or after its tenant's if that made it observe, but
    // never because of a changed default.
    let is_edited = !finished.by_tenant && generation > finished.generation;
    let is_still_observed = match modes {
        Modes { own: Mode::Observe, .. } | Modes { tenant: Some(Mode::Observe), .. } => true,
        Modes { tenant: Some(Mode::Remove), .. } => !(is_edited || finished.by_tenant),
        Modes { tenant: None, .. } => !is_edited,
    };
    // What a version does not know it does not act on. But what the policy says is to be removed whenever it is there, so
    // an observation keeps none of it, whatever it found.
    let is_unknown = Reason::parse(&ready.reason).is_none() && policy == Policy::Once;
    let is_done = finished.mode == Mode::Remove || is_still_observed || is_unknown;
    is_done && finished.target == target()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Finished, TenantKind, conditions, verdicts};
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

    /// The targets are stored in the statuses of finished objects: with another value those would be removed again.
    #[test]
    fn targets_never_change() {
        let permission = |api: &str, name: &str| Item::Permission { resource_server: api.into(), name: name.into() };
        let permissions = vec![permission("https://b/", "read:x"), permission("https://a/", "read:\"ü\"")];
        let cluster = TenantRef { kind: TenantKind::ClusterAuth0Tenant, ..tenant("default") };
        let organization = "org_9ybsU1dN2dKfDkBi";
        let members = Endpoint::OrganizationMembers { organization: organization.into() };
        let member_roles =
            Endpoint::OrganizationMemberRoles { organization: organization.into(), user: "auth0|a".into() };
        let permissions =
            Removal { endpoint: Endpoint::UserPermissions { user: "auth0|a".into() }, items: permissions };
        let vectors = [
            (
                tenant("default"),
                roles(&["rol_b", "rol_a"]),
                r#"["Auth0Tenant","default","users/{id}/roles",null,"auth0|a",["rol_a","rol_b"]]"#,
                "69ebde10ea110466",
            ),
            (
                tenant("other"),
                roles(&["rol_a", "rol_b"]),
                r#"["Auth0Tenant","other","users/{id}/roles",null,"auth0|a",["rol_a","rol_b"]]"#,
                "9d55a6bd00e2e377",
            ),
            (
                cluster,
                roles(&["rol_a", "rol_b", "rol_a"]),
                r#"["ClusterAuth0Tenant","default","users/{id}/roles",null,"auth0|a",["rol_a","rol_b"]]"#,
                "23bc709684e9bf7f",
            ),
            (
                tenant("default"),
                permissions,
                r#"["Auth0Tenant","default","users/{id}/permissions",null,"auth0|a",[["https://a/","read:\"ü\""],["https://b/","read:x"]]]"#,
                "62c2fc0950d559b4",
            ),
            (
                tenant("default"),
                Removal { endpoint: members, items: ids(&["auth0|a"]) },
                r#"["Auth0Tenant","default","organizations/{id}/members","org_9ybsU1dN2dKfDkBi",null,["auth0|a"]]"#,
                "914d83b484127197",
            ),
            (
                tenant("default"),
                Removal { endpoint: member_roles, items: ids(&["rol_a"]) },
                r#"["Auth0Tenant","default","organizations/{id}/members/{user_id}/roles","org_9ybsU1dN2dKfDkBi","auth0|a",["rol_a"]]"#,
                "7f4d594f85080c43",
            ),
        ];
        for (tenant, removal, text, hash) in vectors {
            assert_eq!((canonical(&tenant, &removal).as_str(), target(&tenant, &removal).as_str()), (text, hash));
        }
    }

    /// An observed object acts after the edit of whoever had it observed, once that can be known.
    #[test]
    fn an_observed_object_acts_after_an_edit() {
        let (remove, observe) = (Mode::Remove, Mode::Observe);
        let rows = [
            (true, 3, remove, Some(remove), false),
            (true, 4, remove, Some(remove), false),
            (true, 4, remove, Some(observe), true),
            (true, 4, remove, None, true),
            (true, 4, observe, Some(remove), true),
            (false, 4, remove, Some(observe), true),
            (false, 4, remove, None, false),
            (false, 3, remove, None, true),
            (false, 3, remove, Some(remove), true),
            (false, 4, observe, Some(remove), true),
        ];
        for (by_tenant, generation, own, tenant, expected) in rows {
            let finished = Finished { target: "t".into(), mode: observe, by_tenant, generation: 3 };
            let status = ready("WouldRemove", Some(finished));
            let row = format!("{by_tenant} {generation} {own:?} {tenant:?}");
            let finished = is_finished(&status, (generation, Policy::Once), Modes { own, tenant }, || "t".to_owned());
            assert_eq!(finished, expected, "{row}");
        }
    }

    /// A status that says `Ready=True` for this reason, written for generation 3.
    fn ready(reason: &str, finished: Option<Finished>) -> RemovalStatus {
        let mut conditions = conditions(&[], &verdicts(Reason::Removed, "x"), 3, Timestamp::UNIX_EPOCH);
        conditions[0].reason = reason.to_owned();
        RemovalStatus { observed_generation: Some(3), conditions, finished, ..RemovalStatus::default() }
    }

    /// Promises 12 and 13: a finished object stays finished, whatever version finished it.
    #[test]
    fn finished_is_a_matter_of_target_and_mode() {
        let done = |mode, target: &str| Some(Finished { target: target.into(), mode, by_tenant: false, generation: 3 });
        let (remove, observe) = (Mode::Remove, Mode::Observe);
        let rows = [
            ("the same generation", "Removed", done(remove, "t"), 3, remove, true),
            ("edited, the same target", "Removed", done(remove, "t"), 9, remove, true),
            ("created again with a lower generation", "Removed", done(remove, "t"), 1, remove, true),
            ("another target", "Removed", done(remove, "other"), 4, remove, false),
            ("removed, now observed", "Removed", done(remove, "t"), 4, observe, true),
            ("observed, still observed", "WouldRemove", done(observe, "t"), 4, observe, true),
            ("observed, edited to remove", "WouldRemove", done(observe, "t"), 4, remove, false),
            ("observed, and only a default says to remove", "WouldRemove", done(observe, "t"), 3, remove, true),
            ("of another version, observed, edited to remove", "FromTheFuture", done(observe, "t"), 4, remove, true),
            ("of another version, observed, and only a default", "FromTheFuture", done(observe, "t"), 3, remove, true),
            ("of another version, another target", "FromTheFuture", done(remove, "other"), 4, remove, false),
            ("of an older version", "Removed", None, 3, remove, true),
            ("of an older version, edited since", "Removed", None, 4, remove, false),
            ("of some version without a target", "FromTheFuture", None, 3, remove, true),
        ];
        for (row, reason, finished, generation, mode, expected) in rows {
            let status = ready(reason, finished);
            let modes = Modes { own: mode, tenant: Some(Mode::Remove) };
            let finished = |policy| is_finished(&status, (generation, policy), modes, || "t".to_owned());
            assert_eq!(finished(Policy::Once), expected, "{row}");
            // An observation that is over keeps nothing of what is removed again and again.
            let is_over = row == "of another version, observed, edited to remove";
            assert_eq!(finished(Policy::Continuous), expected && !is_over, "{row}");
        }
        let mut waits = ready("Removed", done(remove, "t"));
        waits.conditions[0].status = "False".into();
        let modes = Modes { own: remove, tenant: Some(remove) };
        assert!(!is_finished(&waits, (3, Policy::Once), modes, || "t".to_owned()), "only a ready object is finished");
        assert!(!is_finished(&RemovalStatus::default(), (3, Policy::Once), modes, || "t".to_owned()));
    }
}
