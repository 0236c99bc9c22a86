//! The network between the processes of the operator and Auth0.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rescind::auth0::{
    Answer, CallError, Endpoint, Item, ManagementApi, Page, Query, RateHeaders, Read, Token, TokenRequest,
};

use crate::auth0::{Fault, Millis, Wire};
use crate::process::Drawn;
use crate::reports::Report;
use crate::world::{Inner, World};

/// A call on its way.
struct Sent {
    token: u64,
    at: Millis,
    /// The last report about its bucket that the process had received.
    report: Option<Report>,
    latency: Millis,
    fault: Option<Fault>,
    hangs: bool,
}

/// The network between a process of the operator and one domain.
pub struct Wires {
    pub world: Arc<World>,
    pub domain: String,
    /// The number of the process.
    pub process: usize,
}

impl std::fmt::Debug for Wires {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.domain)
    }
}

impl ManagementApi for Wires {
    fn remove<'a>(
        &'a self,
        token: &'a Token,
        endpoint: &'a Endpoint,
        items: &'a [Item],
        _: &'a str,
    ) -> BoxFuture<'a, Answer<()>> {
        async move {
            let answer = self.send(token, Wire::Delete(endpoint.clone(), items.to_vec())).await;
            Answer { limits: answer.limits, outcome: answer.outcome.map(drop) }
        }
        .boxed()
    }

    fn page<'a>(&'a self, token: &'a Token, read: &'a Read, query: &'a Query) -> BoxFuture<'a, Answer<Page>> {
        self.send(token, Wire::Get(read.clone(), query.to_vec())).boxed()
    }

    fn token<'a>(&'a self, _: &'a TokenRequest<'a>) -> BoxFuture<'a, Answer<Token>> {
        unreachable!("every tenant has a token")
    }
}

impl Wires {
    async fn send(&self, token: &Token, wire: Wire) -> Answer<Page> {
        let sent = self.leaves(self.world.tokens[&token.fingerprint()], &wire);
        tokio::time::sleep(Duration::from_millis(sent.latency / 2)).await;
        let arrived = self.world.now();
        let (mut limits, mut outcome) = self.arrives(&sent, &wire);
        if sent.hangs {
            tokio::time::sleep(Duration::from_secs(30)).await;
            (limits, outcome) = (RateHeaders::default(), Err(CallError::no_answer("no answer in time")));
        } else {
            tokio::time::sleep(Duration::from_millis(sent.latency - sent.latency / 2)).await;
        }
        self.answered(&sent, &wire, &outcome, (arrived, limits.limit.is_some()));
        Answer { limits, outcome }
    }

    /// A call leaves the process.
    fn leaves(&self, token: u64, wire: &Wire) -> Sent {
        self.world.step();
        let (at, plan) = (self.world.now(), &self.world.plan);
        let mut inner = self.world.inner();
        let Inner { books, cluster, wall, auth0, rng, coverage, is_calm, .. } = &mut *inner;
        let process = &mut books.processes[self.process];
        let mut violations = process.call_leaves(&self.domain, token, at);
        let report = process.reports.of(&self.domain, wire);
        if let Wire::Get(Read::Answer(question), _) = wire {
            process.asks(&self.domain, token, question);
        }
        if let Wire::Delete(endpoint, items) = wire {
            let (times, passed) = process.passes_over(&self.domain, token, endpoint, plan.namespaces);
            coverage.count("passed over", &times.to_string());
            violations.extend(passed);
            let version = process.version;
            let time = (at, wall.at(at));
            books.delete_leaves(cluster, &auth0[&self.domain], (token, version), (endpoint, items), time);
        }
        violations.into_iter().for_each(|(promise, what)| books.violated(promise, at, what));
        let latency = rng.u64(plan.latency.0..=plan.latency.1);
        let sent = Sent { token, at, report, latency, fault: None, hangs: false };
        if *is_calm {
            return sent;
        }
        let is_get = matches!(wire, Wire::Get(..));
        let fits = |fault: &Fault| *fault != Fault::Paging || is_get;
        let fault = plan.faults.iter().find(|(fault, percent)| fits(fault) && rng.u64(..100) < *percent);
        let fault = fault.map(|(fault, _)| *fault);
        if let Some(fault) = fault {
            coverage.count("fault", &format!("{fault:?}"));
        }
        let hangs = matches!(fault, Some(Fault::Forgets | Fault::Refuses)) && rng.u8(..4) == 0;
        Sent { fault, hangs, ..sent }
    }

    fn arrives(&self, sent: &Sent, wire: &Wire) -> (RateHeaders, Result<Page, CallError>) {
        if let Some(outcome) = self.world.script.as_ref().and_then(|script| script(wire)) {
            return (RateHeaders::default(), outcome);
        }
        let (at, plan) = (self.world.now(), &self.world.plan);
        let mut inner = self.world.inner();
        let Inner { books, auth0, coverage, .. } = &mut *inner;
        let auth0 = auth0.get_mut(&self.domain).unwrap();
        let answer = auth0.call((self.process, sent.token), wire, sent.fault, at, plan.skew);
        if let Some((below, per_second)) = auth0.below_reserve(plan.reserve, at) {
            for (_, other) in books.processes.iter_mut().enumerate().filter(|(n, _)| *n != self.process) {
                other.reports.other_drew(&self.domain, at);
            }
            let drawn = Drawn { domain: &self.domain, report: sent.report, left: sent.at, at, per_second };
            if let Some(allowed) = books.processes[self.process].allowed(&drawn) {
                coverage.count("reserve touched", &format!("{}", below.max(0.0).ceil()));
                if below > allowed {
                    let what = format!("{below} tokens of the reserve of {} are taken, and not {allowed}", self.domain);
                    books.violated(10, at, what);
                }
            }
        }
        answer
    }

    /// The answer is with the process. The call `arrived` at Auth0 at this time, and the answer `reports` the limit.
    fn answered(
        &self,
        sent: &Sent,
        wire: &Wire,
        outcome: &Result<Page, CallError>,
        (arrived, reports): (Millis, bool),
    ) {
        let at = self.world.now();
        let mut inner = self.world.inner();
        let Inner { books, coverage, tells, .. } = &mut *inner;
        if *tells {
            println!("{at} process {} {} token {} {wire:?}: {outcome:?}", self.process, self.domain, sent.token);
        }
        if let (Err(CallError::Unavailable(_)), Wire::Delete(endpoint, items)) = (outcome, wire) {
            books.outcome_unknown(&self.domain, endpoint, items, at);
        }
        if let Err(error) = outcome {
            let name = format!("{error:?}");
            coverage.count("answer", name.split(['(', ' ', '{']).next().unwrap());
        }
        let process = &mut books.processes[self.process];
        process.reports.received(&self.domain, wire, (sent.at, arrived, at), reports);
        process.answered(&self.domain, sent.token, wire, outcome.as_ref().err(), at);
    }
}
