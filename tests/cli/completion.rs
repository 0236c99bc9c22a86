use std::process::Command;

use rescind::api::UserRoleRevocation;

use crate::harness::*;
use crate::person::Person;

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_completes_commands_flags_and_objects() {
    let env = Environment::new("completion").await;
    env.put::<UserRoleRevocation>("jane-admin", roles(USER)).await;
    env.put::<UserRoleRevocation>("joe", roles(OTHER_USER)).await;
    let person = Person::admin(&env);
    // kubectl itself starts kubectl_complete-rescind for this.
    let complete = async |words: &[&str]| person.kubectl(&[&["__complete", "rescind"], words].concat()).await.out;
    let first = |out: &str| {
        let words = out.lines().filter(|line| !line.starts_with(':')).filter_map(|line| line.split('\t').next());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(first(&complete(&["st"]).await), ["status", "stop"]);
    assert_eq!(first(&complete(&["status", "--wat"]).await), ["--watch"]);
    assert_eq!(first(&complete(&["completion", "z"]).await), ["zsh"]);
    assert_eq!(first(&complete(&["retry", "ur"]).await), ["urr/"]);
    let namespace = env.namespace.as_str();
    let objects = complete(&["retry", "-n", namespace, "urr/ja"]).await;
    assert_eq!(first(&objects), ["urr/jane-admin"], "{objects}");
    assert!(objects.contains(":4"), "{objects}");
    assert_eq!(env.calls(), Vec::<String>::new());
}

#[test]
fn shells_get_a_script() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let output = Command::new(env!("CARGO_BIN_EXE_rescind")).args(["completion", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("kubectl-rescind"), "{shell}: {script}");
    }
}
