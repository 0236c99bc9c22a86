//! Reading a list page by page. Pure: it takes pages, and returns the next query or the result.
//!
//! A walk that ended too early would report an item as absent that is still there (docs/design.md, promises 3 and 4).
//! So a walk ends only where Auth0 says that the list ends, or once every wanted item was seen. Pages that contradict
//! each other are an error.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use super::endpoint::Paging;
use super::item::Item;
use super::question::{Fact, Question};
use super::read::Read;

/// Entries requested per page: the most that every list of Auth0 allows.
const PAGE_SIZE: usize = 50;
/// Auth0 serves no records beyond this one by offset.
const OFFSET_END: usize = 1000;
/// Enough for two million members, the largest list that Auth0 mentions, at 50 a page, plus a reserve.
const MAX_PAGES: usize = 50_000;
/// The most roles that are remembered of those through which a user has a permission.
const MAX_ROLES: usize = 10;

/// A walk of one list in search of certain items. A failed page can be requested again: [`Self::take`] changes nothing
/// unless it accepts the page.
pub struct Walk {
    read: Read,
    goal: Goal,
    found: BTreeSet<Item>,
    /// The roles through which a user has wanted permissions.
    through_roles: BTreeMap<Item, BTreeSet<Arc<str>>>,
    /// What the entries contribute to the answer of a question.
    gathered: BTreeSet<Arc<str>>,
    fact: Option<Fact>,
    /// The entries, if they are to be kept.
    entries: Vec<Value>,
    pages: usize,
    seen: usize,
    total: Total,
    exhausted: bool,
    cursor: Option<String>,
    /// Hashes of what must not come twice: the cursors, because the walk would be endless, or the entries of a list
    /// that is paged by offset, because each would hide another one from the count.
    once: HashSet<u64>,
    hasher: RandomState,
}

#[derive(Clone)]
enum Goal {
    /// To find out which of these items are in the list.
    Find(BTreeSet<Item>),
    /// To find out whether the list can be read at all.
    FirstPage,
    /// To answer this question.
    Answer(Question),
    /// To keep every entry as Auth0 shows it.
    Collect,
}

/// What the pages so far said about the length of the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Total {
    /// No page gave a total.
    Unknown,
    /// Every page that gave a total gave this one.
    Given(u64),
    /// The total was less than the number of entries seen, so it is ignored.
    Wrong,
}

/// The query parameters of a page. `Debug` omits the values, because a cursor contains a user id.
#[derive(Clone, PartialEq, Eq)]
pub struct Query(Vec<(&'static str, String)>);

impl Deref for Query {
    type Target = [(&'static str, String)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read, pages, seen, .. } = self;
        f.debug_struct("Walk").field("list", &read.template()).field("pages", pages).field("seen", seen).finish()
    }
}

/// What to do after a page.
#[derive(Debug, PartialEq, Eq)]
pub enum WalkStep {
    /// Request another page.
    More,
    /// The walk is complete. These of the wanted items are in the list.
    Done(BTreeSet<Item>),
}

/// Why a page was not accepted. Nothing can be concluded from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WalkError {
    /// The page does not have the documented shape. Request it again.
    #[error("a page of the list could not be read")]
    Malformed,
    /// Pages overlap, leave a gap or repeat, or the list changed between them. Restart the walk.
    #[error("the pages of the list did not fit together")]
    InconsistentPages,
    /// The list is longer than Auth0 serves by offset. Another list has to answer the question.
    #[error("the list is longer than Auth0 lets it be read (1,000 entries)")]
    TooLong,
}

impl Walk {
    /// A walk in search of `wanted`: to the end of the list, or until all of them were seen. Without any wanted items
    /// it always walks to the end. What answers a question is read as far as that needs.
    pub fn new(read: Read, wanted: BTreeSet<Item>) -> Self {
        let goal = if let Read::Answer(question) = &read { Goal::Answer(question.clone()) } else { Goal::Find(wanted) };
        Self::with(read, goal)
    }

    /// A walk that ends after the first page, to find out whether the list can be read at all. It finds no items, which
    /// says nothing about what is in the list.
    pub fn first_page(read: Read) -> Self {
        Self::with(read, Goal::FirstPage)
    }

    /// A walk to the end of the list that keeps every entry. An object counts as a list of one entry.
    pub fn collecting(read: Read) -> Self {
        Self::with(read, Goal::Collect)
    }

    fn with(read: Read, goal: Goal) -> Self {
        Self {
            read,
            goal,
            found: BTreeSet::new(),
            through_roles: BTreeMap::new(),
            gathered: BTreeSet::new(),
            fact: None,
            entries: Vec::new(),
            pages: 0,
            seen: 0,
            total: Total::Unknown,
            exhausted: false,
            cursor: None,
            once: HashSet::new(),
            hasher: RandomState::new(),
        }
    }

    /// Starts again from the first page.
    pub fn restart(&mut self) {
        *self = Self::with(self.read.clone(), self.goal.clone());
    }

    /// The list.
    pub const fn read(&self) -> &Read {
        &self.read
    }

    /// The number of pages accepted so far.
    pub const fn pages(&self) -> usize {
        self.pages
    }

    /// The number of entries in the pages accepted so far.
    pub const fn seen(&self) -> usize {
        self.seen
    }

    /// Whether the walk has seen every entry of its list, and not only what it was looking for.
    pub const fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// The ids of the roles through which the user has some of these permissions, as far as the walk has come. They are
    /// text from Auth0.
    pub fn through_roles(&self, wanted: &[Item]) -> BTreeSet<Arc<str>> {
        wanted.iter().filter_map(|item| self.through_roles.get(item)).flatten().take(MAX_ROLES).cloned().collect()
    }

    /// The answer to the question, once the walk is complete.
    pub fn fact(&self) -> Option<&Fact> {
        self.fact.as_ref()
    }

    /// The entries of a walk that keeps them, once it is complete.
    pub fn into_entries(self) -> Vec<Value> {
        self.entries
    }

    /// The query of the next page.
    pub fn query(&self) -> Query {
        let mut query = if let Read::Lookup(lookup) = &self.read { lookup.query() } else { Vec::new() };
        query.extend(self.page_query());
        Query(query)
    }

    fn page_query(&self) -> Vec<(&'static str, String)> {
        match self.read.paging() {
            Paging::Offset => vec![
                ("page", self.pages.to_string()),
                ("per_page", PAGE_SIZE.to_string()),
                ("include_totals", "true".to_owned()),
            ],
            Paging::Checkpoint => {
                let mut query = vec![("take", PAGE_SIZE.to_string())];
                query.extend(self.cursor.clone().map(|cursor| ("from", cursor)));
                query
            }
            Paging::Single | Paging::Whole => Vec::new(),
        }
    }

    /// Takes the response to [`Self::query`].
    pub fn take(&mut self, page: &Value) -> Result<WalkStep, WalkError> {
        let paging = self.read.paging();
        if let (Paging::Single, Goal::Answer(question)) = (paging, &self.goal) {
            self.fact = Some(question.object(page).map_err(|_| WalkError::Malformed)?);
            self.pages += 1;
            return Ok(WalkStep::Done(BTreeSet::new()));
        }
        if let (Paging::Single, Goal::Collect) = (paging, &self.goal) {
            self.pages += 1;
            self.entries.push(page.clone());
            return Ok(WalkStep::Done(BTreeSet::new()));
        }
        // Auth0 may ignore include_totals and return a bare array. A bare array of a checkpoint list is not accepted,
        // because it would not say whether the list ends here.
        let bare = page.as_array().filter(|_| matches!(paging, Paging::Offset | Paging::Whole));
        let entries = bare.or_else(|| page.get(self.read.list_key())?.as_array()).ok_or(WalkError::Malformed)?;
        let mut gathered = Gathered::default();
        let all = match &self.goal {
            Goal::FirstPage => {
                self.pages += 1;
                return Ok(WalkStep::Done(BTreeSet::new()));
            }
            Goal::Find(wanted) => {
                gathered.find(&self.read, wanted, entries)?;
                // An item that was seen is there, whatever the rest of the list contains.
                let is_found = |item| self.found.contains(item) || gathered.items.contains(item);
                !wanted.is_empty() && wanted.iter().all(is_found)
            }
            Goal::Answer(question) => {
                gathered.answer(question, entries)?;
                question.needs_one_page()
            }
            Goal::Collect => {
                gathered.entries = entries.clone();
                false
            }
        };
        let exhausted = match paging {
            _ if all => false,
            Paging::Offset => self.offset_end(page, entries)?,
            Paging::Checkpoint => self.checkpoint_end(page, entries.len())?,
            Paging::Single | Paging::Whole => true,
        };
        self.add(gathered);
        self.pages += 1;
        self.seen += entries.len();
        self.exhausted = exhausted;
        if all || exhausted {
            let total = page.get("total").and_then(Value::as_u64);
            if let Goal::Answer(question) = &self.goal {
                self.fact = question.answer(std::mem::take(&mut self.gathered), self.seen, total);
            }
            return Ok(WalkStep::Done(std::mem::take(&mut self.found)));
        }
        match paging {
            Paging::Offset if self.seen >= OFFSET_END => Err(WalkError::TooLong),
            _ if self.pages >= MAX_PAGES => Err(WalkError::InconsistentPages),
            Paging::Offset | Paging::Checkpoint | Paging::Single | Paging::Whole => Ok(WalkStep::More),
        }
    }

    /// Adds what an accepted page holds.
    fn add(&mut self, Gathered { mut items, through_roles, mut answers, mut entries }: Gathered) {
        self.found.append(&mut items);
        self.entries.append(&mut entries);
        self.gathered.append(&mut answers);
        for (item, role) in through_roles {
            let roles = self.through_roles.entry(item).or_default();
            if roles.len() < MAX_ROLES {
                roles.insert(role);
            }
        }
    }

    /// With a total, the list ends when that many entries were seen. Without one, or with one below the number of
    /// entries seen (Auth0 has returned 0 together with an entry), only an empty page ends it: a short page does not,
    /// as Auth0 may cap the page size.
    fn offset_end(&mut self, page: &Value, entries: &[Value]) -> Result<bool, WalkError> {
        let hashes: Vec<u64> = entries.iter().map(|entry| self.hasher.hash_one(entry)).collect();
        if hashes.iter().any(|hash| self.once.contains(hash)) {
            return Err(WalkError::InconsistentPages);
        }
        let entries = entries.len();
        let number = |key: &str| page.get(key).and_then(Value::as_u64);
        let (before, seen) = (self.seen as u64, (self.seen + entries) as u64);
        // On an empty page beyond the end, Auth0's `start` counts pages, not entries.
        if number("start").is_some_and(|start| start < before || (start > before && entries > 0)) {
            return Err(WalkError::InconsistentPages);
        }
        let total = match (self.total, number("total")) {
            // The list changed between two pages, so an entry may have moved to a page that was already read.
            (Total::Given(given), Some(now)) if now != given => return Err(WalkError::InconsistentPages),
            (Total::Given(total), _) | (Total::Unknown, Some(total)) if total < seen => Total::Wrong,
            (Total::Unknown, Some(total)) => Total::Given(total),
            (total, _) => total,
        };
        let ended = match total {
            Total::Given(total) if entries == 0 && seen < total => return Err(WalkError::InconsistentPages),
            Total::Given(total) => seen == total,
            Total::Unknown | Total::Wrong => entries == 0,
        };
        self.total = total;
        self.once.extend(hashes);
        Ok(ended)
    }

    /// The list ends with the page that has no `next`. A total is not documented here; if there is one, it can only
    /// contradict the end.
    fn checkpoint_end(&mut self, page: &Value, entries: usize) -> Result<bool, WalkError> {
        match page.get("next") {
            None | Some(Value::Null) => {
                let total = page.get("total").and_then(Value::as_u64).unwrap_or(0);
                if total > (self.seen + entries) as u64 { Err(WalkError::InconsistentPages) } else { Ok(true) }
            }
            Some(Value::String(next)) if !next.is_empty() => {
                if !self.once.insert(self.hasher.hash_one(next)) {
                    return Err(WalkError::InconsistentPages);
                }
                self.cursor = Some(next.clone());
                Ok(false)
            }
            Some(_) => Err(WalkError::Malformed),
        }
    }
}

/// What one page holds, before it is known whether the page is accepted.
#[derive(Default)]
struct Gathered {
    items: BTreeSet<Item>,
    through_roles: Vec<(Item, Arc<str>)>,
    answers: BTreeSet<Arc<str>>,
    entries: Vec<Value>,
}

impl Gathered {
    fn find(&mut self, read: &Read, wanted: &BTreeSet<Item>, entries: &[Value]) -> Result<(), WalkError> {
        for entry in entries {
            let item = read.item(entry).map_err(|_| WalkError::Malformed)?;
            self.items.extend(item.filter(|item| wanted.contains(item)));
            if let Some((item, roles)) = read.through_roles(entry).filter(|(item, _)| wanted.contains(item)) {
                self.through_roles.extend(roles.into_iter().take(MAX_ROLES).map(|role| (item.clone(), role)));
            }
        }
        Ok(())
    }

    fn answer(&mut self, question: &Question, entries: &[Value]) -> Result<(), WalkError> {
        for entry in entries {
            self.answers.extend(question.entry(entry).map_err(|_| WalkError::Malformed)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
