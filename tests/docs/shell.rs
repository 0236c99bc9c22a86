//! Which test runs the commands of the pages as they stand, and which commands none can run.

use std::collections::BTreeSet;

use crate::repository::{assert_none, read, sources};

/// What becomes of a command.
enum Fate {
    /// The test of this name runs it.
    Run(&'static str),
    /// No test runs it, for this reason.
    Left(&'static str),
}

use Fate::{Left, Run};

const NO_REGISTRY: Fate = Left("needs a container engine and a registry");
const NO_FORGE: Fate = Left("needs what a release of the forge has published");
const DEVELOPMENT: Fate = Left("a target or a test, which `commands.rs` looks up");

const INSTALL: Fate = Run("what_the_pages_install_can_be_installed_so");
const PLUGIN: Fate = Run("the_commands_of_the_pages_do_what_they_say");
const README: Fate = Run("the_steps_of_the_readme_lead_to_a_removal");
const LEAVERS: Fate = Run("people_with_several_accounts_lose_everything");

/// By page and begin; the first that fits counts.
const COMMANDS: &[(&str, &str, Fate)] = &[
    ("CONTRIBUTING.md", "", DEVELOPMENT),
    ("docs/architecture.md", "", DEVELOPMENT),
    ("README.md", "make ", DEVELOPMENT),
    ("README.md", "docker build ", NO_REGISTRY),
    ("README.md", "kubectl create namespace ", INSTALL),
    ("README.md", "helm install ", INSTALL),
    ("README.md", "cargo run --release -- crds ", INSTALL),
    ("README.md", "cargo run --release -- run ", Left("all end-to-end tests with processes run the program so")),
    ("README.md", "kubectl rescind ", PLUGIN),
    ("README.md", "kubectl apply -f leavers", PLUGIN),
    ("README.md", "kubectl ", README),
    ("charts/rescind/README.md", "docker build ", NO_REGISTRY),
    ("charts/rescind/README.md", "kubectl create namespace ", Left("the README's own is run")),
    ("charts/rescind/README.md", "helm ", INSTALL),
    ("charts/rescind/README.md", "kubectl delete crd ", INSTALL),
    ("docs/argocd.md", "helm upgrade ", INSTALL),
    ("docs/argocd.md", "kubectl patch ", Run("configure")),
    ("docs/audit.md", "helm upgrade ", INSTALL),
    ("docs/audit.md", "me=", Run("who_asked_is_proved_by_the_policy_that_stood_before")),
    ("docs/audit.md", "kubectl annotate ", Run("who_asked_is_proved_by_the_policy_that_stood_before")),
    ("docs/audit.md", "", Run("the_commands_of_the_page_verify_a_log")),
    ("docs/evidence.md", "kubectl rescind ", PLUGIN),
    ("docs/evidence.md", "cosign ", Left("needs cosign and an identity")),
    ("docs/evidence.md", "", Run("verified")),
    ("docs/flux.md", "kubectl ", Run("the_commands_of_the_docs_do_what_they_say")),
    ("docs/gitops.md", "", PLUGIN),
    ("docs/hired-again.md", "velero ", Left("needs Velero; what it does is done by hand in docs_hired_again.rs")),
    ("docs/hired-again.md", "kubectl ", INSTALL),
    ("docs/kubectl-rescind.md", "cargo build ", Left("tests have built the program")),
    ("docs/kubectl-rescind.md", "install ", Left("tests link the program into a folder of their own")),
    ("docs/kubectl-rescind.md", "", PLUGIN),
    ("docs/leavers.md", "kubectl apply -f examples/leaver/argocd/", Run("each_leaver_gets_an_application")),
    ("docs/leavers.md", "kubectl apply ", INSTALL),
    ("docs/leavers.md", "helm ", INSTALL),
    ("docs/leavers.md", "kubectl ", LEAVERS),
    ("docs/metrics.md", "kubectl ", README),
    ("docs/releases.md", "", NO_FORGE),
    ("docs/secrets.md", "kubectl ", Run("a_replaced_secret_keeps_the_consent")),
    ("docs/security.md", "kubectl ", README),
    ("docs/troubleshooting.md", "kubectl logs ", Left("needs a pod")),
    ("docs/troubleshooting.md", "kubectl ", README),
];

/// The commands in the blocks of sh of a page; one may go on on the next line.
fn commands(page: &str) -> Vec<String> {
    let (text, mut found) = (read(page), Vec::new());
    let mut is_open = false;
    for line in text.replace("\\\n", "").lines().map(str::trim) {
        match line.strip_prefix("```") {
            Some(language) => is_open = !is_open && language == "sh",
            None if is_open && !line.is_empty() && !line.starts_with('#') => found.push(line.to_owned()),
            None => {}
        }
    }
    found
}

/// A new command fails this until a test runs it, or until it stands here why none can.
#[test]
fn every_command_of_the_pages_is_run_by_a_test() {
    let tests: String = sources(&["tests"]).into_iter().map(|(_, text)| text).collect();
    let (mut findings, mut used) = (Vec::new(), BTreeSet::new());
    let pages: BTreeSet<String> = crate::repository::pages().into_iter().map(|page| page.path).collect();
    for page in pages.iter().filter(|page| !page.starts_with("tests/")) {
        for command in commands(page) {
            let fits = |(of, begin, _): &&(&str, &str, Fate)| of == page && command.starts_with(begin);
            match COMMANDS.iter().find(fits) {
                None => findings.push(format!("{page}: no test runs {command}")),
                Some((of, begin, _)) => drop(used.insert((*of, *begin))),
            }
        }
    }
    for (page, begin, fate) in COMMANDS {
        if !used.contains(&(*page, *begin)) {
            findings.push(format!("{page} has no command any more that begins with {begin:?}"));
        }
        if let Run(test) = fate
            && !tests.contains(&format!("fn {test}("))
        {
            findings.push(format!("{page}: there is no test {test}"));
        }
        if let Left(why) = fate {
            assert!(!why.is_empty(), "{page}: {begin}");
        }
    }
    assert_none(&findings);
}
