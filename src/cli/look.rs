//! Finds out what is held, by complete reads, with as few calls as it takes: one for each list of a person, and for the
//! members of an organization either one for each person or a walk of the list, whichever is cheaper.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::auth0::{Endpoint, Fact, Item, Question, Read};

use super::reads::{ReadError, Reads};

/// Entries of a page.
const PAGE: usize = 50;

/// What is wanted: items by endpoint.
pub type Wanted = BTreeMap<Endpoint, BTreeSet<Item>>;

/// Whether an item is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A read showed it.
    Held,
    /// A complete read did not show it.
    Absent,
    /// Auth0 does not know the user or the organization.
    NoSubject,
    /// It could not be read, for this reason.
    Unknown(String),
}

/// What was found.
#[derive(Debug, Default)]
pub struct Seen {
    presence: BTreeMap<(Endpoint, Item), Presence>,
    /// The names of roles, as Auth0 shows them.
    pub names: BTreeMap<Arc<str>, String>,
    /// The roles through which a user has a permission, as `(user, permission, role)`.
    pub through: BTreeSet<(Arc<str>, Item, Arc<str>)>,
    /// How many members organizations have, as far as that was read.
    pub members: BTreeMap<Arc<str>, Result<u64, ReadError>>,
}

impl Seen {
    /// Whether an item is there.
    pub fn presence(&self, endpoint: &Endpoint, item: &Item) -> Presence {
        let unread = || Presence::Unknown("it was not read".to_owned());
        self.presence.get(&(endpoint.clone(), item.clone())).cloned().unwrap_or_else(unread)
    }

    fn set(&mut self, endpoint: &Endpoint, items: &BTreeSet<Item>, presence: impl Fn(&Item) -> Presence) {
        for item in items {
            self.presence.insert((endpoint.clone(), item.clone()), presence(item));
        }
    }

    fn fail(&mut self, endpoint: &Endpoint, items: &BTreeSet<Item>, error: &ReadError) {
        let presence = match error {
            ReadError::NotFound => Presence::NoSubject,
            ReadError::Scope(_) | ReadError::Failed(_) => Presence::Unknown(error.to_string()),
        };
        self.set(endpoint, items, |_| presence.clone());
    }
}

/// Reads everything that is wanted.
pub async fn look(reads: &mut Reads<'_>, wanted: &Wanted) -> Seen {
    let mut seen = Seen::default();
    let mut by_user: BTreeMap<Arc<str>, BTreeSet<Item>> = BTreeMap::new();
    for (endpoint, items) in wanted {
        let Endpoint::OrganizationMembers { organization } = endpoint else {
            entries(reads, &mut seen, endpoint, items).await;
            continue;
        };
        if !asks_each(reads, &mut seen, organization, items).await {
            members(reads, &mut seen, endpoint, items).await;
            continue;
        }
        for item in items {
            if let Item::Id(user) = item {
                by_user.entry(user.clone()).or_default().insert(Item::Id(organization.clone()));
            }
        }
    }
    for (user, organizations) in by_user {
        memberships(reads, &mut seen, &user, &organizations).await;
    }
    seen
}

/// Whether asking for each person by themselves takes fewer calls than the list of the members.
async fn asks_each(reads: &mut Reads<'_>, seen: &mut Seen, organization: &Arc<str>, people: &BTreeSet<Item>) -> bool {
    if reads.scopes().is_some_and(|held| !held.iter().any(|scope| scope == "read:organizations")) {
        return false;
    }
    match count(reads, seen, organization).await {
        Ok(members) => people.len() <= usize::try_from(members).unwrap_or(usize::MAX).div_ceil(PAGE),
        Err(ReadError::NotFound) => false,
        Err(ReadError::Scope(_) | ReadError::Failed(_)) => true,
    }
}

/// How many members the organization has. It is read once.
pub async fn count(reads: &mut Reads<'_>, seen: &mut Seen, organization: &Arc<str>) -> Result<u64, ReadError> {
    if let Some(known) = seen.members.get(organization) {
        return known.clone();
    }
    let fact = reads.fact(Question::MemberCount { organization: organization.clone() }).await;
    let count = fact.and_then(|fact| match fact {
        Fact::MemberCount(count) => Ok(count),
        Fact::Unknown { why } => Err(why.into()),
        Fact::ApiSettings(_) | Fact::LoginMembership(_) | Fact::RoleHolders(_) => {
            Err(ReadError::Failed("another answer".to_owned()))
        }
    });
    seen.members.insert(organization.clone(), count.clone());
    count
}

async fn members(reads: &mut Reads<'_>, seen: &mut Seen, endpoint: &Endpoint, items: &BTreeSet<Item>) {
    match reads.find(endpoint, items.clone()).await {
        Ok(found) => seen.set(endpoint, items, |item| held(found.present.contains(item))),
        Err(error) => seen.fail(endpoint, items, &error),
    }
}

async fn memberships(reads: &mut Reads<'_>, seen: &mut Seen, user: &Arc<str>, organizations: &BTreeSet<Item>) {
    let found = reads.organizations_of(user, organizations.clone()).await;
    let member = BTreeSet::from([Item::Id(user.clone())]);
    for organization in organizations {
        let Item::Id(id) = organization else { continue };
        let endpoint = Endpoint::OrganizationMembers { organization: id.clone() };
        match &found {
            Ok(found) => seen.set(&endpoint, &member, |_| held(found.contains(organization))),
            // A user whom Auth0 does not know is a member of nothing.
            Err(ReadError::NotFound) => seen.set(&endpoint, &member, |_| Presence::Absent),
            Err(error) => seen.fail(&endpoint, &member, error),
        }
    }
    // A list that is too long for this question, or that may not be read, may be read the other way.
    if let Err(ReadError::Scope(_) | ReadError::Failed(_)) = found {
        for organization in organizations {
            let Item::Id(id) = organization else { continue };
            let endpoint = Endpoint::OrganizationMembers { organization: id.clone() };
            if let Ok(found) = reads.find(&endpoint, member.clone()).await {
                seen.set(&endpoint, &member, |item| held(found.present.contains(item)));
            }
        }
    }
}

/// A list of one person, which also has the names.
async fn entries(reads: &mut Reads<'_>, seen: &mut Seen, endpoint: &Endpoint, items: &BTreeSet<Item>) {
    let read = Read::List(endpoint.clone());
    let entries = match reads.entries(read.clone()).await {
        Ok(entries) => entries,
        Err(error) => return seen.fail(endpoint, items, &error),
    };
    let mut present = BTreeSet::new();
    for entry in &entries {
        match read.item(entry) {
            Ok(item) => present.extend(item),
            Err(_) => {
                let error = ReadError::Failed("an entry of the list could not be read".to_owned());
                return seen.fail(endpoint, items, &error);
            }
        }
        note_names(seen, endpoint, entry);
    }
    seen.set(endpoint, items, |item| held(present.contains(item)));
}

fn note_names(seen: &mut Seen, endpoint: &Endpoint, entry: &Value) {
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    if let (Some(id), Some(name)) = (text(entry, "id"), text(entry, "name")) {
        seen.names.insert(id.into(), name);
    }
    let (Some(user), Some(api), Some(name)) =
        (endpoint.user(), text(entry, "resource_server_identifier"), text(entry, "permission_name"))
    else {
        return;
    };
    let item = Item::Permission { resource_server: api.into(), name: name.into() };
    let sources = entry.get("sources").and_then(Value::as_array).into_iter().flatten();
    for source in sources.filter(|source| text(source, "source_type").as_deref() == Some("ROLE")) {
        let role: Arc<str> = text(source, "source_id").unwrap_or_default().into();
        if let Some(name) = text(source, "source_name") {
            seen.names.insert(role.clone(), name);
        }
        seen.through.insert((user.clone(), item.clone(), role));
    }
}

const fn held(is_present: bool) -> Presence {
    if is_present { Presence::Held } else { Presence::Absent }
}
