//! A model of Auth0 on a virtual clock: who holds what, tokens and scopes, token buckets, lists that lag, and faults on
//! the way. It was written from Auth0's documentation, without looking at the operator, and shares nothing with it but
//! the calls and their answers.

mod lists;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rescind::auth0::{CallError, Endpoint, Item, Missing, RateHeaders, Read, Rejection, Unavailable};
use serde_json::Value;

use crate::plan::{Plan, Switches};

/// Virtual time in milliseconds since the world began.
pub type Millis = u64;
/// Auth0's clock at the beginning, in seconds since the epoch.
pub const EPOCH: i64 = 1_800_000_000;

/// One tenant of Auth0, behind one domain.
#[derive(Debug)]
pub struct Tenant {
    pub domain: String,
    pub switches: Switches,
    pub users: BTreeSet<String>,
    pub organizations: BTreeSet<String>,
    pub roles: BTreeSet<String>,
    pub apis: BTreeSet<String>,
    /// What is held now at every endpoint, and since when.
    held: BTreeMap<(Endpoint, Item), Millis>,
    /// Every change of a membership: time, organization, user, whether it is held now. Lagging lists look up the past
    /// here.
    changes: Vec<(Millis, String, String, bool)>,
    pub lag: Millis,
    pub tokens: HashMap<u64, Token>,
    bucket: Option<Bucket>,
    cursors: HashMap<String, Cursor>,
    /// The lists with numbered pages that somebody is reading. A process reads such a list once at a time.
    walks: HashMap<(Client, Read), Walked>,
    /// Items that another program gives back as soon as they are removed.
    pub sticky: BTreeSet<(Endpoint, Item)>,
    pub log: Log,
    ids: u64,
}

/// Who calls: the number of a process, and that of the credential that it uses.
pub type Client = (usize, u64);

/// A credential as Auth0 knows it.
#[derive(Clone, Debug)]
pub struct Token {
    pub valid: bool,
    pub scopes: BTreeSet<&'static str>,
}

#[derive(Debug)]
struct Bucket {
    limit: f64,
    per_second: f64,
    reported: bool,
    level: f64,
    at: Millis,
}

#[derive(Debug)]
struct Cursor {
    read: Read,
    after: String,
    /// The pages before this one, if they reached the client.
    walked: Option<Walked>,
}

/// A list in the middle of being read: the pages delivered so far.
#[derive(Clone, Debug)]
struct Walked {
    began: Millis,
    seen: BTreeSet<Item>,
}

/// The record by which verdicts are checked.
#[derive(Debug, Default)]
pub struct Log {
    /// Every DELETE that was carried out.
    pub deletes: Vec<Deleted>,
    /// Lists that were read to their end: when the first page was requested, and what they showed.
    pub reads: Vec<Complete>,
    /// Every page that was delivered: when it was requested, and what it showed.
    pub pages: Vec<Complete>,
    pub calls: u64,
    pub limited: u64,
}

#[derive(Clone, Debug)]
pub struct Deleted {
    pub at: Millis,
    pub endpoint: Endpoint,
    pub items: Vec<Item>,
}

#[derive(Clone, Debug)]
pub struct Complete {
    pub began: Millis,
    pub read: Read,
    pub seen: BTreeSet<Item>,
}

/// A call on the wire.
#[derive(Clone, Debug)]
pub enum Wire {
    Delete(Endpoint, Vec<Item>),
    Get(Read, Vec<(&'static str, String)>),
}

/// The fault of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// A 5xx; nothing is done.
    Refuses,
    /// The call is carried out, but its answer is a 5xx or lost.
    Forgets,
    /// A gateway answers in HTML; the call does not reach Auth0.
    Html,
    /// The connection cannot be made.
    NotSent,
    /// The peer says that it did not process the call.
    NotProcessed,
    /// A 429 although the bucket is not empty.
    Limits,
    /// A 403 for another reason than scopes.
    Denied,
    /// The page of a list is refused with an error about paging.
    Paging,
}

impl Fault {
    pub const ALL: [Self; 8] = [
        Self::Refuses,
        Self::Forgets,
        Self::Html,
        Self::NotSent,
        Self::NotProcessed,
        Self::Limits,
        Self::Denied,
        Self::Paging,
    ];
}

pub type Outcome = Result<Value, CallError>;

const fn failed(status: u16) -> CallError {
    CallError::Unavailable(Unavailable { status: Some(status), what: "Auth0 failed" })
}

impl Tenant {
    pub fn new(domain: &str, plan: &Plan) -> Self {
        let bucket = plan.bucket.map(|(limit, per_second, reported)| Bucket {
            limit,
            per_second,
            reported,
            level: limit,
            at: 0,
        });
        Self {
            domain: domain.to_owned(),
            switches: plan.switches,
            users: BTreeSet::new(),
            organizations: BTreeSet::new(),
            roles: BTreeSet::new(),
            apis: BTreeSet::new(),
            held: BTreeMap::new(),
            changes: Vec::new(),
            lag: plan.lag,
            tokens: HashMap::new(),
            bucket,
            cursors: HashMap::new(),
            walks: HashMap::new(),
            sticky: BTreeSet::new(),
            log: Log::default(),
            ids: 0,
        }
    }

    pub fn holds(&self, endpoint: &Endpoint, item: &Item) -> bool {
        self.held_since(endpoint, item).is_some()
    }

    pub fn held_since(&self, endpoint: &Endpoint, item: &Item) -> Option<Millis> {
        self.held.get(&(endpoint.clone(), item.clone())).copied()
    }

    /// Somebody gives this item, or gives it back.
    pub fn give(&mut self, endpoint: &Endpoint, item: &Item, now: Millis) {
        if !self.holds(endpoint, item) {
            self.held.insert((endpoint.clone(), item.clone()), now);
            self.changed(endpoint, item, true, now);
        }
    }

    fn take(&mut self, endpoint: &Endpoint, item: &Item, now: Millis) -> bool {
        let was = self.held.remove(&(endpoint.clone(), item.clone())).is_some();
        if was {
            self.changed(endpoint, item, false, now);
        }
        was
    }

    fn changed(&mut self, endpoint: &Endpoint, item: &Item, now_held: bool, now: Millis) {
        if let (Endpoint::OrganizationMembers { organization }, Item::Id(user)) = (endpoint, item) {
            self.changes.push((now, organization.to_string(), user.to_string(), now_held));
            if !now_held {
                let (organization, user) = (organization.clone(), user.clone());
                let roles = Endpoint::OrganizationMemberRoles { organization, user };
                self.held.retain(|(at, _), _| *at != roles);
            }
        }
    }

    pub fn is_member(&self, organization: &str, user: &str) -> bool {
        let members = Endpoint::OrganizationMembers { organization: organization.into() };
        self.holds(&members, &Item::Id(user.into()))
    }

    /// Whether the list of members showed this user at that time.
    fn was_member(&self, organization: &str, user: &str, at: Millis) -> bool {
        let last = self.changes.iter().rev().find(|(time, o, u, _)| *time <= at && o == organization && u == user);
        last.is_some_and(|(.., held)| *held)
    }

    /// Takes a token from the bucket; returns the headers of the answer, or those of the 429.
    fn draw(&mut self, now: Millis, skew: i64) -> Result<RateHeaders, RateHeaders> {
        let date = EPOCH + i64::try_from(now / 1000).unwrap_or(0) + skew;
        let Some(bucket) = &mut self.bucket else { return Ok(RateHeaders { date: Some(date), ..Default::default() }) };
        let passed = (now.saturating_sub(bucket.at)) as f64 / 1000.0;
        bucket.level = (bucket.level + passed * bucket.per_second).min(bucket.limit);
        bucket.at = now;
        let enough = bucket.level >= 1.0;
        if enough {
            bucket.level -= 1.0;
        }
        // The second in which the bucket is full, rounded up.
        let full = (now as f64 / 1000.0 + (bucket.limit - bucket.level) / bucket.per_second).ceil() as i64;
        let headers = if bucket.reported {
            RateHeaders {
                limit: Some(bucket.limit as u64),
                remaining: Some(bucket.level.floor() as u64),
                reset: Some(EPOCH + skew + full),
                retry_after: None,
                date: Some(date),
            }
        } else {
            RateHeaders { date: Some(date), ..Default::default() }
        };
        if enough { Ok(headers) } else { Err(headers) }
    }

    /// By how many tokens the bucket is below the share of it that is left to other clients, and how many it gains in a
    /// second, if a call has drawn from it right now and answers report it.
    pub fn below_reserve(&self, percent: u64, now: Millis) -> Option<(f64, f64)> {
        let bucket = self.bucket.as_ref().filter(|bucket| bucket.reported && bucket.at == now)?;
        let reserve = (bucket.limit * percent as f64 / 100.0).floor().min(bucket.limit - 2.0);
        Some((reserve - bucket.level, bucket.per_second))
    }

    /// Answers a call that arrives now with this credential. Only 2xx and 429 have rate limit headers.
    pub fn call(
        &mut self,
        client: Client,
        wire: &Wire,
        fault: Option<Fault>,
        now: Millis,
        skew: i64,
    ) -> (RateHeaders, Outcome) {
        let (_, token) = client;
        let silent = RateHeaders::default();
        match fault {
            Some(Fault::Html) => {
                let what = "not Auth0's own answer (HTML)";
                return (silent, Err(CallError::Unavailable(Unavailable { status: Some(403), what })));
            }
            Some(Fault::NotSent) => return (silent, Err(CallError::NotSent("Auth0 could not be reached"))),
            Some(Fault::NotProcessed) => return (silent, Err(CallError::NotProcessed)),
            _ => {}
        }
        self.log.calls += 1;
        if !self.tokens.get(&token).is_some_and(|token| token.valid) {
            return (silent, Err(CallError::Unauthorized("401: the token is not valid")));
        }
        let limits = match self.draw(now, skew) {
            Ok(limits) => limits,
            Err(limits) => return self.limit(limits),
        };
        if fault == Some(Fault::Limits) {
            let remaining = limits.remaining.map(|_| 0);
            return self.limit(RateHeaders { retry_after: Some(7), remaining, ..limits });
        }
        if fault == Some(Fault::Refuses) {
            return (silent, Err(failed(503)));
        }
        if fault == Some(Fault::Denied) {
            return (silent, Err(CallError::Denied("403: not allowed here")));
        }
        if let Some(scope) = self.missing_scope(token, wire) {
            return (silent, Err(CallError::InsufficientScope(scope.to_owned())));
        }
        let outcome = match wire {
            Wire::Delete(endpoint, items) => self.delete(endpoint, items, now),
            Wire::Get(..) if fault == Some(Fault::Paging) => Err(CallError::Rejected(Rejection::Paging)),
            Wire::Get(read, query) => self.page(client, read, query, fault == Some(Fault::Forgets), now),
        };
        let headers = if outcome.is_ok() { limits } else { silent };
        if fault == Some(Fault::Forgets) { (silent, Err(failed(502))) } else { (headers, outcome) }
    }

    fn limit(&mut self, limits: RateHeaders) -> (RateHeaders, Outcome) {
        self.log.limited += 1;
        let now = jiff::Timestamp::from_second(EPOCH).unwrap();
        (limits, Err(CallError::RateLimited(rescind::auth0::wait_after_429(&limits, now, 0.0))))
    }

    fn missing_scope(&self, token: u64, wire: &Wire) -> Option<&'static str> {
        let needed = match wire {
            Wire::Delete(Endpoint::UserPermissions { .. } | Endpoint::UserRoles { .. }, _) => "update:users",
            Wire::Delete(Endpoint::OrganizationMembers { .. }, _) => "delete:organization_members",
            Wire::Delete(Endpoint::OrganizationMemberRoles { .. }, _) => "delete:organization_member_roles",
            Wire::Get(Read::List(Endpoint::UserPermissions { .. } | Endpoint::UserRoles { .. }), _) => "read:users",
            Wire::Get(Read::List(Endpoint::OrganizationMembers { .. }), _) => "read:organization_members",
            Wire::Get(Read::List(Endpoint::OrganizationMemberRoles { .. }), _) => "read:organization_member_roles",
            Wire::Get(Read::UserOrganizations { .. }, _) => "read:organizations",
            Wire::Get(Read::Answer(question), _) => question.row().scopes[0],
            Wire::Get(Read::Lookup(lookup), _) => lookup.row().scopes[0],
        };
        (!self.tokens[&token].scopes.contains(needed)).then_some(needed)
    }

    fn delete(&mut self, endpoint: &Endpoint, items: &[Item], now: Millis) -> Outcome {
        assert!((1..=endpoint.max_items()).contains(&items.len()), "{} items in a call", items.len());
        assert_eq!(items.iter().collect::<HashSet<_>>().len(), items.len(), "an item is named twice in a call");
        self.refuse_subject(endpoint)?;
        self.refuse_items(endpoint, items)?;
        for item in items {
            let was = self.take(endpoint, item, now);
            if was && self.sticky.contains(&(endpoint.clone(), item.clone())) {
                self.give(endpoint, item, now);
            }
        }
        let (endpoint, items) = (endpoint.clone(), items.to_vec());
        self.log.deletes.push(Deleted { at: now, endpoint, items });
        Ok(Value::Null)
    }

    fn refuse_subject(&self, endpoint: &Endpoint) -> Result<(), CallError> {
        let unknown = |known: bool, missing| if known { Ok(()) } else { Err(CallError::NotFound(missing)) };
        match endpoint {
            Endpoint::UserPermissions { user } | Endpoint::UserRoles { user } => {
                let missing = if self.switches.coded_404 { Missing::Subject } else { Missing::Unclear };
                unknown(self.users.contains(&**user), missing)
            }
            Endpoint::OrganizationMembers { organization } => {
                unknown(self.organizations.contains(&**organization), Missing::Unclear)
            }
            Endpoint::OrganizationMemberRoles { organization, user } => {
                unknown(self.organizations.contains(&**organization), Missing::Unclear)?;
                unknown(!self.switches.strangers_are_404 || self.is_member(organization, user), Missing::Unclear)
            }
        }
    }

    /// Whether the user and the organization of this endpoint exist.
    pub fn knows_subject(&self, endpoint: &Endpoint) -> bool {
        let has =
            |known: &BTreeSet<String>, id: Option<&std::sync::Arc<str>>| id.is_none_or(|id| known.contains(&**id));
        has(&self.organizations, endpoint.organization()) && has(&self.users, endpoint.user())
    }

    fn refuse_items(&self, endpoint: &Endpoint, items: &[Item]) -> Result<(), CallError> {
        let known = |item: &Item| match (endpoint, item) {
            (Endpoint::OrganizationMembers { .. }, Item::Id(user)) => self.users.contains(&**user),
            (_, Item::Id(role)) => self.roles.contains(&**role),
            (_, Item::Permission { resource_server, .. }) => self.apis.contains(&**resource_server),
        };
        if self.switches.unknown_items_are_404 && !items.iter().all(known) {
            let missing = if self.switches.coded_404 { Missing::Item } else { Missing::Unclear };
            return Err(CallError::NotFound(missing));
        }
        Ok(())
    }
}
