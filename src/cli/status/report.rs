//! Where the objects stand, as data: what `-o json` prints.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{ConditionType, RemovalResult, TenantObject};
use crate::cli::cluster::{Cluster, Listing};
use crate::cli::column::{Column, Stand};
use crate::cli::object::{Object, kinds};
use crate::cli::operator::Operator;
use crate::cli::tenants::TenantList;
use crate::clock;
use crate::tenant::TenantKey;

use super::forecast::done_by;
use super::gather::{Account, Asked};

/// Everything that the command says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    schema_version: u32,
    pub read_at: Timestamp,
    /// What may not be read, or could not be.
    pub unread: Vec<String>,
    pub operator: OperatorReport,
    pub tenants: Vec<TenantReport>,
    /// Sums by kind: the short name, and how many objects count where.
    pub kinds: Vec<KindReport>,
    pub waiting: Vec<Group>,
    pub stalled: Vec<Group>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_by: Option<Timestamp>,
    /// Each object, if some were named, or a person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectReport>,
    /// The accounts of the person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<(String, String)>,
    /// "in namespace x" or "in all namespaces".
    #[serde(skip)]
    pub place: String,
    /// Whether single objects were named.
    #[serde(skip)]
    pub in_detail: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorReport {
    pub namespace: String,
    pub version: Option<String>,
    pub leader: Option<String>,
    /// The age of the Lease.
    pub lease_age_seconds: Option<i64>,
    pub standbys: Option<usize>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantReport {
    pub kind: &'static str,
    pub tenant: String,
    pub domain: String,
    pub reason: Option<String>,
    pub message: String,
    pub brake: BrakeReport,
    pub token_expires_at: Option<Timestamp>,
    pub open_until: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BrakeReport {
    pub used: i32,
    pub max: i32,
    pub window: String,
    /// Why it stops removals, if it does.
    pub engaged: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KindReport {
    pub kind: &'static str,
    pub short: String,
    pub objects: usize,
    #[serde(flatten)]
    pub counts: BTreeMap<&'static str, usize>,
}

/// The objects of one reason.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    pub reason: String,
    pub objects: usize,
    /// Those that have waited longest come first; at most 100.
    pub names: Vec<String>,
    /// The message of the first.
    pub message: String,
    pub oldest: Option<Timestamp>,
    pub next_attempt: Option<Timestamp>,
}

/// The most names that a group has.
const MAX_NAMES: usize = 100;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    pub title: String,
    pub tenant: String,
    /// At which endpoint, and which items.
    pub target: String,
    pub column: Column,
    pub reason: Option<String>,
    pub message: String,
    pub since: Option<Timestamp>,
    pub created: Option<Timestamp>,
    pub requested_by: Option<String>,
    pub conditions: Vec<ConditionReport>,
    pub result: Option<RemovalResult>,
    pub domain: Option<String>,
    pub last_removal_time: Option<Timestamp>,
    pub verified_time: Option<Timestamp>,
    pub effective_by: Option<Timestamp>,
    pub next_attempt_time: Option<Timestamp>,
    pub attempts: Option<i32>,
    pub correlation_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionReport {
    pub r#type: String,
    pub status: String,
    pub reason: String,
    pub message: String,
    pub since: Timestamp,
}

impl Report {
    /// Reads what else there is to say of these objects, and sums them up.
    pub async fn read(cluster: &Cluster, asked: &Asked, listing: Listing, operator_namespace: &str) -> Self {
        let used: BTreeSet<TenantKey> = listing.objects.iter().map(Object::tenant).collect();
        let operator = Operator::read(cluster, operator_namespace).await;
        let tenants = TenantList::read(cluster, &used).await;
        let now = clock::wall();
        let mut unread = listing.unread;
        unread.extend(tenants.missing.iter().map(|key| format!("there is no {} {key}", key.kind())));
        unread.extend(tenants.unread.iter().cloned());
        unread.extend(operator.unread().map(str::to_owned));
        let is_shown = |key: &TenantKey| matches!(asked, Asked::All(_)) || used.contains(key);
        let shown = tenants.found.iter().filter(|(key, _)| is_shown(key));
        let tenants = shown.map(|(key, tenant)| tenant_report(key, &**tenant)).collect();
        let is_listed = !matches!(asked, Asked::All(_));
        let all: Vec<(Object, Stand)> = listing
            .objects
            .into_iter()
            .map(|object| {
                let stand = Stand::of(&object);
                (object, stand)
            })
            .collect();
        let queued = all.iter().filter(|(_, stand)| stand.reason.as_deref() == Some("Queued"));
        let accounts = match asked {
            Asked::Person(accounts) => {
                accounts.iter().map(|Account { id, about }| (id.clone(), about.clone())).collect()
            }
            Asked::All(_) | Asked::Objects(_) | Asked::Email(_) => Vec::new(),
        };
        Self {
            schema_version: 1,
            read_at: now,
            unread,
            operator: operator_report(&operator, now),
            tenants,
            kinds: sums(&all),
            waiting: groups(&all, Column::Waiting),
            stalled: groups(&all, Column::Stalled),
            done_by: done_by(queued.map(|(_, stand)| &*stand.message), now),
            place: cluster.place(),
            in_detail: matches!(asked, Asked::Objects(_)),
            accounts,
            objects: all.iter().filter(|_| is_listed).map(|(object, stand)| object_report(object, stand)).collect(),
        }
    }

    /// How many objects count in this column.
    pub fn sum(&self, column: Column) -> usize {
        self.kinds.iter().map(|kind| kind.counts.get(column.as_str()).copied().unwrap_or(0)).sum()
    }
}

fn operator_report(operator: &Operator, now: Timestamp) -> OperatorReport {
    let leader = operator.leader.as_ref().ok().and_then(Option::as_ref).filter(|leader| leader.is_leading(now));
    OperatorReport {
        namespace: operator.namespace.clone(),
        version: operator.version().map(str::to_owned),
        leader: leader.map(|leader| leader.holder.clone()),
        lease_age_seconds: leader.and_then(|leader| leader.age(now)).map(|age| age.as_secs()),
        standbys: operator.standbys(),
    }
}

fn tenant_report(key: &TenantKey, tenant: &dyn TenantObject) -> TenantReport {
    let status = tenant.tenant_status();
    let condition = |kind| status.and_then(|status| status.condition(kind));
    let (brake, _) = tenant.brake();
    let used = status.and_then(|status| status.brake.as_ref());
    let engaged = condition(ConditionType::BrakeEngaged).filter(|engaged| engaged.status == "True");
    let ready = condition(ConditionType::Ready);
    TenantReport {
        kind: key.kind().as_str(),
        tenant: key.to_string(),
        domain: tenant.tenant_spec().domain.clone(),
        reason: ready.map(|ready| ready.reason.clone()),
        message: ready.map(|ready| ready.message.clone()).unwrap_or_default(),
        brake: BrakeReport {
            used: used.map_or(0, |brake| brake.used),
            max: brake.max_removals,
            window: brake.window.as_str().to_owned(),
            engaged: engaged.map(|engaged| engaged.message.clone()),
        },
        token_expires_at: status.and_then(|status| Some(status.credential.as_ref()?.expires_at.as_ref()?.0)),
        open_until: status.and_then(|status| Some(status.open_until.as_ref()?.0)),
    }
}

/// Only kinds that have objects.
fn sums(all: &[(Object, Stand)]) -> Vec<KindReport> {
    let report = |kind: crate::cli::object::Kind| {
        let mut counts: BTreeMap<_, _> = Column::ALL.iter().map(|column| (column.as_str(), 0)).collect();
        let own = all.iter().filter(|(object, _)| object.kind == kind.name);
        let objects = own.map(|(_, stand)| *counts.entry(stand.column.as_str()).or_default() += 1).count();
        KindReport { kind: kind.name, short: kind.short, objects, counts }
    };
    kinds().into_iter().map(report).filter(|kind| kind.objects > 0).collect()
}

/// The objects of a column by their reasons, those of which there are most first. Names are those of one namespace, or
/// begin with theirs.
fn groups(all: &[(Object, Stand)], column: Column) -> Vec<Group> {
    let mut by_reason: BTreeMap<&str, Vec<&(Object, Stand)>> = BTreeMap::new();
    let namespaces: BTreeSet<&str> = all.iter().map(|(object, _)| object.namespace()).collect();
    let name = |object: &Object| match namespaces.len() {
        0 | 1 => title(object),
        _ => format!("{}: {}", object.namespace(), title(object)),
    };
    for one in all.iter().filter(|(_, stand)| stand.column == column) {
        by_reason.entry(one.1.reason()).or_default().push(one);
    }
    let group = |(reason, mut own): (&str, Vec<&(Object, Stand)>)| {
        own.sort_by_key(|(object, stand)| (stand.since, object.title()));
        let next = |one: &&(Object, Stand)| one.0.status.as_ref().and_then(crate::api::RemovalStatus::next_attempt);
        Group {
            reason: reason.to_owned(),
            objects: own.len(),
            names: own.iter().take(MAX_NAMES).map(|(object, _)| name(object)).collect(),
            message: own.first().map(|(_, stand)| stand.message.clone()).unwrap_or_default(),
            oldest: own.iter().filter_map(|(_, stand)| stand.since).min(),
            next_attempt: own.iter().filter_map(next).min(),
        }
    };
    let mut groups: Vec<Group> = by_reason.into_iter().map(group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.objects));
    groups
}

/// `urr/jane`, as it can be typed.
pub fn title(object: &Object) -> String {
    let kind = kinds().into_iter().find(|kind| kind.name == object.kind);
    format!("{}/{}", kind.map_or_else(|| object.kind.to_owned(), |kind| kind.short), object.name())
}

fn object_report(object: &Object, stand: &Stand) -> ObjectReport {
    let status = object.status.clone().unwrap_or_default();
    let time = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| time.as_ref().map(|at| at.0);
    let items: Vec<String> = object.removal.items.iter().map(ToString::to_string).collect();
    let subject = object.removal.endpoint.ids().into_iter().map(|(_, id)| id.to_string()).collect::<Vec<_>>();
    let condition = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| ConditionReport {
        r#type: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        since: condition.last_transition_time.0,
    };
    ObjectReport {
        kind: object.kind,
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        title: title(object),
        tenant: object.tenant().to_string(),
        target: format!("{}: {}", subject.join(" "), items.join(", ")),
        column: stand.column,
        reason: stand.reason.clone(),
        message: stand.message.clone(),
        since: stand.since,
        created: object.created(),
        requested_by: object.requested_by(),
        conditions: status.conditions.iter().map(condition).collect(),
        result: status.result.clone(),
        domain: status.domain.clone(),
        last_removal_time: status.removed_at(),
        verified_time: time(&status.verified_time),
        effective_by: time(&status.effective_by),
        next_attempt_time: status.next_attempt(),
        attempts: status.attempts,
        correlation_id: status.correlation_id,
    }
}
