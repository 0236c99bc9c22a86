//! Runs the commands of the README and of the pages as they stand there, with the namespace and the domain of the test.

use std::path::Path;
use std::process::Command;

use fake_auth0::Client;

use crate::harness::*;

fn page(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The code blocks of a text with their language, without the indentation of the list that they stand in.
fn blocks(text: &str) -> Vec<(String, String)> {
    let fenced = text.split("```").skip(1).step_by(2);
    let block = |fenced: &str| {
        let (language, body) = fenced.split_once('\n').unwrap();
        let indent = body.lines().next().map_or(0, |line| line.len() - line.trim_start().len());
        let lines: Vec<&str> = body.lines().map(|line| line.get(indent..).unwrap_or_default()).collect();
        (language.to_owned(), lines.join("\n"))
    };
    fenced.map(block).collect()
}

/// A folder in which commands run, as a user who follows the page has it.
struct Shell<'a> {
    env: &'a Environment,
    folder: tempfile::TempDir,
}

impl Shell<'_> {
    async fn run(&self, script: &str) {
        let here = self.here(script);
        let kubectl = stack::binaries::locate("kubectl").unwrap();
        let path = format!("{}:{}", kubectl.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-ec", &here]).current_dir(self.folder.path()).env("PATH", path);
        shell.env("KUBECONFIG", self.env.plane.kubeconfig_path());
        let output = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{here}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// With the namespace and the domain of the test.
    fn here(&self, text: &str) -> String {
        let domain = format!("domain: {}\n  caBundle: {}", self.env.fake.domain(), self.env.fake.ca_base64());
        text.replace("-n identity", &format!("-n {}", self.env.namespace))
            .replace("namespace: identity", &format!("namespace: {}", self.env.namespace))
            .replace("namespace team-a ", &format!("namespace {} ", self.env.namespace))
            .replace("domain: acme.eu.auth0.com", &domain)
    }
}

/// From the Secret to the removal: the README's steps, then what the pages say about the object that they made.
#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_the_readme_lead_to_a_removal() {
    let env = Environment::bare("readme").await;
    let operator = env.operator().await;
    let shell = Shell { env: &env, folder: tempfile::tempdir().unwrap() };
    let application = [("client-id.txt", "aB3dEaB3dEaB3dEaB3dEaB3dEaB3dE12"), ("client-secret.txt", "a-client-secret")];
    env.fake.client(Client::new(application[0].1, application[1].1).scopes(env.fake.all_scopes()));
    for (file, value) in application {
        std::fs::write(shell.folder.path().join(file), value).unwrap();
    }
    let readme = page("README.md");
    let (_, steps) = readme.split_once("\n## Take something away\n").unwrap();
    let mut ran = 0;
    for (language, text) in blocks(steps.split("\n## ").next().unwrap()) {
        match language.as_str() {
            "yaml" if text.contains("kind: Auth0Tenant") => drop(env.plane.apply(&shell.here(&text)).unwrap()),
            // The next command applies it from this file.
            "yaml" => std::fs::write(shell.folder.path().join("jane-admin.yaml"), shell.here(&text)).unwrap(),
            _ => shell.run(&text).await,
        }
        ran += 1;
    }
    assert_eq!(ran, 4);
    assert_eq!(env.fake.deletes().len(), 1);

    // `kubectl logs` needs a pod.
    let pages = ["docs/troubleshooting.md", "docs/metrics.md", "docs/security.md"].map(page);
    let blocks: Vec<_> = pages.iter().flat_map(|text| blocks(text)).filter(|(language, _)| language == "sh").collect();
    let lines = blocks.iter().flat_map(|(_, text)| text.lines());
    let commands: Vec<&str> =
        lines.filter(|line| line.starts_with("kubectl ") && !line.starts_with("kubectl logs")).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        shell.run(command).await;
    }
    operator.stop().await;
}
