//! The client to compare with: a script that makes one DELETE for each person and one read to verify it, ten at a time, each
//! tried three times as the official Node SDK does (auth0-api.md 4.4).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rescind::auth0::{CallError, Client, Domain, Endpoint, Item, Read, Timeouts, Token, Walk};

use crate::progress;
use crate::tenant::{NAIVE, Tenant, member};

const WORKERS: usize = 10;
const ATTEMPTS: usize = 3;
const LONGEST: Duration = Duration::from_secs(60);

pub struct Cost {
    pub objects: usize,
    pub deletes: usize,
    pub calls: usize,
    pub limited: usize,
    pub lost: usize,
    pub seconds: f64,
}

pub async fn offboard(tenant: &Tenant<'_>, objects: usize) -> Cost {
    progress(&format!("{objects} people leave, a call each"));
    tenant.fake.reset_calls();
    tenant.refill();
    let domain = tenant.fake.domain().parse::<Domain>().expect("a domain");
    let client = Client::new(&domain, Some(tenant.fake.ca_pem().as_bytes()), Timeouts::default()).expect("a client");
    let token = Token::read(
        tenant.fake.token(&tenant.fake.all_scopes()).as_bytes(),
        tenant.fake.audience(),
        jiff::Timestamp::now(),
    )
    .expect("a token");
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        let (client, token, next) = (client.clone(), token.clone(), next.clone());
        workers.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= objects {
                    return;
                }
                one(&client, &token, n).await;
            }
        });
    }
    workers.join_all().await;
    let calls = tenant.fake.calls();
    let deletes: Vec<_> = calls.iter().filter(|call| call.method == http::Method::DELETE).collect();
    let state = tenant.fake.state();
    Cost {
        objects,
        deletes: deletes.len(),
        calls: calls.len(),
        limited: calls.iter().filter(|call| call.status() == Some(429)).count(),
        lost: (0..objects).filter(|n| state.is_member(NAIVE, &member(NAIVE, *n))).count(),
        seconds: deletes.last().unwrap().at.duration_since(deletes[0].at).as_secs_f64(),
    }
}

async fn one(client: &Client, token: &Token, n: usize) {
    let endpoint = Endpoint::OrganizationMembers { organization: NAIVE.into() };
    let user: Arc<str> = member(NAIVE, n).into();
    for _ in 0..ATTEMPTS {
        match client.remove(token, &endpoint, &[Item::Id(user.clone())], "script").await.outcome {
            Err(CallError::RateLimited(wait)) => tokio::time::sleep(wait.min(LONGEST)).await,
            _ => break,
        }
    }
    let walk = Walk::new(Read::UserOrganizations { user }, [Item::Id(NAIVE.into())].into());
    for _ in 0..ATTEMPTS {
        match client.page(token, walk.read(), &walk.query()).await.outcome {
            Err(CallError::RateLimited(wait)) => tokio::time::sleep(wait.min(LONGEST)).await,
            _ => break,
        }
    }
}
