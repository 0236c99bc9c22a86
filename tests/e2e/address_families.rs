//! The operator on hosts with one address family, in network namespaces of their own: it serves at every address that
//! the host has. (What the sockets do: src/telemetry/http.rs. Auth0 at an IPv6 address: gateways.rs.)

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::*;
use crate::process::{Process, allows, in_namespaces};

const WITHOUT_IPV6: &str = "ip link set lo up && echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6";
const WITHOUT_IPV4: &str = "ip link set lo up && ip address del 127.0.0.1/8 dev lo";

/// Sends a request to `address`, as bash writes it, in the namespaces of a process.
fn get(pid: u32, address: &str, path: &str) -> String {
    let ask = format!("exec 3<>/dev/tcp/{address} && printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3");
    let mut enter = Command::new("nsenter");
    enter.args(["--user", "--net", "--preserve-credentials", "--target", &pid.to_string(), "bash", "-c", &ask]);
    String::from_utf8_lossy(&enter.output().unwrap().stdout).into_owned()
}

/// Probes and metrics answer at `here`, and the host has no `other` address.
async fn serves(setup: &str, here: &str, other: &str) {
    if let Err(why) = allows(&["--net"], setup) {
        return eprintln!("skipped: {why}");
    }
    let args = ["--health-probe-bind-address", ":8081", "--metrics-bind-address", ":8080", "--namespace", "default"];
    // The API server is in another network, so the operator waits for it.
    let operator = Process::run_as(in_namespaces(&["--net"], setup), plane().kubeconfig_path(), &args);
    let started = Instant::now();
    for (port, path) in [(8081, "/healthz"), (8080, "/metrics")] {
        while !get(operator.id(), &format!("{here}/{port}"), path).contains("200 OK") {
            assert!(started.elapsed() < PATIENCE, "no answer at {here}: {}", operator.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(get(operator.id(), &format!("{other}/8081"), "/healthz"), "", "the host has {other} after all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_ipv6() {
    serves(WITHOUT_IPV6, "127.0.0.1", "::1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_ipv4() {
    serves(WITHOUT_IPV4, "::1", "127.0.0.1").await;
}
