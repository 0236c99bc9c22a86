//! `stop` and `resume`: hold or suspend removals, or everything of a tenant, and let them go on.

use std::sync::Arc;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::Api;
use kube::core::{DynamicObject, ObjectMeta};
use serde_json::{Value, json};

use crate::api::{Auth0Tenant, ClusterAuth0Tenant, DurationText, TenantObject, printable};
use crate::clock;
use crate::tenant::TenantKey;

use super::cluster::{Cluster, WRITES};
use super::confirm::confirm;
use super::error::CliError;
use super::flags::{Format, nonempty};
use super::gitops::advice;
use super::object::{Object, kinds};
use super::session::Session;
use super::targets::Targets;
use super::tenants::existing;
use super::times::instant;

/// Keeps the reason of a `suspend`, which has no field for it.
const REASON_ANNOTATION: &str = "rescind.dev/stop-reason";

/// Whom a command stops or resumes.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true)
    .args(["tenant", "cluster_tenant", "objects", "selector"]))]
pub struct Stopped {
    #[command(flatten)]
    targets: Targets,

    /// Everything that uses this Auth0Tenant of the namespace.
    #[arg(long, value_name = "NAME", value_parser = nonempty)]
    tenant: Option<String>,

    /// Everything that uses this ClusterAuth0Tenant.
    #[arg(long, value_name = "NAME", value_parser = nonempty)]
    cluster_tenant: Option<String>,

    /// Do not ask, whatever the number of objects.
    #[arg(short = 'y', long)]
    yes: bool,

    /// Text for people or JSON for programs.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: Format,
}

/// Stop removals, or everything of a tenant.
///
/// With --until it is a hold, which ends by itself; without, a suspension, which somebody has to end with resume. What
/// has been accepted by Auth0 is not taken back.
#[derive(Debug, clap::Args)]
pub struct StopArgs {
    #[command(flatten)]
    stopped: Stopped,

    /// Why, in one line. The status shows it, and people see it at the object.
    #[arg(long, value_parser = reason)]
    reason: String,

    /// Until when: a time in RFC 3339 such as 2026-12-24T00:00:00Z, or a duration such as 2h.
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<Timestamp>,
}

/// Let stopped removals, or everything of a tenant, go on.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    stopped: Stopped,
}

/// The rule of the schema for the reason of a hold.
fn reason(text: &str) -> Result<String, &'static str> {
    let trimmed = text.trim();
    let is_good = !trimmed.is_empty() && trimmed.chars().count() <= 256 && !trimmed.contains(char::is_control);
    is_good.then(|| trimmed.to_owned()).ok_or("write one line of at most 256 characters")
}

fn until(text: &str) -> Result<Timestamp, String> {
    let now = clock::wall();
    let after = || now.checked_add(DurationText::from(text).duration()?).ok();
    let at = text.parse().ok().or_else(after);
    let at = at.ok_or("write a time such as 2026-12-24T00:00:00Z, or a duration such as 2h")?;
    if at > now { Ok(at) } else { Err(format!("{} has passed", instant(at))) }
}

/// One object to change.
enum Target {
    Removal(Box<Object>),
    Tenant(TenantKey, Arc<dyn TenantObject>),
}

impl Target {
    fn title(&self) -> String {
        match self {
            Self::Removal(object) => object.title(),
            Self::Tenant(key, _) => format!("{}/{}", key.kind(), key.name),
        }
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Removal(object) => &object.meta,
            Self::Tenant(_, tenant) => tenant.metadata(),
        }
    }
}

/// Runs `stop`.
pub async fn stop(session: &Session, args: &StopArgs) -> Result<u8, CliError> {
    let patch = match args.until {
        Some(until) => json!({"spec": {"hold": {"until": instant(until), "reason": args.reason}}}),
        None => json!({
            "spec": {"suspend": true}, "metadata": {"annotations": {REASON_ANNOTATION: args.reason}},
        }),
    };
    let (done, fields) = match args.until {
        Some(until) => (format!("on hold until {}", instant(until)), "spec.hold"),
        None => (format!("suspended; the reason is kept as the annotation {REASON_ANNOTATION}"), "spec.suspend"),
    };
    change(session, &args.stopped, &Change { verb: "stop", patch, done, fields }).await
}

/// Runs `resume`.
pub async fn resume(session: &Session, args: &ResumeArgs) -> Result<u8, CliError> {
    let patch = json!({
        "spec": {"hold": null, "suspend": false}, "metadata": {"annotations": {REASON_ANNOTATION: null}},
    });
    let done = "goes on".to_owned();
    change(session, &args.stopped, &Change { verb: "resume", patch, done, fields: "spec.hold and spec.suspend" }).await
}

/// What is done to each object.
struct Change {
    verb: &'static str,
    patch: Value,
    /// What the object is then, for users.
    done: String,
    fields: &'static str,
}

async fn change(session: &Session, stopped: &Stopped, change: &Change) -> Result<u8, CliError> {
    let cluster = session.cluster()?;
    let targets = find(session, &cluster, stopped).await?;
    confirm(&session.screen, change.verb, targets.len(), &cluster.scope(), stopped.yes)?;
    let mut changed = Vec::new();
    let mut errors = Vec::new();
    let cluster = &cluster;
    let writes = targets.iter().map(|target| async move { (target, write(cluster, target, &change.patch).await) });
    let mut writes = stream::iter(writes).buffered(WRITES);
    while let Some((target, written)) = writes.next().await {
        match written {
            Ok(()) => changed.push(target),
            Err(error) => errors.push(error),
        }
    }
    let json = |target: &&Target| json!({"object": target.title(), "namespace": target.meta().namespace});
    match stopped.output {
        Format::Json => {
            let objects: Vec<Value> = changed.iter().map(json).collect();
            session.screen.print(format!("{:#}\n", json!({"schemaVersion": 1, "changed": objects})))?;
        }
        Format::Text => {
            for target in &changed {
                session.screen.print(format!("{}  {}\n", target.title(), change.done))?;
            }
        }
    }
    if !changed.is_empty() {
        session.screen.note(advice(changed.iter().map(|target| target.meta()), change.fields));
    }
    errors.iter().for_each(|error| session.screen.note(format!("rescind: {}", printable(&error.to_string()))));
    Ok(u8::from(!errors.is_empty()))
}

async fn find(session: &Session, cluster: &Cluster, stopped: &Stopped) -> Result<Vec<Target>, CliError> {
    let key = match (&stopped.tenant, &stopped.cluster_tenant) {
        (Some(name), _) => TenantKey { namespace: Some(cluster.namespace.clone()), name: name.clone() },
        (None, Some(name)) => TenantKey { namespace: None, name: name.clone() },
        (None, None) => {
            let listing = stopped.targets.find(cluster).await?;
            listing.unread.iter().for_each(|why| session.screen.note(format!("rescind: {why}")));
            return Ok(listing.objects.into_iter().map(|object| Target::Removal(Box::new(object))).collect());
        }
    };
    if key.namespace.is_some() {
        cluster.one_namespace("an Auth0Tenant")?;
    }
    let tenant = existing(cluster, &key).await?;
    Ok(vec![Target::Tenant(key, tenant)])
}

async fn write(cluster: &Cluster, target: &Target, patch: &Value) -> Result<(), CliError> {
    let client = cluster.client.clone();
    let (name, namespace) = (target.meta().name.as_deref().unwrap_or_default(), target.meta().namespace.as_deref());
    let what = format!("patch {}", target.title());
    match target {
        Target::Removal(object) => {
            let Some(kind) = kinds().into_iter().find(|kind| kind.name == object.kind) else { return Ok(()) };
            let api: Api<DynamicObject> = Api::namespaced_with(client, object.namespace(), &kind.resource);
            cluster.change(&what, &api, name, patch).await.map(|_| ())
        }
        Target::Tenant(..) => match namespace {
            Some(namespace) => {
                let api: Api<Auth0Tenant> = Api::namespaced(client, namespace);
                cluster.change(&what, &api, name, patch).await.map(|_| ())
            }
            None => {
                let api: Api<ClusterAuth0Tenant> = Api::all(client);
                cluster.change(&what, &api, name, patch).await.map(|_| ())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_is_a_time_or_a_duration() {
        assert_eq!(until("2999-12-24T00:00:00+01:00").unwrap(), "2999-12-23T23:00:00Z".parse().unwrap());
        let hours = until("2h").unwrap().duration_since(clock::wall()).as_secs();
        assert!((7100..=7200).contains(&hours), "{hours}");
        assert!(until("2020-01-01T00:00:00Z").unwrap_err().contains("has passed"));
        assert!(until("tomorrow").unwrap_err().contains("write a time"));
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(reason(" handover ").unwrap(), "handover");
        assert!(reason("").is_err() && reason("a\nb").is_err() && reason(&"x".repeat(257)).is_err());
    }
}
