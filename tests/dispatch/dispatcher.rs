//! The dispatcher itself, with its tasks, on tokio's paused clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use rescind::auth0::{Answer, Endpoint, Item, ManagementApi, Page, Query, Read, Token, TokenRequest};
use rescind::dispatch::{
    Connection, ConnectionKey, DeleteFinished, Dispatcher, End, History, Job, Limits, Observer, Owner, Preflight,
    Purpose, Refusal, Removal, Report, RequestFinished, Task, View,
};

use crate::sim::{connection, domain};

/// Accepts everything and shows nothing.
#[derive(Debug)]
struct Accepting;

impl ManagementApi for Accepting {
    fn remove<'a>(&'a self, _: &'a Token, _: &'a Endpoint, _: &'a [Item], _: &'a str) -> BoxFuture<'a, Answer<()>> {
        async { Answer { limits: Default::default(), outcome: Ok(()) } }.boxed()
    }

    fn page<'a>(&'a self, _: &'a Token, read: &'a Read, _: &'a Query) -> BoxFuture<'a, Answer<Page>> {
        let page = serde_json::json!({ read.list_key(): [], "start": 0, "total": 0 });
        async { Answer { limits: Default::default(), outcome: Ok(page) } }.boxed()
    }

    fn token<'a>(&'a self, _: &'a TokenRequest<'a>) -> BoxFuture<'a, Answer<Token>> {
        unreachable!("the token stands in the Secret")
    }
}

/// Lets everything be sent, but panics in one of its methods about an object named `bad`, as long as that was seldom.
struct Checks {
    panics: In,
    of_bad: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Check,
    Recheck,
    None,
}

impl Checks {
    fn panic_if(&self, place: In, owner: &Owner) {
        let is_bad = self.panics == place && &*owner.name == "bad";
        assert!(!is_bad || self.of_bad.fetch_add(1, Ordering::Relaxed) > 1_000, "a bug");
    }
}

fn ready() -> Connection {
    let token = Token::read(b"e30.e30.1", "any", Timestamp::UNIX_EPOCH).unwrap();
    Connection {
        key: connection(1),
        domain: domain(),
        client: Arc::new(Accepting),
        credential: Arc::new(token),
        tenant: "ns/default".into(),
        limits: Limits { max_per_second: 100.0, reserve_percent: 0.0 },
    }
}

impl Preflight for Checks {
    fn check<'a>(&'a self, owner: &'a Owner, _: Purpose) -> BoxFuture<'a, Result<Connection, Refusal>> {
        async move {
            self.panic_if(In::Check, owner);
            Ok(ready())
        }
        .boxed()
    }

    fn recheck(&self, owner: &Owner, _: Purpose) -> Result<ConnectionKey, Refusal> {
        self.panic_if(In::Recheck, owner);
        Ok(connection(1))
    }

    fn may_send(&self) -> bool {
        true
    }
}

fn job(name: &str) -> Job {
    let owner = Owner { kind: "K", namespace: "ns".into(), name: name.into(), uid: name.into(), generation: 1 };
    let endpoint = Endpoint::UserRoles { user: "auth0|jane".into() };
    let removal = Removal { endpoint, items: vec![Item::Id(format!("rol_{name}").into())] };
    Job { owner, removal, task: Task::Remove { before: false, after: true }, history: History::default() }
}

async fn report(dispatcher: &Dispatcher, uid: &str) -> Report {
    loop {
        match dispatcher.view(uid) {
            View::Ended { report, .. } => return *report,
            View::Pending { .. } => tokio::time::sleep(Duration::from_millis(50)).await,
            View::Absent => panic!("{uid} is forgotten"),
        }
    }
}

/// Panics whenever it is told of a call.
struct Panicking;

impl Observer for Panicking {
    fn request_finished(&self, _: &RequestFinished<'_>) {
        panic!("a bug");
    }

    fn delete_finished(&self, _: &DeleteFinished<'_>) {}

    fn owner_gone(&self, _: &Owner, _: &Report) {}

    fn guard_refused(&self, _: &Owner, _: &str) {}

    fn task_restarted(&self) {}
}

/// A bug in what is told of calls stops no removal.
#[tokio::test(start_paused = true)]
async fn an_observer_that_always_panics_changes_no_verdict() {
    let checks = Checks { panics: In::None, of_bad: Arc::default() };
    let (dispatcher, _woken) = Dispatcher::new(Arc::new(checks), Arc::new(Panicking));
    dispatcher.submit(&ready(), job("good"));
    let report = report(&dispatcher, "good");
    let report = tokio::time::timeout(Duration::from_secs(60), report).await.expect("a report");
    assert_eq!((report.end, report.accepted.len()), (End::Gone, 1));
    dispatcher.close().await;
}

/// A bug that panics at each check of an object hands that one back, and stops none of those that share its call.
#[tokio::test(start_paused = true)]
async fn a_check_that_panics_stops_no_other_object() {
    for panics in [In::Check, In::Recheck] {
        let checks = Checks { panics, of_bad: Arc::default() };
        let of_bad = checks.of_bad.clone();
        let (dispatcher, _woken) = Dispatcher::new(Arc::new(checks), Arc::new(()));
        dispatcher.submit(&ready(), job("bad"));
        dispatcher.submit(&ready(), job("good"));
        let good = tokio::time::timeout(Duration::from_secs(60), report(&dispatcher, "good")).await.expect("a report");
        assert_eq!(good.end, End::Gone);
        assert_eq!(report(&dispatcher, "bad").await.end, End::HandedBack(Refusal::Unconfirmed));
        assert_eq!(of_bad.load(Ordering::Relaxed), 1, "how often it panicked");
        dispatcher.close().await;
    }
}
