//! Reads the Dockerfile and checks, without a container engine, that it fits the chart and the repository.

use std::fs;

use crate::helm::{objects, only, root};

fn dockerfile() -> String {
    fs::read_to_string(root().join("Dockerfile")).unwrap()
}

/// The instructions of the last stage.
fn last_stage() -> Vec<String> {
    let text = dockerfile();
    let stage = text.rfind("\nFROM ").unwrap();
    let lines = text[stage + 1..].lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_image_holds_the_program_and_certificates_and_no_more() {
    assert_eq!(
        last_stage(),
        [
            "FROM scratch",
            "COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt",
            "COPY --from=build /rescind.static /rescind",
            "USER 65532:65532",
            r#"ENTRYPOINT ["/rescind"]"#,
            r#"CMD ["run"]"#,
        ]
    );
}

/// The chart passes arguments, so the program must be the entry point; and both must name the same user.
#[test]
fn the_chart_runs_the_image_as_it_was_made() {
    let objects = objects(&[]);
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    let user = format!("USER {}:{}", pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]);
    assert!(last_stage().contains(&user), "{user}");
    let container = &pod["containers"][0];
    assert!(container.get("command").is_none() && container["args"][0] == "run", "{container}");
}

/// .dockerignore excludes nothing that the build needs.
#[test]
fn the_build_gets_what_it_needs() {
    let ignore = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let sent: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for path in &sent {
        assert!(root().join(path).exists(), "{path} is in .dockerignore and nowhere else");
    }
    let script = dockerfile().contains("image/build.sh").then_some("image/build.sh");
    for needed in ["Cargo.toml", "Cargo.lock", "askama.toml", "src", "tests"].into_iter().chain(script) {
        assert!(sent.contains(&needed), "{needed} is not sent");
    }
    assert!(ignore.lines().any(|line| line == "*"), "everything else stays");
    // With an older Rust than the package requires, the build would fail late.
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let version = |text: &str, before: &str| -> (u32, u32) {
        let rest = &text[text.find(before).unwrap() + before.len()..];
        let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    };
    assert!(version(&dockerfile(), "BASE=rust:") >= version(&manifest, "rust-version = \""));
}
