//! `retry`: requests another attempt of stalled removals, and waits until the operator has answered.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::Api;
use kube::core::DynamicObject;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::api::{RECONCILE_ANNOTATION, printable};
use crate::clock;

use super::cluster::{Cluster, WRITES};
use super::column::{Column, Stand};
use super::confirm::confirm;
use super::error::CliError;
use super::flags::{Format, duration};
use super::object::{Object, kinds};
use super::screen::Tone;
use super::session::Session;
use super::targets::Targets;
use super::texts::{count, shown};

/// How often the objects are read while the answers are outstanding.
const EVERY: Duration = Duration::from_secs(1);

/// Request one more attempt of removals that have stalled.
///
/// A finished removal is not repeated, and no wait is shortened that Auth0 asked for. Exit with 0 if the operator has
/// answered for all and none is Stalled.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["objects", "selector"]))]
pub struct Args {
    #[command(flatten)]
    targets: Targets,

    /// Wait until the operator has answered.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", require_equals = true)]
    wait: bool,

    /// How long to wait.
    #[arg(long, default_value = "2m", value_parser = duration)]
    timeout: Duration,

    /// Do not ask, whatever the number of objects.
    #[arg(short = 'y', long)]
    yes: bool,

    /// Text for people or JSON for programs.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: Format,
}

/// What became of one request.
struct Answer {
    title: String,
    stand: Option<Stand>,
}

/// Runs the command.
pub async fn run(session: &Session, args: &Args) -> Result<u8, CliError> {
    let cluster = session.cluster()?;
    let listing = args.targets.find(&cluster).await?;
    listing.unread.iter().for_each(|why| session.screen.note(format!("rescind: {why}")));
    confirm(&session.screen, "retry", listing.objects.len(), &cluster.scope(), args.yes)?;
    let value = clock::wall().to_string();
    let mut errors = Vec::new();
    let mut requested = Vec::new();
    let (at, text) = (&cluster, value.as_str());
    let requests = listing.objects.into_iter().map(|object| async move {
        let written = request(at, &object, text).await;
        (object, written)
    });
    let mut requests = stream::iter(requests).buffered(WRITES);
    while let Some((object, written)) = requests.next().await {
        match written {
            Ok(()) => requested.push(object),
            Err(error) => errors.push(error),
        }
    }
    let answers = if args.wait {
        answers(session, &cluster, args, &requested, &value).await
    } else {
        requested.iter().map(|object| Answer { title: object.title(), stand: None }).collect()
    };
    session.screen.progress_done();
    print(session, args, &answers)?;
    errors.iter().for_each(|error| session.screen.note(format!("rescind: {}", printable(&error.to_string()))));
    let open = answers.iter().filter(|answer| answer.stand.is_none()).count();
    if args.wait && open > 0 {
        let objects = count(open, "object");
        session.screen.note(format!(
            "rescind: timed out: the operator has not answered for {objects}. The requests stay; look with status"
        ));
    }
    let is_stalled = |answer: &Answer| answer.stand.as_ref().is_some_and(|stand| stand.column == Column::Stalled);
    let failed = !errors.is_empty() || args.wait && open > 0 || answers.iter().any(is_stalled);
    Ok(u8::from(failed))
}

/// Writes the annotation.
async fn request(cluster: &Cluster, object: &Object, value: &str) -> Result<(), CliError> {
    let Some(kind) = kinds().into_iter().find(|kind| kind.name == object.kind) else { return Ok(()) };
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), object.namespace(), &kind.resource);
    let patch = json!({"metadata": {"annotations": {RECONCILE_ANNOTATION: value}}});
    let what = format!("patch {} {} in namespace {}", kind.resource.plural, object.name(), object.namespace());
    cluster.change(&what, &api, object.name(), &patch).await.map(|_| ())
}

/// Reads the objects until each has answered `value`. Those that have not within the time, or that cannot be read any
/// more, have no verdict.
async fn answers(session: &Session, cluster: &Cluster, args: &Args, requested: &[Object], value: &str) -> Vec<Answer> {
    let end = Instant::now() + args.timeout;
    let key = |object: &Object| (object.kind, object.namespace().to_owned(), object.name().to_owned());
    let mut stands = BTreeMap::new();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stands.len() < requested.len() && Instant::now() <= end {
        ticks.tick().await;
        // What fails now is read again, until the time is over.
        let objects = args.targets.find(cluster).await.unwrap_or_default().objects;
        let has_answered = |object: &&Object| {
            let handled = object.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_deref());
            handled == Some(value)
        };
        stands.extend(objects.iter().filter(has_answered).map(|object| (key(object), Stand::of(object))));
        session.screen.progress(format!("{} of {} answered", stands.len(), requested.len()));
    }
    let answer = |object: &Object| Answer { title: object.title(), stand: stands.remove(&key(object)) };
    requested.iter().map(answer).collect()
}

fn print(session: &Session, args: &Args, answers: &[Answer]) -> Result<(), CliError> {
    let screen = &session.screen;
    if args.output == Format::Json {
        let object = |Answer { title, stand }: &Answer| match stand {
            Some(stand) => json!({
                "object": title, "answered": true, "reason": stand.reason, "message": stand.message,
                "column": stand.column,
            }),
            None => json!({"object": title, "answered": false}),
        };
        let objects: Vec<_> = answers.iter().map(object).collect();
        return screen.print(format!("{:#}\n", json!({"schemaVersion": 1, "objects": objects})));
    }
    for Answer { title, stand } in answers {
        let line = match stand {
            Some(stand) => {
                let tone = match stand.column {
                    Column::Stalled => Tone::Bad,
                    Column::Waiting | Column::Held => Tone::Unsure,
                    Column::Proved | Column::Unproved | Column::Absent | Column::Gone | Column::Observed => Tone::Good,
                };
                format!("{title}  {}  {}", screen.paint(tone, shown(stand.reason())), printable(&stand.message))
            }
            None => format!("{title}  requested"),
        };
        screen.print(line + "\n")?;
    }
    Ok(())
}
