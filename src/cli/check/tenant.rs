//! Checks of one tenant: whether it can be used, what its token may do, and what guards it has.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::api::{ConditionType, CredentialKind, Mode, Reason, State, TenantObject};
use crate::auth0::AllowedDomains;
use crate::cli::cluster::Cluster;
use crate::cli::object::kinds;
use crate::cli::operator::Operator;
use crate::cli::texts::{count, shown};
use crate::cli::times::{instant, relative};
use crate::clock;
use crate::tenant::{KindRow, SecretCredential, TenantKey, place, settings, unneeded_scopes};

use super::codes::{
    BRAKE, CREDENTIAL, DOMAIN, LOOSE, OBSERVE, POWERFUL, PROTECTED, RELEASED, REMOVE, SECRET, STOPPED, TENANT, TOKEN,
    VERIFY,
};
use super::report::Category;

/// A static token that ends within this time is pointed out.
const SOON: SignedDuration = SignedDuration::from_hours(72);
/// A status lists no more scopes than this, so a list of that length may not be complete.
const MAX_SCOPES: usize = 50;
/// From here on a brake stops nothing.
const MANY: i32 = 100_000;

/// Checks the tenant.
pub async fn check(cluster: &Cluster, operator: &Operator, key: &TenantKey, tenant: &dyn TenantObject) -> Category {
    let domain = &tenant.tenant_spec().domain;
    let mut category = Category::new(format!("tenant {key}  {domain}"));
    let now = clock::wall();
    ready(tenant, &mut category);
    let scopes = credential(cluster, operator, key, tenant, now, &mut category).await;
    rights(tenant, scopes.as_deref(), &mut category);
    token(tenant, now, &mut category);
    guards(tenant, now, &mut category);
    category
}

fn ready(tenant: &dyn TenantObject, category: &mut Category) {
    let Some(ready) = tenant.tenant_status().and_then(|status| status.condition(ConditionType::Ready)) else {
        return category.look(TENANT, "the operator has not looked at it yet", "see the checks of the operator");
    };
    let text = format!("{}: {}", shown(&ready.reason), ready.message);
    let remedy = "do what the message says; docs/troubleshooting.md explains each reason";
    match Reason::parse(&ready.reason) {
        // Said below, with who asked for it.
        Some(Reason::Suspended | Reason::OnHold) => {}
        Some(Reason::SecretNotFound) => category.wrong(TENANT, text, remedy),
        Some(reason) => match reason.state() {
            State::Done => category.fine(TENANT, text),
            State::Stalled => category.wrong(TENANT, text, remedy),
            State::Waiting | State::Held => category.look(TENANT, text, remedy),
        },
        None if ready.status == "True" => category.fine(TENANT, text),
        None => category.look(TENANT, text, remedy),
    }
}

/// Checks domain and Secret as the operator does, and returns the scopes of a static token. The Secret is read if the
/// person may.
async fn credential(
    cluster: &Cluster,
    operator: &Operator,
    key: &TenantKey,
    tenant: &dyn TenantObject,
    now: Timestamp,
    category: &mut Category,
) -> Option<Vec<String>> {
    let flag = |one: &crate::cli::operator::Deployed| one.flag("--allowed-domains", "RESCIND_ALLOWED_DOMAINS");
    let Some(allowed) = operator.deployments.iter().flatten().find_map(flag) else {
        category.unknown(DOMAIN, "the domains that the operator may send credentials to could not be read");
        return None;
    };
    let Ok(allowed) = AllowedDomains::parse(allowed.split(',')) else {
        category.unknown(DOMAIN, "--allowed-domains of the operator cannot be read");
        return None;
    };
    if let Err(error) = place(tenant, &allowed) {
        category.wrong(DOMAIN, error.message, "correct the tenant object, or allowedDomains of the chart");
        return None;
    }
    category.fine(DOMAIN, "the operator may use this domain");
    let name = tenant.tenant_spec().credentials.secret().unwrap_or_default();
    let namespace = key.namespace.as_deref().unwrap_or(&operator.namespace);
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("get Secret {name} in namespace {namespace}");
    let secret = match cluster.find(&what, api.get(name)).await {
        Ok(secret) => secret,
        Err(error) => {
            category.unknown(SECRET, error.to_string());
            return None;
        }
    };
    match settings(tenant, namespace, secret.as_ref(), &allowed, now) {
        Ok(settings) => {
            category.fine(SECRET, format!("Secret {name} is there and labelled"));
            category.fine(CREDENTIAL, "its credential can be read and is for this API");
            match &settings.credential {
                SecretCredential::Token(token) => token.scopes().map(|scopes| scopes.to_vec()),
                SecretCredential::Application(_) => None,
            }
        }
        Err(error) => {
            let code = if error.reason == Reason::SecretNotFound { SECRET } else { CREDENTIAL };
            category.wrong(code, error.message, "do what the message says");
            None
        }
    }
}

/// What the token may do. `own`: the scopes of the token, if the person could read it; else what the status says.
fn rights(tenant: &dyn TenantObject, own: Option<&[String]>, category: &mut Category) {
    let status = tenant.tenant_status();
    let told = status.and_then(|status| status.credential.as_ref()).map(|credential| &credential.scopes);
    let told = told.filter(|scopes| !scopes.is_empty() && scopes.len() < MAX_SCOPES);
    let Some(held) = own.or(told.map(Vec::as_slice)) else {
        return category.unknown(REMOVE, "the scopes of the token are not known");
    };
    let has = |scope: &str| held.iter().any(|own| own == scope);
    let mut rows: Vec<KindRow> = Vec::new();
    for kind in kinds() {
        rows.push((kind.name, kind.row));
        match kind.row.lacking(held) {
            Some(scope) => {
                let remedy = format!("grant {scope} in Auth0, then get a new token");
                category.wrong(REMOVE, format!("no {} is carried out: the token lacks {scope}", kind.name), remedy);
            }
            None => category.fine(REMOVE, format!("{}: the token may remove", kind.name)),
        }
        let unread: Vec<&str> = kind.row.reads().filter(|scope| !has(scope)).collect();
        if !unread.is_empty() {
            let unread = unread.join(", ");
            let text = format!("not every {} can be verified: the token lacks {unread}", kind.name);
            category.look(VERIFY, text, format!("grant {unread} in Auth0, then get a new token"));
        }
    }
    let unneeded = unneeded_scopes(held, &rows);
    if unneeded.is_empty() {
        category.fine(POWERFUL, "the token may not do more than removing needs");
    } else {
        let text = format!("the token may do more than removing needs: {}", unneeded.join(", "));
        category.look(POWERFUL, text, "take these scopes away from the application in Auth0");
    }
}

fn token(tenant: &dyn TenantObject, now: Timestamp, category: &mut Category) {
    let Some(credential) = tenant.tenant_status().and_then(|status| status.credential.as_ref()) else { return };
    if credential.kind == CredentialKind::ClientCredentials {
        return category.fine(TOKEN, "the operator gets its tokens itself");
    }
    let Some(end) = credential.expires_at.as_ref().map(|at| at.0) else {
        return category.unknown(TOKEN, "the token does not say when it ends");
    };
    let remedy = "use the credentials of an application: spec.credentials.clientCredentialsSecretRef";
    if end <= now {
        category.wrong(TOKEN, format!("the token ended at {}, and it is static", instant(end)), remedy);
    } else if end.duration_since(now) < SOON {
        category.look(TOKEN, format!("the token ends {}, and it is static", relative(end, now)), remedy);
    } else {
        category.fine(TOKEN, format!("the token ends {}", relative(end, now)));
    }
}

fn guards(tenant: &dyn TenantObject, now: Timestamp, category: &mut Category) {
    let (spec, status) = (tenant.tenant_spec(), tenant.tenant_status());
    let protected = &spec.protected;
    let (users, roles) = (protected.user_ids.len(), protected.role_ids.len());
    let (organizations, holders) = (protected.organization_ids.len(), protected.keep_holders.len());
    if users + roles + organizations + holders == 0 {
        let remedy = "name your break-glass accounts in spec.protected.userIds";
        category.look(PROTECTED, "no account is protected: spec.protected is empty", remedy);
    } else {
        let parts = [(users, "user"), (roles, "role"), (organizations, "organization")].map(|(n, noun)| count(n, noun));
        let text = format!("protected: {}, last holders of {}", parts.join(", "), count(holders, "role"));
        category.fine(PROTECTED, text);
    }
    let engaged = status.and_then(|status| status.condition(ConditionType::BrakeEngaged));
    match engaged.filter(|engaged| engaged.status == "True") {
        Some(engaged) => {
            let remedy = "look with kubectl rescind plan --all; release the brake if all of that is meant";
            category.wrong(BRAKE, format!("the brake is engaged: {}", engaged.message), remedy);
        }
        None => category.fine(BRAKE, "the brake is not engaged"),
    }
    let counted = status.and_then(|status| status.brake.as_ref());
    let released =
        counted.map_or(0, |brake| brake.released + brake.namespaces.iter().map(|one| one.released).sum::<i32>());
    if released > 0 {
        let text = format!("a release of the brake lets {released} more items through");
        category.look(RELEASED, text, "if they are not meant, take the annotation rescind.dev/release-brake away");
    }
    let (brake, _) = tenant.brake();
    if brake.max_removals >= MANY || brake.max_share_of_organization >= 100 {
        let (most, share) = (brake.max_removals, brake.max_share_of_organization);
        let text = format!(
            "the brake stops little: {most} removals in {}, {share} % of an organization",
            brake.window.as_str()
        );
        category.look(LOOSE, text, "set spec.brake a little above what a normal day needs");
    }
    stops(tenant, now, category);
}

fn stops(tenant: &dyn TenantObject, now: Timestamp, category: &mut Category) {
    let spec = tenant.tenant_spec();
    let remedy = "let it go on with kubectl rescind resume";
    if spec.suspend {
        category.look(STOPPED, "the tenant is suspended: nothing is removed", remedy);
    }
    if let Some(hold) = spec.hold.as_ref().filter(|hold| hold.in_force(now).is_some()) {
        let text = format!("the tenant is on hold until {}: {}", hold.until.as_str(), shown(&hold.reason));
        category.look(STOPPED, text, remedy);
    }
    if spec.mode == Mode::Observe {
        category.look(OBSERVE, "mode is Observe: nothing is removed", "set mode: Remove after the first week");
    }
}
