//! A model of Auth0 on a virtual clock: relations, token buckets, lagging lists, refused credentials, faults. It was
//! written without looking at the dispatcher and shares nothing with it but the calls and their answers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use rescind::auth0::{Answer, CallError, Endpoint, Item, Missing, Page, Question, RateHeaders, Read, Rejection};
use serde_json::{Value, json};

/// Auth0's clock starts here, in seconds since the epoch.
const EPOCH: f64 = 1_800_000_000.0;
const PAGE: usize = 50;

/// A token bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub burst: f64,
    pub refill: f64,
    pub reported: bool,
    pub level: f64,
    at: f64,
    /// The lowest level after one of our calls.
    pub lowest: f64,
}

impl Bucket {
    pub fn new(burst: f64, refill: f64) -> Self {
        Self { burst, refill, reported: true, level: burst, at: 0.0, lowest: burst }
    }

    pub fn hidden(mut self) -> Self {
        self.reported = false;
        self
    }

    pub fn advance(&mut self, to: f64) {
        self.level = (self.level + (to - self.at).max(0.0) * self.refill).min(self.burst);
        self.at = self.at.max(to);
    }

    pub fn resize(&mut self, burst: f64, refill: f64) {
        (self.burst, self.refill, self.level) = (burst, refill, self.level.min(burst));
    }

    fn headers(&self, skew: f64) -> RateHeaders {
        let full = self.at + (self.burst - self.level) / self.refill;
        RateHeaders {
            limit: Some(self.burst as u64),
            remaining: Some(self.level.max(0.0).floor() as u64),
            reset: Some((EPOCH + skew + full).ceil() as i64),
            date: Some((EPOCH + skew + self.at).floor() as i64),
            retry_after: None,
        }
    }
}

/// What may go wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A 5xx; nothing is done.
    Refuses,
    /// The call is carried out, but its answer is a 5xx or lost.
    Forgets,
    /// A 429 without an empty bucket, which names this many seconds.
    Limits(u64),
    /// The call is not sent.
    Stays,
    /// The peer says that it did not process the call.
    Declines,
    /// A page of the wrong form; a DELETE is not affected.
    Garbles,
    /// A page is refused, as with a cursor that has expired; a DELETE is not affected.
    Rejects,
}

/// The tenant.
#[derive(Clone, Debug, Default)]
pub struct Auth0 {
    pub held: HashMap<Endpoint, BTreeSet<Item>>,
    organizations: HashMap<String, BTreeSet<String>>,
    /// Removed members with the time of removal: their list still shows them for a while.
    ghosts: HashMap<Endpoint, BTreeMap<Item, f64>>,
    /// Seconds that a member list lags behind.
    pub lag: f64,
    /// Items whose DELETE is answered with 400, whatever else the call names.
    pub poison: HashSet<Item>,
    /// Items whose DELETE makes Auth0 fail with 500.
    pub crashing: HashSet<Item>,
    /// Items that Auth0 does not know: 404, with a code that says which, or without.
    pub unknown: HashMap<Item, Missing>,
    /// Numbers of the credentials that are refused. Those in `throttled` get a 429 with this many seconds for every
    /// call.
    pub refused: HashSet<u64>,
    pub throttled: HashMap<u64, u64>,
    /// All reads are refused for lack of a scope.
    pub unreadable: bool,
    pub buckets: Vec<Bucket>,
    /// The buckets that each kind of call draws from, by method and template, in the order in which they are checked.
    pub drawn: HashMap<(&'static str, &'static str), Vec<usize>>,
    /// Our clock minus Auth0's, in seconds.
    pub skew: f64,
    pub calls: HashMap<&'static str, u64>,
    pub limited: u64,
}

/// The query that selects a page.
pub type Query = Vec<(&'static str, String)>;

/// A call on the wire.
#[derive(Clone, Debug)]
pub enum Wire {
    Delete(Endpoint, Vec<Item>),
    Get(Read, Query),
}

impl Wire {
    pub fn name(&self) -> (&'static str, &'static str) {
        match self {
            Self::Delete(endpoint, _) => ("DELETE", endpoint.template()),
            Self::Get(read, _) => ("GET", read.template()),
        }
    }
}

const UNKNOWN: CallError = CallError::NotFound(Missing::Unclear);

fn unavailable() -> CallError {
    CallError::no_answer("Auth0 failed (5xx)")
}

impl Auth0 {
    pub fn give(&mut self, endpoint: &Endpoint, item: Item) {
        if let (Endpoint::OrganizationMembers { organization }, Item::Id(user)) = (endpoint, &item) {
            self.organizations.entry(user.to_string()).or_default().insert(organization.to_string());
        }
        self.held.entry(endpoint.clone()).or_default().insert(item);
    }

    /// Somebody ends a membership; with `listed`, the user's own list still shows it.
    pub fn leave(&mut self, organization: &Endpoint, user: &Item, listed: bool) {
        self.held.get_mut(organization).map(|members| members.remove(user));
        if let (Endpoint::OrganizationMembers { organization }, Item::Id(user), false) = (organization, user, listed) {
            self.organizations.get_mut(&**user).map(|of| of.remove(&**organization));
        }
    }

    pub fn holds(&self, endpoint: &Endpoint, item: &Item) -> bool {
        self.held.get(endpoint).is_some_and(|items| items.contains(item))
    }

    /// Takes a token from each bucket; returns the headers, or those of the refusal.
    fn draw(&mut self, name: (&'static str, &'static str), now: f64) -> Result<RateHeaders, RateHeaders> {
        let drawn = self.drawn.get(&name).cloned().unwrap_or_default();
        for n in &drawn {
            self.buckets[*n].advance(now);
        }
        if let Some(empty) = drawn.iter().find(|n| self.buckets[**n].level < 1.0) {
            let bucket = &self.buckets[*empty];
            return Err(if bucket.reported { bucket.headers(self.skew) } else { RateHeaders::default() });
        }
        let mut headers = RateHeaders::default();
        for n in &drawn {
            let bucket = &mut self.buckets[*n];
            bucket.level -= 1.0;
            bucket.lowest = bucket.lowest.min(bucket.level);
            if bucket.reported {
                headers = bucket.headers(self.skew);
            }
        }
        Ok(headers)
    }

    /// A call by another client; whether it got through.
    pub fn competitor(&mut self, name: (&'static str, &'static str), now: f64) -> bool {
        let lowest: Vec<f64> = self.buckets.iter().map(|bucket| bucket.lowest).collect();
        let drawn = self.draw(name, now).is_ok();
        for (bucket, lowest) in self.buckets.iter_mut().zip(lowest) {
            bucket.lowest = lowest;
        }
        drawn
    }

    /// One of our calls, with this credential, arriving now.
    pub fn call(&mut self, wire: &Wire, credential: u64, fault: Option<Fault>, now: f64) -> Answer<Page> {
        let nothing = |error| Answer { limits: RateHeaders::default(), outcome: Err(error) };
        match fault {
            Some(Fault::Stays) => return nothing(CallError::NotSent("no route to Auth0")),
            Some(Fault::Declines) => return nothing(CallError::NotProcessed),
            _ => {}
        }
        *self.calls.entry(wire.name().0).or_default() += 1;
        if self.refused.contains(&credential) {
            return nothing(CallError::Unauthorized("401: the token is not valid"));
        }
        if let Some(seconds) = self.throttled.get(&credential) {
            return nothing(CallError::RateLimited(Duration::from_secs(*seconds)));
        }
        let limits = match self.draw(wire.name(), now) {
            Ok(limits) => limits,
            Err(limits) => return self.limit(limits),
        };
        if let Some(Fault::Limits(seconds)) = fault {
            let reset = limits.date.map(|date| date + seconds as i64 + 1);
            let retry_after = reset.is_none().then_some(seconds as i64);
            return self.limit(RateHeaders { reset, retry_after, remaining: Some(0), ..limits });
        }
        if fault == Some(Fault::Refuses) {
            return Answer { limits, outcome: Err(unavailable()) };
        }
        let outcome = match wire {
            Wire::Get(..) if fault == Some(Fault::Garbles) => Ok(json!({"what": "is this"})),
            Wire::Get(..) if fault == Some(Fault::Rejects) => Err(CallError::Rejected(Rejection::Other(400))),
            Wire::Get(..) if self.unreadable => Err(CallError::InsufficientScope("read:something".to_owned())),
            Wire::Delete(endpoint, items) => self.delete(endpoint, items, now).map(|()| Value::Null),
            Wire::Get(read, query) => self.page(read, query, now),
        };
        let outcome = if fault == Some(Fault::Forgets) { Err(unavailable()) } else { outcome };
        Answer { limits, outcome }
    }

    fn limit(&mut self, limits: RateHeaders) -> Answer<Page> {
        self.limited += 1;
        let now = jiff::Timestamp::from_second(EPOCH as i64).unwrap();
        let wait = rescind::auth0::wait_after_429(&limits, now, 0.0);
        Answer { limits, outcome: Err(CallError::RateLimited(wait)) }
    }

    fn delete(&mut self, endpoint: &Endpoint, items: &[Item], now: f64) -> Result<(), CallError> {
        assert!(!items.is_empty() && items.len() <= endpoint.max_items(), "{} items in a call", items.len());
        assert_eq!(items.iter().collect::<HashSet<_>>().len(), items.len(), "an item named twice in a call");
        if items.iter().any(|item| self.crashing.contains(item)) {
            return Err(unavailable());
        }
        if items.iter().any(|item| self.poison.contains(item)) {
            return Err(CallError::Rejected(Rejection::Body));
        }
        let Some(held) = self.held.get_mut(endpoint) else { return Err(UNKNOWN) };
        if let Some(what) = items.iter().find_map(|item| self.unknown.get(item)) {
            return Err(CallError::NotFound(*what));
        }
        for item in items.iter().filter(|item| held.remove(item)) {
            if let (Endpoint::OrganizationMembers { organization }, Item::Id(user)) = (endpoint, item) {
                self.organizations.get_mut(&**user).map(|of| of.remove(&**organization));
                self.ghosts.entry(endpoint.clone()).or_default().insert(item.clone(), now);
            }
        }
        Ok(())
    }

    /// What is asked besides: no API and no organization is set up in any special way.
    fn answer(&self, question: &Question) -> Result<Page, CallError> {
        match question {
            Question::ApiSettings { identifier } if **identifier != *"unknown" => {
                Ok(json!({"identifier": **identifier, "enforce_policies": true, "token_lifetime": 86400}))
            }
            Question::LoginMembership { .. } => Ok(json!({"enabled_connections": [], "start": 0, "total": 0})),
            Question::MemberCount { .. } => Ok(json!({"members": [], "start": 0, "total": 7})),
            Question::RoleHolders { .. } => Ok(json!({"users": [{"user_id": "auth0|holder"}]})),
            Question::ApiSettings { .. } => Err(UNKNOWN),
        }
    }

    fn page(&mut self, read: &Read, query: &[(&'static str, String)], now: f64) -> Result<Page, CallError> {
        let of = |key: &str| query.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str());
        match read {
            Read::List(endpoint @ Endpoint::OrganizationMembers { .. }) => {
                let held = self.held.get(endpoint).ok_or(UNKNOWN)?;
                let ghosts = self.ghosts.entry(endpoint.clone()).or_default();
                let lag = self.lag;
                ghosts.retain(|_, gone| *gone > now - lag);
                let from = of("from").map(|from| Item::Id(from.into()));
                let after = |item: &&Item| from.as_ref().is_none_or(|from| *item > from);
                let mut shown: Vec<&Item> = match &from {
                    Some(from) => {
                        let bound = (std::ops::Bound::Excluded(from), std::ops::Bound::Unbounded);
                        held.range::<Item, _>(bound).take(PAGE + 1).collect()
                    }
                    None => held.iter().take(PAGE + 1).collect(),
                };
                shown.extend(ghosts.keys().filter(after));
                shown.sort_unstable();
                shown.dedup();
                let more = shown.len() > PAGE;
                shown.truncate(PAGE);
                let members: Vec<Value> = shown.iter().map(|item| json!({"user_id": text(item)})).collect();
                let next = shown.last().filter(|_| more).map(|item| text(item));
                Ok(json!({"members": members, "next": next}))
            }
            Read::List(endpoint) => {
                let held = self.held.get(endpoint).ok_or(UNKNOWN)?;
                let entry = |item: &Item| match item {
                    Item::Id(id) => json!({"id": **id}),
                    Item::Permission { resource_server, name } => {
                        json!({"resource_server_identifier": **resource_server, "permission_name": **name})
                    }
                };
                Ok(offset_page(held.iter().map(entry), held.len(), of("page"), read.list_key()))
            }
            Read::Answer(question) => self.answer(question),
            Read::Lookup(_) => panic!("only people look something up"),
            Read::UserOrganizations { user } => {
                let of_user = self.organizations.get(&**user).ok_or(UNKNOWN)?;
                let entries = of_user.iter().map(|id| json!({"id": id}));
                Ok(offset_page(entries, of_user.len(), of("page"), read.list_key()))
            }
        }
    }
}

fn text(item: &Item) -> String {
    match item {
        Item::Id(id) => id.to_string(),
        Item::Permission { name, .. } => name.to_string(),
    }
}

fn offset_page(all: impl Iterator<Item = Value>, total: usize, page: Option<&str>, key: &str) -> Value {
    let start = page.and_then(|page| page.parse::<usize>().ok()).unwrap_or(0) * PAGE;
    json!({key: all.skip(start).take(PAGE).collect::<Vec<_>>(), "start": start, "total": total, "limit": PAGE})
}

/// A duration as seconds.
pub fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
