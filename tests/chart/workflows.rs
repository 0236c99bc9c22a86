//! The workflows under .github: valid by actionlint, pinned, with time limits and permissions, and without a step that
//! runs only when a release is made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::helm::{root, said};

/// The files below `folder` of .github with their content.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { walk(&entry, found) } else { found.push(entry) }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(".github").join(folder), &mut found);
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The jobs of a workflow by name.
fn jobs(workflow: &str) -> Vec<(String, Value)> {
    let workflow: Value = serde_saphyr::from_str(workflow).unwrap();
    workflow["jobs"].as_object().unwrap().clone().into_iter().collect()
}

/// The targets that a script or recipe makes: the words after `make`, up to the first that is not a target.
fn targets(script: &str) -> Vec<&str> {
    let lines = script.lines().filter_map(|line| {
        let line = line.trim();
        line.strip_prefix("make ").or_else(|| line.strip_prefix("$(MAKE) "))
    });
    lines.flat_map(|line| line.split_whitespace().take_while(|word| !word.contains(['=', '"', '$']))).collect()
}

#[test]
fn actionlint_finds_nothing() {
    let actionlint = stack::binaries::locate("actionlint").unwrap();
    let workflows: Vec<PathBuf> = files("workflows").into_iter().map(|(path, _)| path).collect();
    assert!(workflows.len() >= 2);
    // actionlint runs other linters where they are installed, so the result would depend on the machine.
    let mut command = Command::new(actionlint);
    command.args(["-no-color", "-shellcheck=", "-pyflakes="]).args(&workflows).current_dir(root());
    let output = command.output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stdout).into_owned();
    said(output).unwrap_or_else(|error| panic!("{complaints}{error}"));
}

/// A tag can be moved to other code; a commit cannot.
#[test]
fn actions_of_others_are_pinned_by_commit() {
    for (path, text) in files("workflows").into_iter().chain(files("actions")) {
        let used = text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "));
        for action in used.filter(|action| !action.starts_with("./")) {
            let (pin, version) = action.split_once(" # v").unwrap_or((action, ""));
            let commit = pin.split_once('@').map_or("", |(_, commit)| commit);
            let pinned = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(pinned && version.split('.').count() == 3, "{}: {action}", path.display());
        }
    }
}

/// Without a time limit, a job that hangs takes the default of six hours.
#[test]
fn every_job_ends_and_says_what_it_may_do() {
    for (path, text) in files("workflows") {
        let whole: Value = serde_saphyr::from_str(&text).unwrap();
        assert!(whole.get("permissions").is_some(), "{}", path.display());
        for (name, job) in jobs(&text) {
            let bounded = job["timeout-minutes"].is_u64() || job["uses"].is_string();
            assert!(bounded, "{}: {name} has no timeout-minutes", path.display());
        }
    }
}

#[test]
fn what_a_release_makes_is_made_by_the_long_tests_too() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let recipe = &makefile[makefile.find("\ntest-long:").unwrap()..];
    let tried = targets(recipe.split("\n\n").next().unwrap());
    let release = fs::read_to_string(root().join(".github/workflows/release.yaml")).unwrap();
    let steps = jobs(&release).into_iter().flat_map(|(_, job)| job["steps"].as_array().cloned().unwrap_or_default());
    let scripts: Vec<String> = steps.filter_map(|step| Some(step["run"].as_str()?.to_owned())).collect();
    let made: Vec<&str> = scripts.iter().flat_map(|script| targets(script)).collect();
    assert!(made.len() >= 5, "{made:?}");
    for target in made {
        assert!(tried.contains(&target), "`make test-long` does not make {target}, which a release makes");
    }
}
