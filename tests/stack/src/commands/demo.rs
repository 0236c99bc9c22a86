//! `stack demo`: starts everything, shows the operator at work with every command as it runs, and removes everything.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use stack::supervisor::OwnedDir;

use crate::failure::Failure;
use crate::playground::{self, Holdings, Playground, Voice};

use super::print;

/// The number of items that the manifests in `tests/stack/demo/removals` name.
const REMOVALS: usize = 4;

/// How long the fake Auth0 asks to wait.
const RATE_LIMITED_FOR: Duration = Duration::from_secs(8);

/// Runs the demo. Ctrl-C needs no handler, because nothing outlives this process.
pub(crate) fn run() -> Result<(), Failure> {
    playground::prepare()?;
    let dir = OwnedDir::temporary("rescind-demo-")?;
    let mut playground = Playground::start(dir.path(), Voice::Narrator)?;
    show(&playground).map_err(|failure| playground.explain(failure))?;
    drop(playground);
    drop(dir);
    print(
        "\nDone, and nothing is left behind. Go on with:\n\n  \
         make up     the same, left running, with a kubeconfig for you\n  \
         README.md   what it is for, and how to use it with a real tenant\n",
    )
}

fn show(playground: &Playground) -> Result<(), Failure> {
    removals(playground)?;
    later(playground)?;
    missing_scope(playground)?;
    rate_limit(playground)?;
    what_happened(playground)?;
    playground.shell.step("Clean up: end the operator, the fake Auth0 and the API server, remove their files")
}

/// Shows the four kinds, for a person who leaves.
fn removals(playground: &Playground) -> Result<(), Failure> {
    let shell = &playground.shell;
    shell.step(&format!("What the fake tenant's people hold before (GET {}/state)", playground.fake.control()))?;
    let before = Holdings::read(&playground.fake.state()?);
    shell.note(before.table().trim_end())?;

    shell.step("Four manifests, one of each kind, say what must be gone")?;
    shell.run("cat tests/stack/demo/removals/*.yaml")?;
    shell.note("")?;
    shell.run("kubectl apply -f tests/stack/demo/removals/")?;
    shell.run("kubectl wait --for=condition=Ready rescind --all -n identity --timeout=30s")?;
    shell.run("kubectl get rescind -n identity")?;

    shell.step("What they hold after")?;
    let after = Holdings::read(&playground.fake.state()?);
    shell.note(after.table_since(&before).trim_end())?;
    match after.removed_since(&before) {
        REMOVALS => Ok(()),
        removed => Err(Failure::NotRemoved { removed, wanted: REMOVALS }),
    }
}

/// Shows a removal that waits for its time, and one that only looks until it may act.
fn later(playground: &Playground) -> Result<(), Failure> {
    const READY: &str = "?(@.type==\"Ready\")";
    let shell = &playground.shell;
    shell.step("Not yet: one removal waits for its time, in 6 seconds here, and one only looks")?;
    shell.run("cat tests/stack/demo/later.yaml")?;
    shell.run(&format!("kubectl apply -f {}", playground.fill_in("later.yaml")?.display()))?;
    let (both, wait) = ("urr/kim-last-day upr/jane-read-reports -n identity", "kubectl wait --timeout=30s");
    shell.run(&format!("{wait} --for=jsonpath='{{.status.conditions[{READY}].reason}}' {both}"))?;
    let columns = ["NAME:.metadata.name".to_owned()]
        .into_iter()
        .chain(["reason", "message"].map(|name| format!("{}:.status.conditions[{READY}].{name}", name.to_uppercase())));
    let columns = columns.collect::<Vec<_>>().join(",");
    shell.run(&format!("kubectl get rescind -n identity -l demo=later -o custom-columns='{columns}'"))?;

    shell.note("Jane should lose it. Kim's goes by itself when its time comes:")?;
    shell
        .run("kubectl patch upr jane-read-reports -n identity --type merge -p '{\"spec\": {\"mode\": \"Remove\"}}'")?;
    shell.run(&format!("{wait} --for=jsonpath='{{.status.conditions[{READY}].reason}}'=Removed {both}"))?;
    shell.run("kubectl get rescind -n identity -l demo=later")
}

/// Shows a token that lacks a scope.
fn missing_scope(playground: &Playground) -> Result<(), Failure> {
    let shell = &playground.shell;
    shell.step("A failure says what to do: a second Auth0Tenant, with a token that may only read")?;
    let scopes = ["read:users", "read:roles", "read:role_members"];
    shell.note(&format!("POST {}/tokens {}", playground.fake.control(), json!({ "scopes": scopes })))?;
    let token = playground.new_token("read-only-token", &scopes)?;
    playground.put_secret("auth0-read-only", &token)?;
    shell.run("cat tests/stack/demo/missing-scope.yaml")?;
    shell.run(&format!("kubectl apply -f {}", playground.fill_in("missing-scope.yaml")?.display()))?;
    shell.run("kubectl wait --for=condition=Stalled urr/kim-billing -n identity --timeout=30s")?;
    shell.run("kubectl describe urr kim-billing -n identity | sed -n '/^Status:/,$p'")
}

/// Shows a 429 and the wait after it.
fn rate_limit(playground: &Playground) -> Result<(), Failure> {
    let (shell, fake) = (&playground.shell, &playground.fake);
    shell.step("Rate limits are obeyed: the fake Auth0 will answer the next removal 429, with a reset in 8 seconds")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let fault = json!({
        "effect": {"status": 429},
        "headers": {"x-ratelimit-reset": (now + RATE_LIMITED_FOR.as_secs()).to_string()},
        "match": {"method": "DELETE"},
        "times": 1,
    });
    shell.note(&format!("POST {}/faults {fault}", fake.control()))?;
    fake.fault(&fault)?;
    shell.run("cat tests/stack/demo/rate-limited.yaml")?;
    shell.run("kubectl apply -f tests/stack/demo/rate-limited.yaml")?;
    shell.run("kubectl wait --for=jsonpath='{.status.nextAttemptTime}' urr/kim-admin -n identity --timeout=30s")?;
    shell.run("kubectl get urr kim-admin -n identity")?;
    shell.run("kubectl get urr kim-admin -n identity -o jsonpath='{.status.nextAttemptTime}{\"\\n\"}'")?;
    shell.note("Until then nothing is sent to this tenant; after that it goes on by itself.")?;
    shell.run("kubectl wait --for=condition=Ready urr/kim-admin -n identity --timeout=30s")?;

    shell.note(&format!("The DELETEs that the fake Auth0 saw meanwhile (GET {}/calls):", fake.control()))?;
    let calls = fake.removals()?;
    let lines: Vec<String> = calls.iter().map(|(time, status)| format!("  {time:.23}Z  answered {status}")).collect();
    shell.note(&lines.join("\n"))?;
    match calls.as_slice() {
        [(_, 429), (_, 204)] => Ok(()),
        _ => Err(Failure::NotRepeated { calls: lines.join(", ") }),
    }
}

/// Shows the result of everything.
fn what_happened(playground: &Playground) -> Result<(), Failure> {
    let shell = &playground.shell;
    shell.step("All of it in one list, and what happened, as events")?;
    shell.run("kubectl get rescind -n identity")?;
    shell.run("kubectl events -n identity")
}
