//! This version of the operator and an earlier one, each with the CRDs of both, under the same objects: nothing acts that
//! should not, and nothing that is finished acts again (promise 13). `tests/skew.sh` builds the earlier one.

use std::path::PathBuf;
use std::time::Instant;

use kube::api::{Patch, PatchParams};
use rescind::api::{Auth0Tenant, UserRoleRevocation};
use serde_json::json;
use stack::ControlPlane;
use tokio::process::Command;

use crate::harness::*;
use crate::process::Process;
use crate::pruned::{all_as_before, make, removed_from, rows, user};
use crate::reconcile_requests::{answered, ask};
use crate::stage::own_plane_with_crds;

fn from_script(name: &str) -> PathBuf {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} is missing: run tests/skew.sh")).into()
}

fn earlier_crds() -> String {
    let files = std::fs::read_dir(from_script("RESCIND_SKEW_CRDS")).unwrap().map(|file| file.unwrap().path());
    let crds = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("rescind.dev_"));
    crds.map(|path| format!("---\n{}", std::fs::read_to_string(path).unwrap())).collect()
}

/// The earlier operator.
fn earlier(env: &Environment) -> Process {
    let watched = ["--watch-namespaces", &env.namespace, "--namespace", &env.namespace];
    let more = ["--health-probe-bind-address", "0", "--allowed-domains", env.fake.domain()];
    let command = Command::new(from_script("RESCIND_SKEW_PROGRAM"));
    Process::run_as(command, env.plane.kubeconfig_path(), &[&watched[..], &more].concat())
}

/// Installs these CRDs. Those of this version have a rule that the earlier ones lack, by which it shows that they serve.
async fn install(env: &Environment, plane: &'static ControlPlane, crds: String, are_ours: bool) {
    tokio::task::spawn_blocking(move || plane.apply(&crds).expect("the CRDs install")).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    let later = Patch::Merge(json!({"spec": {"notBefore": "2999-12-31T23:59:59Z"}}));
    while env.api::<UserRoleRevocation>().patch("plain", &dry_run, &later).await.is_err() != are_ours {
        assert!(Instant::now() < deadline, "the API server does not serve by these CRDs");
    }
}

/// What every step knows: the DELETEs that were right so far.
struct Story {
    env: Environment,
    expected: Vec<String>,
    plain: Option<String>,
}

impl Story {
    fn expect(&mut self, names: &[&str]) {
        self.expected.extend(names.iter().map(|name| user(name)));
        self.expected.sort_unstable();
        assert_eq!(removed_from(&self.env), self.expected);
    }

    async fn version(&self) -> Option<String> {
        self.env.api::<UserRoleRevocation>().get("plain").await.unwrap().metadata.resource_version
    }

    /// Whoever runs now has looked at every object and at a new one, and sent a DELETE for that one alone. A request
    /// makes sure of it, except where it would have something repeated.
    async fn all_are_looked_at(&mut self, step: &str) {
        let env = &self.env;
        for (name, ..) in rows().iter().filter(|(name, ..)| !["unknown", "plain"].contains(name)) {
            ask::<UserRoleRevocation>(env, name, step).await;
        }
        let control = format!("control-{step}");
        env.fake.edit(|tenant| drop(tenant.user(user(&control)).role(ROLE)));
        env.put::<UserRoleRevocation>(&control, roles(&user(&control))).await;
        env.reason::<UserRoleRevocation>(&control, "Removed").await;
        for (name, ..) in rows().iter().filter(|(name, ..)| !["unknown", "plain"].contains(name)) {
            answered::<UserRoleRevocation>(env, name, step).await;
        }
        self.expect(&[&control]);
        assert_eq!(self.version().await, self.plain, "{step}: what is finished is not written");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it needs the program of an earlier version; tests/skew.sh builds it"]
async fn two_versions_take_turns_with_both_crds() {
    let plane = own_plane_with_crds().await;
    let env = Environment::with(plane, prompt_fake().await, "skew").await;
    // The earlier version does not act on any other brake.
    env.put_tenant(json!({"brake": {}})).await;
    let mut story = Story { env, expected: Vec::new(), plain: None };

    // The earlier one first: it says of what it does not act on that it does not.
    let mut old = earlier(&story.env);
    make(&story.env).await;
    for (name, reason) in [("plain", "Removed"), ("gone", "SubjectGone"), ("unknown", "SubjectNotFound")] {
        story.env.reason::<UserRoleRevocation>(name, reason).await;
    }
    for name in ["continuous", "observed", "scheduled", "held", "replayed"] {
        story.env.reason::<UserRoleRevocation>(name, "UnknownField").await;
    }
    for name in ["observing", "held"] {
        let says = |tenant: &Auth0Tenant| {
            tenant.status.as_ref().and_then(|status| status.reason_text()) == Some("UnknownField")
        };
        story.env.wait(name, says).await;
    }
    story.expect(&["gone", "plain", "unknown"]);
    story.plain = story.version().await;
    assert_eq!(old.terminate().await, Some(0));

    let operator = story.env.operator().await;
    all_as_before(&story.env).await;
    story.expect(&["continuous"]);
    story.all_are_looked_at("ours").await;
    operator.stop().await;

    let mut old = earlier(&story.env);
    story.all_are_looked_at("earlier").await;
    assert_eq!(old.terminate().await, Some(0));
    let operator = story.env.operator().await;
    all_as_before(&story.env).await;
    story.all_are_looked_at("ours-again").await;

    // The earlier CRDs come while this version runs, and serve both programs.
    install(&story.env, plane, earlier_crds(), false).await;
    story.all_are_looked_at("ours-meanwhile").await;
    operator.stop().await;
    let operator = story.env.operator().await;
    story.all_are_looked_at("ours-by-earlier-crds").await;
    all_as_before(&story.env).await;
    operator.stop().await;
    let mut old = earlier(&story.env);
    story.all_are_looked_at("earlier-by-earlier-crds").await;
    assert_eq!(old.terminate().await, Some(0));

    install(&story.env, plane, crds(), true).await;
    let operator = story.env.operator().await;
    story.all_are_looked_at("ours-at-last").await;
    all_as_before(&story.env).await;
    operator.stop().await;
}
