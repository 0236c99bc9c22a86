//! What the operator's audit log says of each object: which calls were made for it, and who asked. Pure; docs/audit.md
//! has the fields.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::auth0::{Endpoint, Item, ItemKind};
use crate::telemetry::{AUDIT_TARGET, ChainFault, Code, verify_audit_log};

/// The audit lines of files.
#[derive(Debug, Default)]
pub struct AuditFacts {
    /// By UID of the object.
    pub objects: BTreeMap<Arc<str>, Audited>,
    /// How many audit lines there are.
    pub lines: usize,
    /// Of how many processes.
    pub processes: usize,
    /// The time of the first and of the last line.
    pub span: Option<(Timestamp, Timestamp)>,
    /// What is wrong with the chain or the lines, for users.
    pub faults: Vec<String>,
}

/// What the lines say of one object.
#[derive(Clone, Debug, Default)]
pub struct Audited {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The generation that the last line names.
    pub generation: Option<i64>,
    /// The Auth0 domain.
    pub domain: String,
    /// Who asked, and whether the API server has proved it.
    pub requested_by: Option<(String, bool)>,
    /// When the first line was written.
    pub first: Option<Timestamp>,
    /// The calls for it, in their order.
    pub calls: Vec<Arc<Call>>,
    /// It was deleted between the accepted removal and its proof.
    pub is_unproved: bool,
    /// Why a guard refused it, if one did.
    pub guarded: Option<String>,
}

/// A DELETE.
#[derive(Debug)]
pub struct Call {
    /// When its answer came.
    pub at: Timestamp,
    /// What Auth0 said: `accepted`, `refused`, `unknown` or `not processed`.
    pub verdict: String,
    /// Where it went.
    pub endpoint: Endpoint,
    /// What it named.
    pub items: BTreeSet<Item>,
    /// Its id in Auth0's logs.
    pub correlation: Option<String>,
    /// The UIDs of the objects that it was for.
    pub owners: Vec<Arc<str>>,
    /// Whether it was for more objects than the line names.
    pub has_more_owners: bool,
}

impl Call {
    /// Whether Auth0 accepted it.
    pub fn is_accepted(&self) -> bool {
        self.verdict == Code::DeleteAccepted.verdict()
    }
}

/// Reads audit lines, with the name of each line's place for messages. Lines that are not of the audit log are left
/// out.
pub fn read(lines: &[(String, String)]) -> AuditFacts {
    let mut facts = AuditFacts::default();
    let verified = verify_audit_log(lines.iter().map(|(_, text)| text.as_str()));
    facts.processes = verified.processes.len();
    facts.faults.extend(verified.faults.iter().map(|fault| match fault {
        ChainFault::Unreadable { line } => {
            let place = lines.get(line - 1).map_or("", |(place, _)| place);
            format!("{place} is no whole audit line in the format json")
        }
        ChainFault::Missing { .. } | ChainFault::Misplaced { .. } | ChainFault::Changed { .. } => {
            format!("the audit log is not whole: {fault}")
        }
    }));
    for (place, text) in lines {
        let Ok(line) = serde_json::from_str::<Value>(text) else { continue };
        if line.get("target").and_then(Value::as_str) != Some(AUDIT_TARGET) {
            continue;
        }
        if facts.take(&line).is_none() {
            facts.faults.push(format!("{place} is no audit line that this version can read"));
        }
    }
    facts
}

impl AuditFacts {
    fn take(&mut self, line: &Value) -> Option<()> {
        let text = |key: &str| line.get(key).and_then(Value::as_str);
        let at: Timestamp = text("time")?.parse().ok()?;
        let code = text("code")?;
        self.lines += 1;
        self.span = Some(self.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        let Some(objects) = text("objects") else { return Some(()) };
        let objects: Vec<Value> = serde_json::from_str(objects).ok()?;
        let owners: Vec<Arc<str>> =
            objects.iter().filter_map(|object| object.get("uid")?.as_str()).map(Arc::from).collect();
        let call = match text("endpoint") {
            Some(_) => Some(Arc::new(call(line, at, &owners)?)),
            None => None,
        };
        for (object, uid) in objects.iter().zip(owners) {
            let audited = self.objects.entry(uid).or_default();
            audited.take(object, at);
            audited.calls.extend(call.clone());
            if let Some(domain) = text("domain") {
                domain.clone_into(&mut audited.domain);
            }
            audited.is_unproved |= code == Code::Unproved.as_str();
            if code == Code::Guarded.as_str() {
                audited.guarded = Some(text("why").unwrap_or_default().to_owned());
            }
        }
        Some(())
    }
}

impl Audited {
    fn take(&mut self, object: &Value, at: Timestamp) {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        (self.kind, self.namespace, self.name) = (text("kind"), text("namespace"), text("name"));
        self.generation = object.get("generation").and_then(Value::as_i64).or(self.generation);
        self.first.get_or_insert(at);
        let is_proved = text("requestedBySource") == "admission";
        // What was proved once stays so: the annotation cannot change.
        let by = object.get("requestedBy").and_then(Value::as_str);
        let is_better = is_proved || self.requested_by.as_ref().is_none_or(|(_, is_proved)| !is_proved);
        if let Some(by) = by.filter(|_| is_better) {
            self.requested_by = Some((by.to_owned(), is_proved));
        }
    }

    /// The call that removed the item: the last that Auth0 accepted, or the first if what came back later was removed
    /// again.
    pub fn removed(&self, item: &Item, came_back: bool) -> Option<&Call> {
        let mut accepted = self.calls.iter().filter(|call| call.is_accepted() && call.items.contains(item));
        let call = if came_back { accepted.next() } else { accepted.next_back() };
        call.map(|call| &**call)
    }
}

fn call(line: &Value, at: Timestamp, owners: &[Arc<str>]) -> Option<Call> {
    let text = |key: &str| line.get(key).and_then(Value::as_str);
    let template = text("endpoint")?.strip_prefix("DELETE ")?;
    let (user, organization) = (text("user").unwrap_or_default(), text("organization").unwrap_or_default());
    let endpoint = Endpoint::all(user, organization).into_iter().find(|endpoint| endpoint.template() == template)?;
    let body: Value = serde_json::from_str(text("body")?).ok()?;
    let named = body.get(endpoint.row().body_key)?.as_array()?;
    let items: Option<BTreeSet<Item>> = named.iter().map(|entry| item(endpoint.items(), entry)).collect();
    let total = line.get("objects_total").and_then(Value::as_u64).and_then(|total| usize::try_from(total).ok());
    Some(Call {
        at,
        verdict: text("verdict").unwrap_or_default().to_owned(),
        endpoint,
        items: items?,
        correlation: text("correlation_id").map(str::to_owned),
        owners: owners.to_vec(),
        has_more_owners: total.is_some_and(|total| total > owners.len()),
    })
}

/// An item as the body of a DELETE names it.
fn item(kind: ItemKind, entry: &Value) -> Option<Item> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(Arc::from);
    match kind {
        ItemKind::Permission => Some(Item::Permission {
            resource_server: text("resource_server_identifier")?,
            name: text("permission_name")?,
        }),
        ItemKind::Role | ItemKind::Member | ItemKind::Organization => Some(Item::Id(entry.as_str()?.into())),
    }
}
