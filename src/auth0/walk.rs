//! Reading a list to its end. Pure: pages go in, the next query or the verdict comes out.
//!
//! The danger is a walk that ends too early and so calls something absent that is there (promises 3 and 4). So a walk
//! ends only where Auth0 says that it ends, or once everything wanted was seen; whatever does not add up is an error.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::ops::Deref;

use serde_json::Value;
use thiserror::Error;

use super::endpoint::Paging;
use super::{Item, Read};

/// Items asked for per page: 50 is allowed everywhere (auth0-api.md 2.3).
const PAGE_SIZE: usize = 50;
/// Offset paging ends here; what lies beyond cannot be read that way (auth0-api.md 2.3).
const OFFSET_END: usize = 1000;
/// Two million members, the largest list Auth0 names, at 50 a page, with room to spare.
const MAX_PAGES: usize = 50_000;

/// One reading of one list, looking for some items.
#[derive(Debug)]
pub struct Walk {
    read: Read,
    wanted: BTreeSet<Item>,
    found: BTreeSet<Item>,
    pages: usize,
    seen: usize,
    total: Option<u64>,
    cursor: Option<String>,
    cursors: HashSet<String>,
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

/// What follows a page.
#[derive(Debug, PartialEq, Eq)]
pub enum WalkStep {
    /// Another page is needed.
    More,
    /// The walk is complete; these of the wanted items are there.
    Done(BTreeSet<Item>),
}

/// Why a walk cannot be finished. Nothing may be concluded from it. What to do: start a new walk later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WalkError {
    /// Not the documented shape.
    #[error("a page of the list was not readable")]
    Malformed,
    /// Pages overlap, skip, repeat, or the list changed between them.
    #[error("the pages of the list did not fit together")]
    InconsistentPages,
    /// Offset paging does not reach the end of this list.
    #[error("the list is longer than Auth0 lets it be read (1000 records)")]
    TooLong,
}

impl Walk {
    /// Starts a walk of `read` that looks for `wanted`.
    pub fn new(read: Read, wanted: BTreeSet<Item>) -> Self {
        Self {
            read,
            wanted,
            found: BTreeSet::new(),
            pages: 0,
            seen: 0,
            total: None,
            cursor: None,
            cursors: HashSet::new(),
        }
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
        let bare = page.as_array();
        let entries = bare.or_else(|| page.get(self.read.list_key())?.as_array()).ok_or(WalkError::Malformed)?;
        for entry in entries {
            if let Some(item) = self.read.item(entry).map_err(|_| WalkError::Malformed)?
                && self.wanted.contains(&item)
            {
                self.found.insert(item);
            }
        }
        let ended = match self.read.paging() {
            Paging::Offset => self.offset_ended(page, entries.len())?,
            Paging::Checkpoint if bare.is_some() => return Err(WalkError::Malformed),
            Paging::Checkpoint => self.checkpoint_ended(page)?,
        };
        self.pages += 1;
        self.seen += entries.len();
        if ended || self.found == self.wanted {
            return Ok(WalkStep::Done(std::mem::take(&mut self.found)));
        }
        match self.read.paging() {
            Paging::Offset if self.seen >= OFFSET_END => Err(WalkError::TooLong),
            _ if self.pages >= MAX_PAGES => Err(WalkError::InconsistentPages),
            _ => Ok(WalkStep::More),
        }
    }

    /// With a total, the end is where the counts meet; without one, only an empty page is the end: a short page is
    /// none, Auth0 may cap the page size (auth0-api.md 2.3, reliability.md D21).
    fn offset_ended(&mut self, page: &Value, entries: usize) -> Result<bool, WalkError> {
        if let Some(start) = page.get("start").and_then(Value::as_u64)
            && start != self.seen as u64
        {
            return Err(WalkError::InconsistentPages);
        }
        let Some(total) = page.get("total").and_then(Value::as_u64) else {
            return Ok(entries == 0);
        };
        // Somebody changed the list between two pages: entries may have moved past us.
        if self.total.replace(total).is_some_and(|before| before != total) {
            return Err(WalkError::InconsistentPages);
        }
        let seen = (self.seen + entries) as u64;
        match seen.cmp(&total) {
            std::cmp::Ordering::Equal => Ok(true),
            std::cmp::Ordering::Less if entries > 0 => Ok(false),
            _ => Err(WalkError::InconsistentPages),
        }
    }

    fn checkpoint_ended(&mut self, page: &Value) -> Result<bool, WalkError> {
        match page.get("next") {
            None | Some(Value::Null) => Ok(true),
            Some(Value::String(next)) if !next.is_empty() => {
                if !self.cursors.insert(next.clone()) {
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
mod tests {
    use super::*;
    use crate::auth0::Endpoint;
    use proptest::prelude::*;
    use serde_json::json;

    fn roles() -> Read {
        Read::List(Endpoint::UserRoles { user: "auth0|a".into() })
    }

    fn members() -> Read {
        Read::List(Endpoint::OrganizationMembers { organization: "org_9ybsU1dN2dKfDkBi".into() })
    }

    fn items(ids: impl IntoIterator<Item = usize>) -> BTreeSet<Item> {
        ids.into_iter().map(|n| Item::Id(n.to_string().into())).collect()
    }

    fn page(start: usize, count: usize, total: usize) -> Value {
        let roles: Vec<_> = (start..start + count).map(|n| json!({"id": n.to_string()})).collect();
        json!({"start": start, "limit": 50, "total": total, "roles": roles})
    }

    #[test]
    fn an_offset_walk_ends_where_the_counts_meet() {
        let mut walk = Walk::new(roles(), items([3, 70, 99]));
        assert_eq!(walk.take(&page(0, 25, 75)), Ok(WalkStep::More), "a capped page is not the end");
        assert_eq!(walk.query()[0].1, "1");
        assert_eq!(walk.take(&page(25, 25, 75)), Ok(WalkStep::More));
        assert_eq!(walk.take(&page(50, 25, 75)), Ok(WalkStep::Done(items([3, 70]))));
    }

    /// Broken on purpose by `Ok(entries < PAGE_SIZE)` in `offset_ended`: it failed.
    #[test]
    fn without_totals_only_an_empty_page_is_the_end() {
        let mut walk = Walk::new(roles(), items([9]));
        assert_eq!(walk.take(&json!([{"id": "1"}])), Ok(WalkStep::More));
        assert_eq!(walk.take(&json!([])), Ok(WalkStep::Done(items([]))));
    }

    /// Promise 4 (tests/mutants.sh: 4-incomplete-is-gone).
    #[test]
    fn what_does_not_add_up_is_an_error() {
        let torn = |pages: &[Value]| {
            let mut walk = Walk::new(roles(), items([5000]));
            pages.iter().map(|p| walk.take(p)).find(|step| !matches!(step, Ok(WalkStep::More)))
        };
        assert_eq!(
            torn(&[page(0, 50, 60), page(50, 0, 60)]),
            Some(Err(WalkError::InconsistentPages)),
            "ends too early"
        );
        assert_eq!(torn(&[page(0, 20, 60), page(50, 10, 60)]), Some(Err(WalkError::InconsistentPages)), "a gap");
        assert_eq!(
            torn(&[page(0, 50, 60), page(0, 50, 60)]),
            Some(Err(WalkError::InconsistentPages)),
            "a page repeats"
        );
        assert_eq!(
            torn(&[page(0, 50, 60), page(50, 9, 59)]),
            Some(Err(WalkError::InconsistentPages)),
            "the list changed"
        );
        for bad in
            [json!(null), json!({}), json!({"roles": null}), json!({"roles": [{"name": "x"}]}), json!("x"), json!([7])]
        {
            assert_eq!(torn(&[bad]), Some(Err(WalkError::Malformed)));
        }
        let long: Vec<_> = (0..20).map(|n| page(n * 50, 50, 1001)).collect();
        assert_eq!(torn(&long), Some(Err(WalkError::TooLong)));
    }

    #[test]
    fn a_checkpoint_walk_ends_when_next_is_missing() {
        let entry = |id: &str| json!({"user_id": id});
        let mut walk = Walk::new(members(), items([1, 2]));
        assert_eq!(*walk.query(), [("take", "50".to_owned())]);
        assert_eq!(walk.take(&json!({"members": [entry("1")], "next": "c1"})), Ok(WalkStep::More));
        assert_eq!(walk.query()[1], ("from", "c1".to_owned()));
        assert_eq!(
            walk.take(&json!({"members": [], "next": "c2"})),
            Ok(WalkStep::More),
            "an empty page is not the end"
        );
        assert_eq!(walk.take(&json!({"members": []})), Ok(WalkStep::Done(items([1]))));

        let torn = |pages: &[Value]| {
            let mut walk = Walk::new(members(), items([9]));
            pages.iter().map(|p| walk.take(p)).find(|step| !matches!(step, Ok(WalkStep::More)))
        };
        assert_eq!(
            torn(&[json!({"members": [], "next": "a"}), json!({"members": [], "next": "a"})]),
            Some(Err(WalkError::InconsistentPages))
        );
        assert_eq!(torn(&[json!({"members": [], "next": ""})]), Some(Err(WalkError::Malformed)));
        assert_eq!(torn(&[json!([])]), Some(Err(WalkError::Malformed)), "an array says nothing about the end");
    }

    proptest! {
        /// Whatever the page size, a complete walk finds exactly what is there.
        #[test]
        fn a_complete_walk_is_exact(total in 0usize..400, size in 1usize..60, wanted in proptest::collection::btree_set(0usize..800, 1..20)) {
            let mut walk = Walk::new(roles(), items(wanted.iter().copied()));
            let mut start = 0;
            let found = loop {
                let count = size.min(total - start);
                match walk.take(&page(start, count, total)).unwrap() {
                    WalkStep::More => start += count,
                    WalkStep::Done(found) => break found,
                }
            };
            prop_assert_eq!(found, items(wanted.into_iter().filter(|n| *n < total)));
        }
    }
}
