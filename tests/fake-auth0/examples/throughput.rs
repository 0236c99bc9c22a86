//! Measures how many calls a second the stand-in answers per core: `cargo run --release -p fake-auth0 --example
//! throughput`.
//!
//! The server runs on one thread; what counts is the time that thread spent on a CPU, not the time the clients took.

use std::{
    io::Write,
    sync::mpsc,
    time::{Duration, Instant},
};

use fake_auth0::{FakeAuth0, Kind};
use futures::future::join_all;
use reqwest::{Client, Method};
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

const CALLS: usize = 40_000;
const AT_ONCE: usize = 64;
const ROLE: &str = "rol_0123456789abcdef";
const ORGANIZATION: &str = "org_0123456789abcdef";

/// The CPU time of this thread.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

/// Serves on a thread of its own, which answers every message with the CPU time spent so far.
fn server() -> Result<(FakeAuth0, mpsc::Sender<mpsc::Sender<Duration>>), Failure> {
    let (started, start) = mpsc::channel();
    let (questions, asked) = mpsc::channel::<mpsc::Sender<Duration>>();
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let fake = FakeAuth0::start().await;
            fake.edit(|s| {
                s.organization(ORGANIZATION).numbered_members("auth0|m", 10_000);
            });
            fake.counts_only(true);
            let _ = started.send(fake);
            while let Ok(answer) = asked.try_recv().or_else(|error| match error {
                mpsc::TryRecvError::Empty => Ok(mpsc::channel().0),
                error @ mpsc::TryRecvError::Disconnected => Err(error),
            }) {
                let _ = answer.send(cpu());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    });
    Ok((start.recv()?, questions))
}

fn main() -> Result<(), Failure> {
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a provider is installed already")?;
    let (fake, questions) = server()?;
    let spent = || -> Result<Duration, Failure> {
        let (answer, wait) = mpsc::channel();
        questions.send(answer)?;
        Ok(wait.recv()?)
    };
    let ca = reqwest::Certificate::from_pem(fake.ca_pem().as_bytes())?;
    let token = fake.token(&fake.all_scopes());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (name, http1) in [("HTTP/2", false), ("HTTP/1.1", true)] {
        let builder = Client::builder().tls_certs_only([ca.clone()]);
        let client = if http1 { builder.http1_only() } else { builder }.build()?;
        for kind in [Kind::DeleteUserRoles, Kind::GetMembers] {
            let (began, before) = (Instant::now(), spent()?);
            runtime.block_on(load(&client, &fake, &token, kind))?;
            let (took, on_cpu) = (began.elapsed(), spent()? - before);
            let per_second = |time: Duration| (CALLS as f64 / time.as_secs_f64()) as u64;
            writeln!(
                std::io::stdout(),
                "{name:9} {kind:?}: {} calls/s of server CPU, {} calls/s seen by the client",
                per_second(on_cpu),
                per_second(took)
            )?;
        }
    }
    Ok(())
}

async fn load(client: &Client, fake: &FakeAuth0, token: &str, kind: Kind) -> Result<(), reqwest::Error> {
    let one = async |worker: usize| {
        for number in 0..CALLS / AT_ONCE {
            let user = (worker * CALLS / AT_ONCE + number) % 10_000;
            let request = if kind == Kind::DeleteUserRoles {
                let url = fake.url(&format!("/api/v2/users/auth0%7Cm{user:05}/roles"));
                client.request(Method::DELETE, url).json(&json!({"roles": [ROLE]}))
            } else {
                let path = format!("/api/v2/organizations/{ORGANIZATION}/members?per_page=10&page={}", user % 100);
                client.get(fake.url(&path))
            };
            request.bearer_auth(token).send().await?.error_for_status()?.bytes().await?;
        }
        Ok(())
    };
    join_all((0..AT_ONCE).map(one)).await.into_iter().collect()
}
