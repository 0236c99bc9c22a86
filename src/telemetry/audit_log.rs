//! Writes the lines of the audit log, each with its code and chained to the one before. No other file writes to their
//! log target. They are written at every log level but `off`. Fields: docs/audit.md.

use std::sync::{Arc, Mutex};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};
use tracing::info;

use crate::api::{Reason, escaped};
use crate::clock;
use crate::sync::lock;
use crate::tenant::TenantKey;

use super::audit_chain::{NO_LINE, TARGET, hash};
use super::audit_codes::Code;

/// The audit log of this process. Clones share its chain.
#[derive(Clone, Debug)]
pub(crate) struct AuditLog(Arc<Mutex<Chain>>);

/// Where the chain is.
#[derive(Debug)]
struct Chain {
    /// A random name of this process.
    boot: String,
    /// The number of the last line.
    seq: u64,
    /// The hash of the last line.
    last: String,
}

impl Default for AuditLog {
    fn default() -> Self {
        let boot = format!("{:032x}", fastrand::u128(..));
        Self(Arc::new(Mutex::new(Chain { boot, seq: 0, last: NO_LINE.to_owned() })))
    }
}

/// Logs these fields, of which those that are missing are left out. Every field of an audit line is named here once.
macro_rules! log_fields {
    ($message:expr, $fields:ident: $($text:ident)*; $($number:ident)*) => {
        info!(
            target: TARGET,
            $($text = $fields.get(stringify!($text)).and_then(serde_json::Value::as_str),)*
            $($number = $fields.get(stringify!($number)).and_then(serde_json::Value::as_u64),)*
            "{}", $message
        )
    };
}

impl AuditLog {
    /// Writes a line with these fields: texts, whole numbers, and lists and maps, which are written as JSON in a text.
    /// Null is left out.
    pub(crate) fn write(&self, code: Code, fields: &Value) {
        let mut line: Map<String, Value> = fields.as_object().into_iter().flatten().filter_map(plain).collect();
        let mut chain = lock(&self.0);
        chain.seq += 1;
        for (name, value) in [
            ("code", json!(code.as_str())),
            ("verdict", json!(code.verdict())),
            ("message", json!(code.message())),
            ("time", json!(clock::wall().to_string())),
            ("boot", json!(chain.boot)),
            ("seq", json!(chain.seq)),
            ("prev", json!(chain.last)),
        ] {
            line.insert(name.to_owned(), value);
        }
        chain.last = hash(&line);
        // With the lock held, so that lines are written in the order of the chain.
        log_fields!(
            code.message(), line:
            code verdict time boot prev domain endpoint user organization other_ids body objects correlation_id error
            accepted_at why client_id tenants reason namespace brake_id lease leader;
            seq items objects_total duration_ms accepted count limit
        );
    }

    /// This replica leads from now on, by this Lease, which it holds under this name.
    pub(crate) fn leader_started(&self, lease: &str, leader: &str) {
        self.write(Code::LeaderStarted, &json!({"lease": lease, "leader": leader}));
    }

    /// This replica does not lead any more: it was ended or, for this reason, lost the lead.
    pub(crate) fn leader_stopped(&self, lease: &str, leader: &str, lost: Option<&str>) {
        let code = if lost.is_some() { Code::LeaderLost } else { Code::LeaderStopped };
        self.write(code, &json!({"lease": lease, "leader": leader, "why": lost}));
    }

    /// A tenant was stopped, with this reason and in these words, or (`None`) is not stopped any more.
    pub(crate) fn tenant_stop(&self, key: &TenantKey, meta: &ObjectMeta, stop: Option<(Reason, &str)>) {
        let code = if stop.is_some() { Code::TenantStopped } else { Code::TenantResumed };
        let (reason, why) = stop.map(|(reason, why)| (reason.as_str(), why)).unzip();
        let managers = meta.managed_fields.iter().flatten().filter_map(|entry| entry.manager.as_deref());
        let mut tenant = named(key);
        tenant["uid"] = json!(meta.uid);
        tenant["generation"] = json!(meta.generation);
        tenant["claimedManagers"] = managers.collect();
        self.write(code, &json!({"tenants": [tenant], "reason": reason, "why": why}));
    }

    /// The brake of `tenant` stops the removals of `namespace`: `count` of them would exceed `limit`. `id` is that of
    /// the engagement.
    pub(crate) fn brake_engaged(&self, tenant: &TenantKey, namespace: &str, id: &str, count: u64, limit: u64) {
        self.brake(Code::BrakeEngaged, tenant, namespace, id, count, limit);
    }

    /// Somebody released `count` removals of the engagement `id`; those that come on top count against `limit` again.
    pub(crate) fn brake_released(&self, tenant: &TenantKey, namespace: &str, id: &str, count: u64, limit: u64) {
        self.brake(Code::BrakeReleased, tenant, namespace, id, count, limit);
    }

    fn brake(&self, code: Code, tenant: &TenantKey, namespace: &str, id: &str, count: u64, limit: u64) {
        let tenants = [named(tenant)];
        let fields = json!({
            "tenants": tenants, "namespace": namespace, "brake_id": id, "count": count, "limit": limit,
        });
        self.write(code, &fields);
    }
}

/// A tenant as the audit names it.
pub(crate) fn named(key: &TenantKey) -> Value {
    json!({"kind": key.kind().as_str(), "namespace": key.namespace, "name": key.name})
}

/// A field as it is logged: a text without characters that are not seen, or a whole number. A list or a map becomes
/// JSON in a text, because log fields cannot be lists.
fn plain((name, value): (&String, &Value)) -> Option<(String, Value)> {
    let value = match value {
        Value::Null => return None,
        Value::String(text) => json!(escaped(text)),
        Value::Number(number) => json!(number),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => json!(escaped(&value.to_string())),
    };
    Some((name.clone(), value))
}

#[cfg(test)]
mod tests;
