//! `stack demo`: starts everything, shows the operator at work with every command as it runs, and removes everything.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use stack::supervisor::OwnedDir;

use crate::failure::Failure;
use crate::playground::{self, Holdings, Playground, Shell, Voice, repository};

use super::print;

/// The number of items that the manifests in `tests/stack/demo/removals` name.
const REMOVALS: usize = 4;

/// The number of people from whom `tests/stack/demo/brake.yaml` takes the role support.
const BRAKED: usize = 3;

/// Roles of `tests/stack/demo/people.json`.
const ADMIN: &str = "rol_bN1a2b3c4d5e6f7g";
const SUPPORT: &str = "rol_Hc5nE8sJz3Yd6Wa1";

/// Finds the condition `Ready` in a status, in the language of kubectl.
const READY: &str = "?(@.type==\"Ready\")";

/// How long the fake Auth0 asks to wait.
const RATE_LIMITED_FOR: Duration = Duration::from_secs(8);

/// Where the evidence stays after the demo, in the checkout.
const EVIDENCE: &str = "target/demo/evidence";

/// Runs the demo. Ctrl-C needs no handler, because nothing outlives this process.
pub(crate) fn run() -> Result<(), Failure> {
    playground::prepare()?;
    let dir = OwnedDir::temporary("rescind-demo-")?;
    let mut playground = Playground::start(dir.path(), Voice::Narrator)?;
    show(&playground).map_err(|failure| playground.explain(failure))?;
    drop(playground);
    drop(dir);
    print(
        "\nDone, and nothing is left behind but the evidence. Go on with:\n\n  \
         make up     the same, left running, with a kubeconfig for you\n  \
         README.md   what it is for, and how to use it with a real tenant\n",
    )
}

fn show(playground: &Playground) -> Result<(), Failure> {
    let before = removals(playground)?;
    without_effect(playground)?;
    later(playground)?;
    // Kim's removal waits meanwhile.
    brake(playground)?;
    its_time_has_come(playground, &before)?;
    missing_scope(playground)?;
    rate_limit(playground)?;
    what_happened(playground)?;
    by_hand(playground)?;
    playground.shell.step("Clean up: end the operator, the fake Auth0 and the API server, remove their files")
}

/// Shows the four kinds; returns what people held before.
fn removals(playground: &Playground) -> Result<Holdings, Failure> {
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
        REMOVALS => Ok(before),
        removed => Err(Failure::NotRemoved { removed, wanted: REMOVALS }),
    }
}

/// Shows a removal that changes nothing for the person, because a role gives the same.
fn without_effect(playground: &Playground) -> Result<(), Failure> {
    const EFFECTIVE: &str = ".status.conditions[?(@.type==\"Effective\")]";
    let shell = &playground.shell;
    shell.step("Removed, and yet without effect: Kim has this permission through the role billing, too")?;
    shell.run("cat tests/stack/demo/without-effect.yaml")?;
    shell.run("kubectl apply -f tests/stack/demo/without-effect.yaml")?;
    shell.run("kubectl wait --for=condition=Ready upr/kim-read-invoices -n identity --timeout=30s")?;
    shell.run("kubectl get upr kim-read-invoices -n identity")?;
    let fields = ["status", "reason", "message"].map(|field| format!("{{{EFFECTIVE}.{field}}}")).join("{\"\\n\"}");
    shell.note("What was named is gone, so it is Ready. The condition Effective says what is left:")?;
    shell.run(&format!("kubectl get upr kim-read-invoices -n identity -o jsonpath='{fields}{{\"\\n\"}}'"))
}

/// Shows a removal that waits for its time, and one that only looks until it may act.
fn later(playground: &Playground) -> Result<(), Failure> {
    let shell = &playground.shell;
    shell.step("Not yet: one removal waits for its time, in 6 seconds here, and one only looks")?;
    shell.run("cat tests/stack/demo/later.yaml")?;
    shell.run(&format!("kubectl apply -f {}", playground.fill_in("later.yaml")?.display()))?;
    let both = "urr/kim-last-day upr/jane-read-reports -n identity --timeout=30s";
    shell.run(&format!("kubectl wait --for=jsonpath='{{.status.conditions[{READY}].reason}}' {both}"))?;
    let columns = ["NAME:.metadata.name".to_owned()]
        .into_iter()
        .chain(["reason", "message"].map(|name| format!("{}:.status.conditions[{READY}].{name}", name.to_uppercase())));
    let columns = columns.collect::<Vec<_>>().join(",");
    shell.run(&format!("kubectl get rescind -n identity -l demo=later -o custom-columns='{columns}'"))?;

    shell.note("Jane should lose it. Kim's goes by itself when its time comes, while we look at something else.")?;
    shell
        .run("kubectl patch upr jane-read-reports -n identity --type merge -p '{\"spec\": {\"mode\": \"Remove\"}}'")?;
    wait_for_reason(shell, "Removed", "upr/jane-read-reports")
}

/// Shows that more removals than a tenant allows are not even begun, and how somebody who means them releases them.
fn brake(playground: &Playground) -> Result<(), Failure> {
    let shell = &playground.shell;
    shell.step("The brake: three removals at once, where the tenant allows two, so not even the first is sent")?;
    shell.run("cat tests/stack/demo/brake.yaml")?;
    shell.run(&format!("kubectl apply -f {}", playground.fill_in("brake.yaml")?.display()))?;
    wait_for_reason(shell, "Suspended", "urr -l demo=brake")?;
    shell.note("All three are there. From now on they may be sent:")?;
    shell.run("kubectl patch auth0tenant careful -n identity --type merge -p '{\"spec\": {\"suspend\": false}}'")?;
    wait_for_reason(shell, "BrakeEngaged", "urr -l demo=brake")?;
    shell.run("kubectl wait --for=condition=BrakeEngaged auth0tenant/careful -n identity --timeout=30s")?;
    shell.run("kubectl get urr -n identity -l demo=brake")?;
    let get = "kubectl get auth0tenant careful -n identity -o jsonpath";
    shell.run(&format!("{get}='{{.status.conditions[?(@.type==\"BrakeEngaged\")].message}}{{\"\\n\"}}'"))?;
    let id = shell.ask(&format!("{get}='{{.status.brake.id}}{{\"\\n\"}}'"))?;
    let before = show_removals(playground, SUPPORT)?;

    shell.note(
        "Had it been a mistake, one would delete the three objects. It is meant, so release as many as the id says:",
    )?;
    let release = format!("--overwrite rescind.dev/release-brake={id}");
    shell.run(&format!("kubectl annotate auth0tenant careful -n identity {release}"))?;
    wait_for_reason(shell, "Removed", "urr -l demo=brake")?;
    shell.run("kubectl get urr -n identity -l demo=brake")?;
    let after = show_removals(playground, SUPPORT)?;
    if before.is_empty() && after.len() == BRAKED && after.iter().all(|(_, status)| *status == 204) {
        Ok(())
    } else {
        Err(Failure::NotBraked { wanted: BRAKED, calls: lines(&before).chain(lines(&after)).collect() })
    }
}

/// Shows that the removal for later was carried out, and what is left of what people held `before`.
fn its_time_has_come(playground: &Playground, before: &Holdings) -> Result<(), Failure> {
    let shell = &playground.shell;
    shell.step("Kim's time has come: the role billing goes, and with it the permission that it gave")?;
    wait_for_reason(shell, "Removed", "urr/kim-last-day")?;
    shell.run("kubectl get rescind -n identity -l demo=later")?;
    shell.note("What all the steps above have removed:")?;
    shell.note(Holdings::read(&playground.fake.state()?).table_since(before).trim_end())
}

/// Shows a token that lacks a scope.
fn missing_scope(playground: &Playground) -> Result<(), Failure> {
    let shell = &playground.shell;
    shell.step("A failure says what to do: one more Auth0Tenant, with a token that may only read")?;
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

    let calls = show_removals(playground, ADMIN)?;
    match calls.as_slice() {
        [(_, 429), (_, 204)] => Ok(()),
        _ => Err(Failure::NotRepeated { calls: lines(&calls).collect() }),
    }
}

/// Shows the result of everything.
fn what_happened(playground: &Playground) -> Result<(), Failure> {
    let shell = &playground.shell;
    shell.step("All of it in one list, and what happened, as events")?;
    shell.run("kubectl get rescind -n identity")?;
    shell.run("kubectl events -n identity")
}

/// Shows the commands for people: what somebody still has, by which ways, as manifests, and what an auditor asks for.
fn by_hand(playground: &Playground) -> Result<(), Failure> {
    let shell = &playground.shell;
    let reads = format!("-n identity --allowed-domains {} --max-requests-per-second 10", playground.fake.domain());
    let leavers = playground.path("leavers");
    shell.step("For people: Sara leaves. Her address is enough to write the manifests, and they name ids")?;
    shell.run(&format!("kubectl rescind new sara@example.com --everything --dir {} {reads}", leavers.display()))?;
    shell.run(&format!("cat {}/*.yaml", leavers.display()))?;
    shell.note("What would they remove?")?;
    shell.run(&format!("kubectl rescind plan -f {} {reads}", leavers.display()))?;
    shell.note("By which ways does she have all that?")?;
    shell.run(&format!("kubectl rescind why sara@example.com {reads}"))?;
    shell.note("Where does everything stand?")?;
    shell.run("kubectl rescind status -n identity")?;
    shell.note("And what an auditor asks for:")?;
    shell.run(&format!(
        "rm -rf {EVIDENCE} && kubectl rescind evidence --since $(date -u +%F) -n identity --dir {EVIDENCE}"
    ))?;
    let page = repository().join(EVIDENCE).join("report.html");
    shell.note(&format!("The page to look at: {}", page.display()))
}

/// Waits until what this argument names has this reason.
fn wait_for_reason(shell: &Shell, reason: &str, which: &str) -> Result<(), Failure> {
    let ready = format!("'{{.status.conditions[{READY}].reason}}'={reason}");
    shell.run(&format!("kubectl wait --for=jsonpath={ready} {which} -n identity --timeout=30s"))
}

/// Shows and returns the DELETEs of this role that the fake Auth0 saw, each with its time and answer.
fn show_removals(playground: &Playground, role: &str) -> Result<Vec<(String, u64)>, Failure> {
    let (shell, fake) = (&playground.shell, &playground.fake);
    let calls = fake.removals(role)?;
    let seen = if calls.is_empty() { "  none\n".to_owned() } else { lines(&calls).collect() };
    shell.note(&format!("The DELETEs for this role that the fake Auth0 saw (GET {}/calls):", fake.control()))?;
    shell.note(seen.trim_end())?;
    Ok(calls)
}

fn lines(calls: &[(String, u64)]) -> impl Iterator<Item = String> {
    calls.iter().map(|(time, status)| format!("  {time:.23}Z  answered {status}\n"))
}
