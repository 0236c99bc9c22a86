//! The population of a report: every removal that was asked for in the period, from the objects that are there and from
//! the audit lines of those that were deleted. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ConditionType, Mode};
use crate::auth0::{Endpoint, Item, ItemKind};
use crate::cli::object::{Kind, Object};
use crate::tenant::TenantKey;

use super::audit::{AuditFacts, Audited, Call};
use super::kube_audit::{Create, KubeFacts, Named};
use super::period::Period;
use super::row::{Row, Sla, Source, Standing, TimesFrom};
use super::standing::verdict;

/// What a report is made of.
#[derive(Debug)]
pub struct Given<'a> {
    /// The objects that are there.
    pub objects: &'a [Object],
    /// Whether none could not be read.
    pub are_all: bool,
    /// The domains of the tenants.
    pub domains: &'a BTreeMap<TenantKey, String>,
    /// The operator's audit log, if it was given.
    pub audit: Option<&'a AuditFacts>,
    /// The audit log of the API server, if it was given.
    pub kube: Option<&'a KubeFacts>,
    /// The kinds.
    pub kinds: &'a [Kind],
    /// Only this namespace.
    pub namespace: Option<&'a str>,
    /// Whether deleted objects are wanted. What labels they had is not known.
    pub with_deleted: bool,
    /// The period.
    pub period: Period,
    /// How long a removal may take.
    pub sla: Duration,
    /// Now.
    pub now: Timestamp,
}

/// The population, and what it was made of.
#[derive(Debug, Default)]
pub struct Population {
    /// The removals, by the time of the request.
    pub rows: Vec<Row>,
    /// How many objects that are there have removals in it.
    pub objects: usize,
    /// Objects that are not there any more, or could not be read, and are in an audit log.
    pub only_in_audit: Vec<String>,
    /// Objects whose removal Auth0 accepted, and that no line of the audit log names.
    pub only_in_objects: Vec<String>,
    /// How many objects of the period only look (`mode: Observe`), and ask for no removal.
    pub observing: usize,
}

/// Gathers the population.
pub fn collect(given: &Given<'_>) -> Population {
    let mut population = Population::default();
    let mut live = BTreeMap::new();
    for object in given.objects {
        let uid = object.meta.uid.as_deref().unwrap_or_default();
        live.insert(uid, object);
        if object.created().is_some_and(|created| given.period.contains(created)) {
            if object.options.mode == Mode::Observe {
                population.observing += 1;
            } else {
                given.living(&mut population, object, uid);
            }
        }
    }
    if given.with_deleted {
        given.deleted(&mut population, &live);
        given.created_only(&mut population, &live);
    }
    for row in &mut population.rows {
        row.within_sla = row.judged(given.sla, given.now);
    }
    population.rows.sort_by(|a, b| {
        let key = |row: &Row| (row.requested_at, row.namespace.clone(), row.kind.clone(), row.name.clone());
        let item = |row: &Row| (row.user_id.clone(), row.item_of.clone(), row.item_id.clone());
        key(a).cmp(&key(b)).then_with(|| item(a).cmp(&item(b)))
    });
    population
}

impl Given<'_> {
    fn living(&self, population: &mut Population, object: &Object, uid: &str) {
        let named = (object.kind.to_owned(), object.namespace().to_owned(), object.name().to_owned());
        let audited = self.audit.and_then(|audit| audit.objects.get(uid));
        let status = object.status.as_ref();
        let removed_at = status.and_then(|status| status.removed_at());
        let is_in_audit = audited.is_some_and(|audited| audited.calls.iter().any(|call| call.is_accepted()));
        if self.audit.is_some() && removed_at.is_some() && !is_in_audit {
            population.only_in_objects.push(title(&named));
        }
        population.objects += 1;
        let verdict = verdict(object);
        let effective = status.and_then(|status| status.condition(ConditionType::Effective));
        let came_back = status.and_then(|status| status.drift.as_ref()).map_or(0, |drift| drift.count);
        let domain = status.and_then(|status| status.domain.clone());
        let mut row = Row {
            uid: uid.to_owned(),
            generation: object.meta.generation,
            domain: domain.or_else(|| self.domains.get(&object.tenant()).cloned()).unwrap_or_default(),
            requested_at: object.created(),
            not_before: object.options.not_before.as_ref().and_then(|time| time.timestamp()),
            proved_at: status.and_then(|status| status.verified_time.as_ref()).map(|time| time.0),
            removed_at,
            standing: verdict.standing,
            verdict: verdict.reason,
            message: verdict.message,
            proof: verdict.proof,
            correlation_id: status.and_then(|status| status.correlation_id.clone()),
            effective: effective.map(|condition| condition.reason.clone()),
            effective_message: effective.map(|condition| condition.message.clone()).unwrap_or_default(),
            effective_by: status.and_then(|status| status.effective_by.as_ref()).map(|time| time.0),
            came_back,
            ..of(&named)
        };
        let creation = self.kube.and_then(|kube| kube.creation(&named, uid, object.created()));
        asked(&mut row, object.requested_by(), audited, creation);
        for item in &object.removal.items {
            let mut row = Row { ..row.clone() };
            target(&mut row, &object.removal.endpoint, item);
            if let Some(call) = audited.and_then(|audited| audited.removed(item, came_back > 0)) {
                removed(&mut row, call);
            }
            population.rows.push(row);
        }
    }

    /// Objects that are in the operator's audit log only.
    fn deleted(&self, population: &mut Population, live: &BTreeMap<&str, &Object>) {
        for (uid, audited) in self.audit.into_iter().flat_map(|audit| &audit.objects) {
            let Some(first) = audited.first.filter(|_| !live.contains_key(&**uid)) else { continue };
            let named = (audited.kind.clone(), audited.namespace.clone(), audited.name.clone());
            let creation = self.kube.and_then(|kube| kube.creation_before(&named, uid, first));
            let asked_at = creation.map(|create| create.at);
            if !self.is_meant(&audited.namespace) || !self.period.contains(asked_at.unwrap_or(first)) {
                continue;
            }
            population.only_in_audit.push(title(&named));
            let mut row = Row {
                uid: uid.to_string(),
                generation: audited.generation,
                domain: audited.domain.clone(),
                requested_at: asked_at,
                ..of(&named)
            };
            asked(&mut row, None, Some(audited), creation);
            let targets = self.targets(uid, audited, live, creation);
            let none = [(None, None)];
            let some: Vec<_> = targets.iter().map(|(endpoint, item)| (Some(endpoint), Some(item))).collect();
            for (endpoint, item) in if some.is_empty() { none.to_vec() } else { some } {
                let mut row = row.clone();
                if let (Some(endpoint), Some(item)) = (endpoint, item) {
                    target(&mut row, endpoint, item);
                }
                self.of_deleted(&mut row, audited, item);
                population.rows.push(row);
            }
        }
    }

    /// Which items a deleted object named, as far as the lines tell: those of the calls that were for it alone, and of
    /// shared calls what no other object has named.
    fn targets(
        &self,
        uid: &str,
        audited: &Audited,
        live: &BTreeMap<&str, &Object>,
        creation: Option<&Create>,
    ) -> BTreeSet<(Endpoint, Item)> {
        if let Some(object) = creation.and_then(|create| self.created(&audited.kind, create)) {
            let endpoint = &object.removal.endpoint;
            return object.removal.items.iter().map(|item| (endpoint.clone(), item.clone())).collect();
        }
        let mut found = BTreeSet::new();
        for call in &audited.calls {
            let others = || call.owners.iter().filter(|owner| &***owner != uid).map(|owner| live.get(&**owner));
            if call.has_more_owners || others().any(|other| other.is_none()) {
                continue;
            }
            let named: BTreeSet<&Item> = others().flatten().flat_map(|other| &other.removal.items).collect();
            let left = call.items.iter().filter(|item| !named.contains(*item));
            found.extend(left.map(|item| (call.endpoint.clone(), item.clone())));
        }
        found
    }

    /// Where the removal of a deleted object stands, by its last call.
    fn of_deleted(&self, row: &mut Row, audited: &Audited, item: Option<&Item>) {
        let is_about = |call: &&Arc<Call>| item.is_none_or(|item| call.items.contains(item));
        let accepted = audited.calls.iter().filter(is_about).rfind(|call| call.is_accepted());
        if let Some(call) = accepted {
            removed(row, call);
            row.standing = Standing::Unproved;
            row.verdict = "Accepted".to_owned();
            row.proof = match (audited.is_unproved, self.are_all) {
                (true, _) => "DeletedBeforeProof".to_owned(),
                (false, true) => "ObjectDeleted".to_owned(),
                (false, false) => "ObjectNotRead".to_owned(),
            };
            row.message = "The audit log says that Auth0 accepted it. Its proof was in the object.".to_owned();
            return;
        }
        row.standing = Standing::NotDone;
        row.verdict = match (audited.calls.iter().rfind(is_about), &audited.guarded) {
            (Some(call), _) => call.verdict.clone(),
            (None, Some(_)) => "guarded".to_owned(),
            (None, None) => "ObjectDeleted".to_owned(),
        };
        row.message = audited.guarded.clone().unwrap_or_default();
    }

    /// Objects that are in the audit log of the API server only: they were deleted before anything was done.
    fn created_only(&self, population: &mut Population, live: &BTreeMap<&str, &Object>) {
        let mut known: BTreeMap<Named, Vec<(&str, Option<Timestamp>)>> = BTreeMap::new();
        for (uid, object) in live {
            let named = (object.kind.to_owned(), object.namespace().to_owned(), object.name().to_owned());
            known.entry(named).or_default().push((uid, object.created()));
        }
        for (uid, audited) in self.audit.into_iter().flat_map(|audit| &audit.objects) {
            let named = (audited.kind.clone(), audited.namespace.clone(), audited.name.clone());
            let creation = self.kube.zip(audited.first);
            let creation = creation.and_then(|(kube, first)| kube.creation_before(&named, uid, first));
            known.entry(named).or_default().push((uid, creation.map(|create| create.at)));
        }
        for (named, creates) in self.kube.into_iter().flat_map(|kube| &kube.creates) {
            for create in creates.iter().filter(|create| self.is_meant(&named.1) && self.period.contains(create.at)) {
                let objects = known.get(named).map(Vec::as_slice).unwrap_or_default();
                if !objects.iter().any(|(uid, created)| create.is_of(uid, *created)) {
                    self.created_row(population, named, create);
                }
            }
        }
    }

    fn created_row(&self, population: &mut Population, named: &Named, create: &Create) {
        let object = self.created(&named.0, create);
        if object.as_ref().is_some_and(|object| object.options.mode == Mode::Observe) {
            population.observing += 1;
            return;
        }
        population.only_in_audit.push(title(named));
        let mut row = Row {
            uid: create.uid.clone().unwrap_or_default(),
            requested_at: Some(create.at),
            verdict: match (self.are_all, self.audit) {
                (false, _) => "ObjectNotRead",
                (true, Some(audit)) if audit.faults.is_empty() => "DeletedBeforeRemoval",
                (true, _) => "ObjectDeleted",
            }
            .to_owned(),
            message: "Only the audit log of the API server knows the object.".to_owned(),
            ..of(named)
        };
        let claimed = object.as_ref().and_then(Object::requested_by);
        asked(&mut row, claimed, None, Some(create));
        let Some(object) = object else { return population.rows.push(row) };
        row.domain = self.domains.get(&object.tenant()).cloned().unwrap_or_default();
        for item in &object.removal.items {
            let mut row = row.clone();
            target(&mut row, &object.removal.endpoint, item);
            population.rows.push(row);
        }
    }

    fn created(&self, kind: &str, create: &Create) -> Option<Object> {
        let kind = self.kinds.iter().find(|known| known.name == kind)?;
        let object = create.object.clone()?;
        // A request without the defaults of the schema takes longer to read.
        kind.read(object.clone()).or_else(|_| kind.read_with_defaults(object)).ok()
    }

    fn is_meant(&self, namespace: &str) -> bool {
        self.namespace.is_none_or(|only| only == namespace)
    }
}

fn title((kind, namespace, name): &Named) -> String {
    format!("{kind} {namespace}/{name}")
}

fn of((kind, namespace, name): &Named) -> Row {
    Row { kind: kind.clone(), namespace: namespace.clone(), name: name.clone(), ..Row::default() }
}

/// Who asked, and how that is known: the best source that there is.
fn asked(row: &mut Row, claimed: Option<String>, audited: Option<&Audited>, creation: Option<&Create>) {
    let by_audit = audited.and_then(|audited| audited.requested_by.clone());
    let proved = by_audit.as_ref().filter(|(_, is_proved)| *is_proved).map(|(by, _)| by.clone());
    row.claimed_by = claimed.or_else(|| by_audit.map(|(by, _)| by));
    let known = [
        proved.map(|by| (by, Source::Admission)),
        creation.map(|create| (create.user.clone(), Source::KubeAudit)),
        row.claimed_by.clone().map(|by| (by, Source::Claimed)),
    ];
    (row.requested_by, row.requested_by_source) = known.into_iter().flatten().next().unzip();
}

/// Whose access to what is to go.
fn target(row: &mut Row, endpoint: &Endpoint, item: &Item) {
    row.target = Some((endpoint.clone(), item.clone()));
    let user = endpoint.user().map(ToString::to_string).unwrap_or_default();
    let organization = endpoint.organization().map(ToString::to_string);
    let (user, kind, id, of) = match (item, endpoint.items(), organization) {
        (Item::Permission { resource_server, name }, ..) => {
            (user, "permission", name.to_string(), Some(resource_server.to_string()))
        }
        (Item::Id(id), ItemKind::Member, organization) => {
            (id.to_string(), "membership", organization.unwrap_or_default(), None)
        }
        (Item::Id(id), ItemKind::Organization, _) => (user, "membership", id.to_string(), None),
        (Item::Id(id), ItemKind::Role | ItemKind::Permission, None) => (user, "role", id.to_string(), None),
        (Item::Id(id), ItemKind::Role | ItemKind::Permission, of) => (user, "organization-role", id.to_string(), of),
    };
    (row.user_id, row.item_type, row.item_id, row.item_of) = (user, kind, id, of);
}

fn removed(row: &mut Row, call: &Call) {
    row.removed_at = Some(call.at);
    row.times_from = TimesFrom::Audit;
    row.correlation_id = call.correlation.clone().or_else(|| row.correlation_id.take());
    row.within_sla = Sla::Unknown;
}
