//! The plan of the objects of one tenant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::ValueEnum;

use crate::api::{BrakeStatus, ConditionType};
use crate::auth0::{Endpoint, Item, Lookup};
use crate::cli::access::access;
use crate::cli::cluster::Cluster;
use crate::cli::error::CliError;
use crate::cli::flags::Auth0Flags;
use crate::cli::look::{Seen, Wanted, look};
use crate::cli::reads::Reads;
use crate::cli::session::Session;
use crate::revocation::Now;
use crate::tenant::TenantKey;

use super::guards::{Counted, guard};
use super::left::left;
use super::planned::Planned;
use super::report::{ItemReport, ObjectReport, TenantReport};
use super::standing::Standing;
use super::verdict::{Act, Judged, Presence, judge, sign};

/// From this many people and organizations on their names are read on request only.
const MANY_NAMES: usize = 10;

/// Whether names are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Names {
    /// If they are at most ten.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the flags say.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// How Auth0 is read.
    pub auth0: &'a Auth0Flags,
    /// The namespace of the operator.
    pub operator_namespace: &'a str,
    /// Whether names are read.
    pub names: Names,
}

/// Plans the objects of one tenant.
pub async fn plan(
    session: &Session,
    cluster: &Cluster,
    key: &TenantKey,
    planned: Vec<Planned>,
    asked: &Asked<'_>,
) -> Result<TenantReport, CliError> {
    let now = Now::read();
    let namespaces: BTreeSet<String> = planned.iter().map(|planned| planned.object.namespace().to_owned()).collect();
    let namespaces: Vec<String> = namespaces.into_iter().collect();
    let standing = Standing::read(cluster, key, &namespaces, now.wall).await?;
    let mut access = match &standing.tenant {
        Some(tenant) => {
            let tenant = (key, &**tenant);
            access(cluster, tenant, asked.auth0, asked.operator_namespace, &session.screen).await
        }
        None => Err(CliError::failed(format!("there is no {} {key}", key.kind()))),
    };
    // A wrong flag is wrong for every tenant.
    if let Err(CliError::Usage(text)) = access {
        return Err(CliError::Usage(text));
    }
    let scopes = access.as_ref().ok().filter(|access| access.is_operators);
    let scopes: Option<Vec<String>> = scopes.and_then(|access| access.reads.scopes().map(<[String]>::to_vec));
    let judged: Vec<Judged> = planned
        .iter()
        .map(|planned| {
            let guarded = standing.guarded(key, &planned.object, scopes.as_deref());
            let brake = engaged(&standing, planned.object.namespace());
            let (tenant, free) = (standing.now(&guarded, brake.as_deref()), standing.free(&guarded, brake.as_deref()));
            judge(&planned.object, tenant, free, now)
        })
        .collect();
    let mut seen = Seen::default();
    let mut unread: Vec<String> = standing.unknown().collect();
    let (mut counted, mut left_lines, mut names) = (Counted::default(), Vec::new(), BTreeMap::new());
    if let Ok(access) = &mut access {
        seen = look(&mut access.reads, &wanted(&planned, &judged)).await;
        counted = guard(&mut access.reads, &mut seen, standing.tenant.as_deref(), &planned, &judged).await;
        names = subject_names(&mut access.reads, &planned, asked.names).await;
        let found = left(&mut access.reads, &seen, &planned, &judged).await;
        left_lines = found.lines;
        unread.extend(found.unread);
    }
    let why_unread = access.as_ref().err().map(ToString::to_string);
    let deletes = deletes(&planned, &judged);
    let objects = planned.iter().zip(&judged).enumerate().map(|(at, (planned, judged))| {
        let refusal = counted.refused.get(&at);
        object_report(planned, judged, refusal, &seen, &names, why_unread.as_deref())
    });
    Ok(TenantReport {
        kind: key.kind().to_string(),
        tenant: key.to_string(),
        domain: standing.tenant.as_ref().map(|tenant| tenant.tenant_spec().domain.clone()).unwrap_or_default(),
        objects: objects.collect(),
        left: left_lines,
        guards: counted.lines,
        unread,
        deletes,
        calls: access.as_ref().map(|access| access.reads.calls).unwrap_or_default(),
        token: access.map(|access| access.origin).map_err(|error| error.to_string()),
    })
}

/// Why the brake keeps removals of a namespace from being sent now, if it does.
fn engaged(standing: &Standing, namespace: &str) -> Option<String> {
    let status = standing.status()?;
    let condition = status.condition(ConditionType::BrakeEngaged).filter(|condition| condition.status == "True")?;
    let brake = status.brake.as_ref()?;
    is_engaged_for(brake, namespace).then(|| condition.message.clone())
}

/// Whether a brake that is engaged stops this namespace. Of a tenant for many namespaces, one can be stopped and
/// another not.
fn is_engaged_for(brake: &BrakeStatus, namespace: &str) -> bool {
    let of = |name: &str| brake.namespaces.iter().find(|of| of.name == name);
    let is_stopped = || of(namespace).or_else(|| of(BrakeStatus::OTHERS)).is_some_and(|of| of.id.is_some());
    brake.namespaces.is_empty() || brake.id.is_some() || is_stopped()
}

/// What is to be read: the items of the objects for which the operator would do something, or has.
fn wanted(planned: &[Planned], judged: &[Judged]) -> Wanted {
    let mut wanted = Wanted::new();
    for (planned, judged) in planned.iter().zip(judged) {
        if !matches!(judged.act, Act::Refuse(..)) {
            let removal = &planned.object.removal;
            wanted.entry(removal.endpoint.clone()).or_default().extend(removal.items.iter().cloned());
        }
    }
    wanted
}

/// How many DELETEs it takes, merged as the operator merges them.
fn deletes(planned: &[Planned], judged: &[Judged]) -> usize {
    let mut items: BTreeMap<&Endpoint, BTreeSet<&Item>> = BTreeMap::new();
    for (planned, _) in planned.iter().zip(judged).filter(|(_, judged)| judged.act == Act::Remove) {
        items.entry(&planned.object.removal.endpoint).or_default().extend(&planned.object.removal.items);
    }
    items.iter().map(|(endpoint, items)| items.len().div_ceil(endpoint.max_items())).sum()
}

/// The names of people and organizations by their ids.
async fn subject_names(reads: &mut Reads<'_>, planned: &[Planned], names: Names) -> BTreeMap<Arc<str>, String> {
    let mut lookups = BTreeMap::new();
    for Planned { object, .. } in planned {
        let endpoint = &object.removal.endpoint;
        let user = endpoint.user().cloned().into_iter();
        let members = object.removal.items.iter().filter_map(|item| match (endpoint, item) {
            (Endpoint::OrganizationMembers { .. }, Item::Id(user)) => Some(user.clone()),
            _ => None,
        });
        lookups.extend(user.chain(members).map(|user| (user.clone(), Lookup::User(user))));
        lookups.extend(endpoint.organization().map(|id| (id.clone(), Lookup::Organization(id.clone()))));
    }
    if names == Names::Never || (names == Names::Auto && lookups.len() > MANY_NAMES) {
        return BTreeMap::new();
    }
    let mut found = BTreeMap::new();
    for (id, lookup) in lookups {
        // A name is a help, and its absence says nothing.
        let Ok(entries) = reads.look_up(lookup).await else { continue };
        let text = |key: &str| entries.first()?.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        // Auth0 shows the id of an account that has no name.
        found.extend(text("display_name").or_else(|| text("name")).filter(|name| **name != *id).map(|name| (id, name)));
    }
    found
}

fn object_report(
    planned: &Planned,
    judged: &Judged,
    refusal: Option<&String>,
    seen: &Seen,
    names: &BTreeMap<Arc<str>, String>,
    why_unread: Option<&str>,
) -> ObjectReport {
    let object = &planned.object;
    let endpoint = &object.removal.endpoint;
    let item_report = |item: &Item| {
        let presence = match why_unread {
            Some(why) => Presence::Unknown(why.to_owned()),
            None => seen.presence(endpoint, item),
        };
        let (found, why) = sign(object, &judged.act, &presence);
        let (sign, why) = match refusal.filter(|_| matches!(judged.act, Act::Remove)) {
            Some(why) => (super::verdict::Sign::Refused, Some(why.clone())),
            None => (found, why),
        };
        let id = if let Item::Id(id) = item { Some(id) } else { None };
        let name = id.and_then(|id| seen.names.get(id).or_else(|| names.get(id)).cloned());
        ItemReport { sign, what: endpoint.items().word().to_owned(), item: item.to_string(), name, why }
    };
    let ids = endpoint.ids();
    let of_subject = ids.iter().filter_map(|(_, id)| names.get(*id)).cloned().collect::<Vec<_>>();
    ObjectReport {
        kind: object.kind.to_owned(),
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        source: planned.source.clone(),
        subject: ids.iter().map(|(_, id)| &***id).collect::<Vec<_>>().join(" "),
        subject_name: (!of_subject.is_empty()).then(|| of_subject.join(", ")),
        wait: judged.wait.as_ref().map(|(reason, message)| format!("{}: {message}", reason.as_str())),
        items: object.removal.items.iter().map(item_report).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_brake_of_one_namespace_is_not_that_of_another() {
        let brake = |json| -> BrakeStatus { serde_json::from_value(json).unwrap() };
        assert!(is_engaged_for(&brake(json!({"id": "3-ab"})), "a"), "an Auth0Tenant has one namespace");
        let one = brake(json!({"namespaces": [{"name": "a", "id": "3-ab"}, {"name": "b"}]}));
        assert_eq!(["a", "b", "c"].map(|name| is_engaged_for(&one, name)), [true, false, false]);
        let others = brake(json!({"namespaces": [{"name": "b"}, {"name": "*", "id": "3-ab"}]}));
        assert_eq!(["b", "c"].map(|name| is_engaged_for(&others, name)), [false, true]);
        let all = brake(json!({"id": "9-ab", "namespaces": [{"name": "b"}]}));
        assert!(is_engaged_for(&all, "b"), "all namespaces together");
    }
}
