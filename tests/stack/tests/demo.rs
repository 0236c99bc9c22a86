//! Runs the demo and the background stack as users do: what they print, how they end, and that nothing is left.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use support::processes_of;

const STACK: &str = env!("CARGO_BIN_EXE_stack");

#[test]
fn the_demo_shows_all_it_promises_and_leaves_nothing() {
    let mut demo = Demo::start(STACK);
    let footprint = demo.footprint();
    let (status, text) = demo.finish();
    assert!(status.success(), "{status}\n{text}");
    for line in [
        "auth0tenant.rescind.dev/default condition met",
        "orgmemberroleremoval.rescind.dev/jane-acme-billing condition met",
        "orgmembershipremoval.rescind.dev/omar-acme condition met",
        "userpermissionrevocation.rescind.dev/jane-write-reports condition met",
        "userrolerevocation.rescind.dev/jane-admin condition met",
        "    removed  role admin (rol_bN1a2b3c4d5e6f7g)",
        "             permission read:reports of https://api.example.com/",
        "kim-read-invoices   default   auth0|6a1b2c3d4e5f60718293a4b5   True    Removed ",
        "False\nGrantedByRole\nAs of the verdict: The user still has what was removed through rol_Q7xT2mB9kLp4Vw8Z. ",
        "Nothing is sent before ",
        "Would remove 1 of 1: ",
        "omar-support   careful   google-oauth2|108204712345678901234   False   BrakeEngaged ",
        "3 items in namespace identity would be removed within 1h; spec.brake.maxRemovals allows 2. ",
        "The DELETEs for this role that the fake Auth0 saw (GET ",
        "/calls):\n  none\n",
        "$ kubectl annotate auth0tenant careful -n identity --overwrite rescind.dev/release-brake=3-",
        "omar-support   careful   google-oauth2|108204712345678901234   True    Removed ",
        "userrolerevocation.rescind.dev/kim-last-day condition met",
        "    removed  permission read:invoices of https://api.example.com/, through role billing (rol_",
        "Scheduled           UserRoleRevocation/kim-last-day",
        "WouldRemove         UserPermissionRevocation/jane-read-reports",
        "Type:                  Stalled",
        "InsufficientScope   UserRoleRevocation/kim-billing",
        "RateLimited         UserRoleRevocation/kim-admin",
        "userrolerevocation.rescind.dev/kim-admin condition met",
        "make up ",
    ] {
        assert!(text.contains(line), "{line:?} is missing in:\n{text}");
    }
    assert!(!text.contains('\x1b'), "escape codes, though this is no terminal:\n{text}");
    footprint.is_gone();
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    let mut demo = Demo::start(STACK);
    let footprint = demo.footprint();
    // Ctrl-C reaches every process in the foreground.
    signal("INT", &format!("-{}", demo.process.id()));
    let (status, text) = demo.finish();
    assert_eq!(status.signal(), Some(2), "{text}");
    footprint.is_gone();
}

#[test]
fn a_demo_that_fails_says_which_command_and_leaves_nothing() {
    // Beside this copy of the program are a fake Auth0 that only says it is ready, and an operator that cannot even
    // print its CRDs.
    let dir = tempfile::tempdir().unwrap();
    let stack = dir.path().join("stack");
    fs::copy(STACK, &stack).unwrap();
    let ready = r#"{"domain": "localhost:1", "control": "http://127.0.0.1:1"}"#;
    for (name, script) in [("rescind", "echo broken >&2"), ("fake-auth0", &format!("echo '{ready}'\nexec sleep 60"))] {
        let path = dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    let mut demo = Demo::start(stack.to_str().unwrap());
    let footprint = demo.footprint();
    let (status, text) = demo.finish();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("$ rescind crds | kubectl apply"), "{text}");
    assert!(text.contains("stack: this failed") && text.contains("\nbroken"), "{text}");
    footprint.is_gone();
}

#[test]
fn what_is_up_stays_up_until_it_is_taken_down() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home(folder.path().join("stack"));
    assert_eq!(home.stack("down"), "Nothing is up.\n");

    let first = home.stack("up");
    let footprint = Footprint::of(&home.0.join("kubeconfig"), &home.0);
    let (how, url) = (first.split_once("\n\n").unwrap().1, "  curl http://127.0.0.1:");
    assert!(first.contains("The stack is up") && how.contains(url), "{first}");
    assert!(how.starts_with(&format!("  export KUBECONFIG={}/kubeconfig\n", home.0.display())), "{how}");
    let tenant = ["get", "auth0tenant", "default", "-n", "identity", "-o", "jsonpath={.status.conditions[0].reason}"];
    let tenant = stack::kubectl(&home.0.join("kubeconfig"), &tenant).unwrap();
    assert_eq!(String::from_utf8(tenant.stdout).unwrap(), "Unproved");

    let second = home.stack("up");
    assert!(second.starts_with("The stack is already up"), "{second}");
    assert_eq!(second.split_once("\n\n").unwrap().1, how);

    assert!(home.stack("down").starts_with("The stack is down"));
    assert!(!home.0.exists());
    footprint.is_gone();
    assert_eq!(home.stack("down"), "Nothing is up.\n");
}

#[test]
fn an_interrupted_up_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home(folder.path().join("stack"));
    let mut up = home.command("up").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
    // The API server is running when the second step begins.
    lines.find(|line| line.as_ref().unwrap().starts_with("Start a fake Auth0")).unwrap().unwrap();
    let footprint = Footprint::of(&home.0.join("kubeconfig"), &home.0);
    signal("INT", &up.id().to_string());
    assert_eq!(up.wait().unwrap().signal(), Some(2));
    footprint.has_no_process();
    assert!(home.stack("down").starts_with("The stack is down"), "what it wrote is left");
}

/// A running demo, in a process group of its own.
struct Demo {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    text: String,
}

impl Demo {
    fn start(program: &str) -> Self {
        let mut command = interruptible(program);
        command.arg("demo").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines, text: String::new() }
    }

    /// Reads until the API server runs. Missing programs are built before that.
    fn footprint(&mut self) -> Footprint {
        loop {
            let line = self.lines.next().unwrap().unwrap();
            self.text += &format!("{line}\n");
            if let Some(kubeconfig) = line.strip_prefix("$ export KUBECONFIG=") {
                return Footprint::of(Path::new(kubeconfig), Path::new(kubeconfig).parent().unwrap());
            }
        }
    }

    /// Reads to the end; returns the exit status and the whole output.
    fn finish(mut self) -> (std::process::ExitStatus, String) {
        let rest: Vec<String> = self.lines.map(Result::unwrap).collect();
        let mut errors = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        let text = format!("{}{}\n{errors}", self.text, rest.join("\n"));
        (self.process.wait().unwrap(), text)
    }
}

/// What must be gone in the end.
struct Footprint {
    dir: PathBuf,
    /// Texts on the command line of every process of the stack.
    marks: [String; 2],
}

impl Footprint {
    fn of(kubeconfig: &Path, dir: &Path) -> Self {
        let text = fs::read_to_string(kubeconfig).unwrap();
        let port = text.split("https://127.0.0.1:").nth(1).unwrap();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        let footprint =
            Self { dir: dir.to_owned(), marks: [format!("--secure-port={port} "), dir.to_str().unwrap().to_owned()] };
        assert!(!footprint.processes().is_empty());
        footprint
    }

    fn processes(&self) -> Vec<String> {
        self.marks.iter().flat_map(|mark| processes_of(mark)).collect()
    }

    fn has_no_process(&self) {
        soon(|| self.processes().is_empty(), || format!("left behind: {:#?}", self.processes()));
    }

    fn is_gone(&self) {
        self.has_no_process();
        soon(|| !self.dir.exists(), || format!("left behind: {}", self.dir.display()));
    }
}

/// The folder of a stack, which is taken down when this is dropped.
struct Home(PathBuf);

impl Home {
    fn command(&self, command: &str) -> Command {
        let mut stack = interruptible(STACK);
        stack.arg(command).arg("--dir").arg(&self.0).stdin(Stdio::null());
        stack
    }

    /// Runs a command that must succeed; returns its output.
    fn stack(&self, command: &str) -> String {
        let Output { status, stdout, stderr } = self.command(command).output().unwrap();
        assert!(status.success(), "{command}: {status}\n{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.command("down").output();
    }
}

/// Restores the handling of Ctrl-C, which processes in the background inherit as ignored.
fn interruptible(program: &str) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", program]);
    command
}

fn signal(name: &str, to: &str) {
    assert!(Command::new("sh").args(["-c", "kill -s \"$1\" -- \"$2\"", "sh", name, to]).status().unwrap().success());
}

fn soon(condition: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{}", otherwise());
        std::thread::sleep(Duration::from_millis(20));
    }
}
