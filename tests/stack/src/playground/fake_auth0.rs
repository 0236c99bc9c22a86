//! The fake Auth0 as a process of its own, and its control API (`tests/fake-auth0/README.md`).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stack::supervisor::Supervised;

use crate::failure::{Failure, last_lines};

use super::shell::Shell;

/// The time within which it must be ready (it takes a few milliseconds) or answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The application of the demo.
pub(crate) const CLIENT_ID: &str = "demoAppDemoAppDemoAppDemoAppDemo";
pub(crate) const CLIENT_SECRET: &str = "a-secret-that-only-the-demo-knows";

/// A running fake Auth0, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct FakeAuth0 {
    process: Supervised,
    /// What it printed when it was ready.
    ready: Value,
}

impl FakeAuth0 {
    /// Starts it with the people of the demo; writes the certificate of its authority and a token with all scopes to
    /// `dir`.
    pub(crate) fn start(dir: &Path, shell: &Shell) -> Result<Self, Failure> {
        let log = dir.join("fake-auth0.log");
        let mut command = Command::new("fake-auth0");
        // Without lag, because the proof of an ended membership would take ten seconds.
        command.args(["--ignore-stdin", "--no-lag", "--state", "tests/stack/demo/people.json"]);
        command.arg("--ca-out").arg(dir.join("ca.pem")).arg("--token-out").arg(dir.join("token"));
        command.arg("--client").arg(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
        let mut process = shell.start(&command, &log)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(ready) = ready_line(&log) {
                return Ok(Self { process, ready });
            }
            if process.try_wait()?.is_some() || Instant::now() >= deadline {
                return Err(Failure::FakeAuth0 { problem: format!("is not ready; it said: {}", last_lines(&log)) });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `host:port`, as an `Auth0Tenant` names it.
    pub(crate) fn domain(&self) -> &str {
        self.ready["domain"].as_str().unwrap_or_default()
    }

    /// The address of the control API.
    pub(crate) fn control(&self) -> &str {
        control_of(&self.ready)
    }

    /// What it printed when it was ready.
    pub(crate) fn ready(&self) -> &Value {
        &self.ready
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<String>, Failure> {
        Ok(self.process.try_wait()?.map(|status| status.to_string()))
    }

    /// Everything the tenant holds.
    pub(crate) fn state(&self) -> Result<Value, Failure> {
        self.call("GET", "/state", &Value::Null)
    }

    /// Every removal of this role from a user that it was asked for since [`Self::fault`]: when, and how it was
    /// answered.
    pub(crate) fn removals(&self, role: &str) -> Result<Vec<(String, u64)>, Failure> {
        let calls = self.call("GET", "/calls", &Value::Null)?;
        let names = |call: &Value| call["body"]["roles"].as_array().is_some_and(|roles| roles.contains(&json!(role)));
        let is_removal = |call: &&Value| call["method"] == "DELETE" && names(call);
        let removals = calls.as_array().into_iter().flatten().filter(is_removal);
        let answer =
            |call: &Value| (call["time"].as_str().unwrap_or("?").to_owned(), call["status"].as_u64().unwrap_or(0));
        Ok(removals.map(answer).collect())
    }

    /// Makes a new token with these scopes.
    pub(crate) fn token(&self, scopes: &[&str]) -> Result<String, Failure> {
        let answer = self.call("POST", "/tokens", &json!({ "scopes": scopes }))?;
        let problem = || Failure::FakeAuth0 { problem: format!("gave no token but {answer}") };
        Ok(answer["token"].as_str().ok_or_else(problem)?.to_owned())
    }

    /// Makes something go wrong from now on, and forgets the calls before.
    pub(crate) fn fault(&self, fault: &Value) -> Result<(), Failure> {
        self.call("POST", "/reset-calls", &Value::Null)?;
        self.call("POST", "/faults", fault).map(drop)
    }

    /// One call of the control API. HTTP/1.0 is all it takes: the answer ends with the connection.
    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let address = self.control().trim_start_matches("http://");
        let body = body.to_string();
        let request = format!("{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let exchange = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(Failure::io("call", Path::new(self.control())))?;
        let problem = || Failure::FakeAuth0 { problem: format!("answered {method} {path} with {answer:?}") };
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(problem)?;
        if head.split(' ').nth(1) != Some("200") {
            return Err(problem());
        }
        serde_json::from_str(body).map_err(|_| problem())
    }
}

/// The address of the control API in what it said when it was ready.
pub(crate) fn control_of(ready: &Value) -> &str {
    ready["control"].as_str().unwrap_or_default()
}

/// The line that says that it is ready, once it is complete.
fn ready_line(log: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(log).ok()?;
    let complete = text.lines().zip(text.split_inclusive('\n')).filter(|(_, whole)| whole.ends_with('\n'));
    complete.map(|(line, _)| line).find_map(|line| serde_json::from_str(line).ok())
}
