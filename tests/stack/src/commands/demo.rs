//! `stack demo`: the operator at work, every command shown as it is run, from nothing to nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use stack::supervisor::OwnedDir;

use crate::failure::Failure;
use crate::playground::{Holdings, OPERATOR_LOG, Playground, Voice};

use super::print;

/// How many things the manifests in `tests/stack/demo/removals` name.
const REMOVALS: usize = 4;

/// How long the fake Auth0 asks to wait.
const RATE_LIMITED_FOR: Duration = Duration::from_secs(8);

/// Starts everything, shows it, and ends it. Ctrl-C needs no handler: what was started does not outlive this process.
pub(crate) fn run() -> Result<(), Failure> {
    let dir = OwnedDir::temporary("rescind-demo-")?;
    let shown = Playground::start(dir.path(), Voice::Narrator).and_then(|playground| {
        removals(&playground)?;
        missing_scope(&playground)?;
        rate_limit(&playground)?;
        what_else(&playground)?;
        playground.shell.step("Clean up: end the operator, the fake Auth0 and the API server, remove their files")
    });
    shown.map_err(|failure| failure.with_log(&dir.path().join(OPERATOR_LOG)))?;
    drop(dir);
    print(
        "\nDone, and nothing is left behind. To try it yourself:\n\n  \
         make up     the same, left running, with a kubeconfig for you\n  \
         README.md   what it is for, and how to run it against a real tenant\n",
    )
}

/// The four kinds, on a person who leaves.
fn removals(playground: &Playground) -> Result<(), Failure> {
    let shell = &playground.shell;
    shell.step("What the people of the fake tenant hold now")?;
    let before = Holdings::read(&playground.fake.state()?);
    shell.note(&before.table())?;

    shell.step("Four manifests, one of each kind, say what must be gone")?;
    shell.run("cat tests/stack/demo/removals/*.yaml")?;
    shell.note("")?;
    shell.run("kubectl apply -f tests/stack/demo/removals/")?;
    shell.run("kubectl wait --for=condition=Ready rescind --all -n identity --timeout=30s")?;
    shell.run("kubectl get rescind -n identity")?;

    shell.step("What they hold now")?;
    let after = Holdings::read(&playground.fake.state()?);
    shell.note(&after.table_since(&before))?;
    match after.removed_since(&before) {
        REMOVALS => Ok(()),
        removed => Err(Failure::NotRemoved { removed, wanted: REMOVALS }),
    }
}

/// A token that may not do it.
fn missing_scope(playground: &Playground) -> Result<(), Failure> {
    let shell = &playground.shell;
    shell.step("A failure says what to do: a second Auth0Tenant, with a token that may only read")?;
    let token = playground.new_token("read-only-token", &["read:users", "read:roles", "read:role_members"])?;
    playground.put_secret("auth0-read-only", &token)?;
    shell.run("cat tests/stack/demo/missing-scope.yaml")?;
    shell.run(&format!("kubectl apply -f {}", playground.fill_in("missing-scope.yaml")?.display()))?;
    shell.run("kubectl wait --for=condition=Stalled urr/kim-billing -n identity --timeout=30s")?;
    shell.run("kubectl describe urr kim-billing -n identity | sed -n '/^Status:/,$p'").map(drop)
}

/// A 429, and how long it is respected.
fn rate_limit(playground: &Playground) -> Result<(), Failure> {
    let shell = &playground.shell;
    let seconds = RATE_LIMITED_FOR.as_secs();
    shell.step(
        "Rate limits are obeyed: the fake Auth0 answers the next removal 429 and asks for some seconds' patience",
    )?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    playground.fake.fault(&json!({
        "effect": {"status": 429},
        "headers": {"x-ratelimit-reset": (now + seconds).to_string(), "x-ratelimit-remaining": "0"},
        "times": 1,
        "match": {"method": "DELETE"},
    }))?;
    shell.run("cat tests/stack/demo/rate-limited.yaml")?;
    shell.run("kubectl apply -f tests/stack/demo/rate-limited.yaml")?;
    shell.run("kubectl wait --for=jsonpath='{.status.nextAttemptTime}' urr/kim-admin -n identity --timeout=30s")?;
    shell.run("kubectl get urr kim-admin -n identity")?;
    let until = shell.run(&status_of("kim-admin", "nextAttemptTime"))?;
    shell.note("Nothing is sent to this tenant before that time; then it goes on by itself.")?;
    shell.run("kubectl wait --for=condition=Ready urr/kim-admin -n identity --timeout=30s")?;
    let sent = shell.run(&status_of("kim-admin", "lastRemovalTime"))?;
    let (sent, until) = (sent.trim().to_owned(), until.trim().to_owned());
    // Times in one notation, so they compare as texts.
    if sent < until { Err(Failure::TooEarly { sent, until }) } else { Ok(()) }
}

fn status_of(name: &str, field: &str) -> String {
    format!("kubectl get urr {name} -n identity -o jsonpath='{{.status.{field}}}{{\"\\n\"}}'")
}

/// The whole picture.
fn what_else(playground: &Playground) -> Result<(), Failure> {
    let shell = &playground.shell;
    shell.step("All of it in one list, and what happened, as events")?;
    shell.run("kubectl get rescind -n identity")?;
    shell.run("kubectl events -n identity").map(drop)
}
