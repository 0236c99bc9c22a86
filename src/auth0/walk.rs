//! Reading a list to its end. Pure: pages go in, the next query or the verdict comes out.
//!
//! The danger is a walk that ends too early and so calls something absent that is there (promises 3 and 4). So a walk
//! ends only where Auth0 says that it ends, or once everything wanted was seen; whatever does not add up is an error.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::Deref;

use serde_json::Value;
use thiserror::Error;

use super::endpoint::{Paging, Read};
use super::item::Item;

/// Entries asked for per page: as many as Auth0 allows everywhere.
const PAGE_SIZE: usize = 50;
/// Offset paging ends here; what lies beyond cannot be read that way.
const OFFSET_END: usize = 1000;
/// Two million members, the largest list Auth0 names, at 50 a page, with room to spare.
const MAX_PAGES: usize = 50_000;

/// One reading of one list, looking for some items. A page can be asked for any number of times: nothing changes until
/// [`Self::take`] has accepted it.
pub struct Walk {
    read: Read,
    aim: Aim,
    found: BTreeSet<Item>,
    pages: usize,
    seen: usize,
    total: Total,
    cursor: Option<String>,
    /// Hashes of the cursors so far: one that comes again leads in a circle.
    cursors: HashSet<u64>,
    hasher: RandomState,
}

#[derive(Clone)]
enum Aim {
    /// Which of these are there.
    Find(BTreeSet<Item>),
    /// Whether the list can be read at all.
    Glance,
}

/// What the pages so far said about the length of the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Total {
    /// Nothing.
    Unknown,
    /// So much, each of them.
    Given(u64),
    /// Less than they showed.
    Wrong,
}

/// The query of a page. A cursor holds a user id, so it is not printed.
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

/// What follows a page.
#[derive(Debug, PartialEq, Eq)]
pub enum WalkStep {
    /// Another page is needed.
    More,
    /// The walk is complete; these of the wanted items are there.
    Done(BTreeSet<Item>),
}

/// Why a page did not bring the walk further. Nothing may be concluded from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WalkError {
    /// Not the documented shape. Ask for the page again.
    #[error("a page of the list could not be read")]
    Malformed,
    /// Pages overlap, skip, repeat, or the list changed between them. Begin anew.
    #[error("the pages of the list did not fit together")]
    InconsistentPages,
    /// Offset paging does not reach the end of this list. Read another list.
    #[error("the list is longer than Auth0 lets it be read (1,000 entries)")]
    TooLong,
}

impl Walk {
    /// A walk of `read` that looks for `wanted`: to the end of the list, or until all of them were seen.
    pub fn new(read: Read, wanted: BTreeSet<Item>) -> Self {
        Self::with(read, Aim::Find(wanted))
    }

    /// A walk of one page: only whether `read` can be read at all. It finds nothing and says nothing about what is there.
    pub fn glance(read: Read) -> Self {
        Self::with(read, Aim::Glance)
    }

    fn with(read: Read, aim: Aim) -> Self {
        Self {
            read,
            aim,
            found: BTreeSet::new(),
            pages: 0,
            seen: 0,
            total: Total::Unknown,
            cursor: None,
            cursors: HashSet::new(),
            hasher: RandomState::new(),
        }
    }

    /// From the first page again.
    pub fn begin_anew(&mut self) {
        *self = Self::with(self.read.clone(), self.aim.clone());
    }

    /// The list being read.
    pub const fn read(&self) -> &Read {
        &self.read
    }

    /// Pages taken so far: one call each.
    pub const fn pages(&self) -> usize {
        self.pages
    }

    /// Query of the next page.
    pub fn query(&self) -> Query {
        Query(match self.read.paging() {
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
        })
    }

    /// Takes the answer to [`Self::query`].
    pub fn take(&mut self, page: &Value) -> Result<WalkStep, WalkError> {
        let paging = self.read.paging();
        // Without include_totals, which Auth0 may ignore, a page is a bare list. Of a checkpoint it would not say the end.
        let bare = page.as_array().filter(|_| paging == Paging::Offset);
        let entries = bare.or_else(|| page.get(self.read.list_key())?.as_array()).ok_or(WalkError::Malformed)?;
        let Aim::Find(wanted) = &self.aim else {
            self.pages += 1;
            return Ok(WalkStep::Done(BTreeSet::new()));
        };
        let mut found = BTreeSet::new();
        for entry in entries {
            let item = self.read.item(entry).map_err(|_| WalkError::Malformed)?;
            found.extend(item.filter(|item| wanted.contains(item)));
        }
        // What was seen is there, whatever the rest of the list looks like.
        let all = !wanted.is_empty() && wanted.iter().all(|item| self.found.contains(item) || found.contains(item));
        let ended = match paging {
            _ if all => true,
            Paging::Offset => self.offset_end(page, entries.len())?,
            Paging::Checkpoint => self.checkpoint_end(page, entries.len())?,
        };
        self.found.append(&mut found);
        self.pages += 1;
        self.seen += entries.len();
        if ended {
            return Ok(WalkStep::Done(std::mem::take(&mut self.found)));
        }
        match paging {
            Paging::Offset if self.seen >= OFFSET_END => Err(WalkError::TooLong),
            _ if self.pages >= MAX_PAGES => Err(WalkError::InconsistentPages),
            _ => Ok(WalkStep::More),
        }
    }

    /// With a total, the end is where the counts meet. Without one, or with one that is less than what was seen (Auth0 has
    /// answered 0 with an entry beside it), only an empty page is: a short page is none, as Auth0 may cap the page size.
    fn offset_end(&mut self, page: &Value, entries: usize) -> Result<bool, WalkError> {
        let number = |key: &str| page.get(key).and_then(Value::as_u64);
        let (before, seen) = (self.seen as u64, (self.seen + entries) as u64);
        // Of an empty page beyond the end it counts pages, not entries.
        if number("start").is_some_and(|start| start < before || (start > before && entries > 0)) {
            return Err(WalkError::InconsistentPages);
        }
        let total = match (self.total, number("total")) {
            // Somebody changed the list between two pages: entries may have moved past us.
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
        Ok(ended)
    }

    /// The end is a page that names no next one. A total, which is not documented there, can only speak against it.
    fn checkpoint_end(&mut self, page: &Value, entries: usize) -> Result<bool, WalkError> {
        match page.get("next") {
            None | Some(Value::Null) => {
                let total = page.get("total").and_then(Value::as_u64).unwrap_or(0);
                if total > (self.seen + entries) as u64 { Err(WalkError::InconsistentPages) } else { Ok(true) }
            }
            Some(Value::String(next)) if !next.is_empty() => {
                if !self.cursors.insert(self.hasher.hash_one(next)) {
                    return Err(WalkError::InconsistentPages);
                }
                self.cursor = Some(next.clone());
                Ok(false)
            }
            Some(_) => Err(WalkError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests;
