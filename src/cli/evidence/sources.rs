//! Reads all that a report is made of: the objects, the audit logs, and who is asking.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;
use ring::digest::{Context, SHA256};

use crate::api::GROUP;
use crate::cli::cluster::{Cluster, Selected};
use crate::cli::error::CliError;
use crate::cli::object::{Kind, Object, kinds};
use crate::cli::session::Session;
use crate::hex::hex;
use crate::telemetry::AUDIT_TARGET;
use crate::tenant::TenantKey;

use super::audit::{self, AuditFacts};
use super::kube_audit::{self, KubeFacts};
use super::report::{Input, Origin, Query};

/// What was read.
#[derive(Debug)]
pub struct Sources {
    /// The objects.
    pub objects: Vec<Object>,
    /// Why some are missing.
    pub unread: Vec<String>,
    /// The domains of their tenants.
    pub domains: BTreeMap<TenantKey, String>,
    /// The operator's audit log, if it was given.
    pub audit: Option<AuditFacts>,
    /// The audit log of the API server, if it was given.
    pub kube: Option<KubeFacts>,
    /// The kinds.
    pub kinds: Vec<Kind>,
    /// Where all this comes from. The domains of the removals are still missing.
    pub origin: Origin,
}

/// Reads it. `query` still lacks the hashes of the files.
pub async fn read(
    session: &Session,
    cluster: &Cluster,
    mut query: Query,
    files: (&[PathBuf], &[PathBuf]),
    now: Timestamp,
) -> Result<Sources, CliError> {
    let kinds = kinds();
    let (audit_logs, kube_audit_logs) = files;
    session.screen.progress("reading the audit logs");
    let audit = if audit_logs.is_empty() { None } else { Some(audit_log(audit_logs, &mut query.audit_logs)?) };
    let kube = if kube_audit_logs.is_empty() {
        None
    } else {
        Some(kube_audit_log(kube_audit_logs, &kinds, &mut query.kube_audit_logs)?)
    };
    session.screen.progress(format!("listing the removals {}", cluster.place()));
    let listing = cluster.objects(&Selected { labels: query.selector.as_deref(), ..Selected::default() }).await?;
    let mut domains = BTreeMap::new();
    let tenants: BTreeSet<TenantKey> = listing.objects.iter().map(Object::tenant).collect();
    for key in tenants {
        // A domain that cannot be read is missing only where no status has it.
        if let Ok(Some(tenant)) = cluster.tenant(&key).await {
            domains.insert(key, tenant.tenant_spec().domain.clone());
        }
    }
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let kube_system = cluster.request("get namespace kube-system", namespaces.get_metadata("kube-system")).await;
    let origin = Origin {
        created_at: now,
        tool: format!("rescind {}", env!("CARGO_PKG_VERSION")),
        cluster_uid: kube_system.ok().and_then(|namespace| namespace.metadata.uid),
        cluster: cluster.whereabouts.clone(),
        run_by: asker(cluster).await,
        domains: BTreeSet::new(),
        auth0: Vec::new(),
        query,
    };
    let (objects, unread) = (listing.objects, listing.unread);
    Ok(Sources { objects, unread, domains, audit, kube, kinds, origin })
}

/// Who is asking, as the API server knows them. Nothing is stored by this request.
async fn asker(cluster: &Cluster) -> Option<String> {
    let api: Api<SelfSubjectReview> = Api::all(cluster.client.clone());
    let review = SelfSubjectReview::default();
    let answer = cluster.request("review yourself", api.create(&PostParams::default(), &review)).await;
    answer.ok()?.status?.user_info?.username
}

fn audit_log(files: &[PathBuf], inputs: &mut Vec<Input>) -> Result<AuditFacts, CliError> {
    let mut kept = Vec::new();
    for file in files {
        let lines = lines(file, inputs, |line| line.contains(AUDIT_TARGET))?;
        let place = |number: usize| format!("{} line {number}", file.display());
        kept.extend(lines.into_iter().map(|(number, line)| (place(number), line)));
    }
    let mut facts = audit::read(&kept);
    if facts.lines == 0 {
        facts
            .faults
            .push("the audit log has no audit line: is it the log of the operator, in the format json?".to_owned());
    }
    Ok(facts)
}

fn kube_audit_log(files: &[PathBuf], kinds: &[Kind], inputs: &mut Vec<Input>) -> Result<KubeFacts, CliError> {
    let mut facts = KubeFacts::default();
    for file in files {
        let mut is_first = true;
        // Of the lines about something else, one is enough to know what file it is.
        let keep =
            |line: &str| line.contains(GROUP) || (line.contains(kube_audit::VERSION) && std::mem::take(&mut is_first));
        let lines = lines(file, inputs, keep)?;
        kube_audit::read(&mut facts, kinds, &file.display().to_string(), &lines);
    }
    Ok(facts)
}

/// The lines of a file that are wanted, with their numbers.
fn lines(
    path: &Path,
    inputs: &mut Vec<Input>,
    mut keep: impl FnMut(&str) -> bool,
) -> Result<Vec<(usize, String)>, CliError> {
    let cannot = |error: std::io::Error| CliError::failed(format!("{} cannot be read ({error})", path.display()));
    let mut reader = BufReader::new(File::open(path).map_err(cannot)?);
    let (mut hash, mut kept, mut bytes) = (Context::new(&SHA256), Vec::new(), Vec::new());
    for number in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(cannot)? == 0 {
            break;
        }
        hash.update(&bytes);
        let line = String::from_utf8_lossy(&bytes);
        if keep(&line) {
            kept.push((number, line.trim_end().to_owned()));
        }
    }
    let sha256 = hex(hash.finish());
    inputs.push(Input { file: path.display().to_string(), sha256 });
    Ok(kept)
}
