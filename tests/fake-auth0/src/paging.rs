//! Pages of lists: which items a query asks for, how the answer is wrapped, and how a list can misbehave.
//!
//! Pure. Which items a list has is in `lists.rs`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{answers::Problem, endpoints::ListRule};

/// How lists misbehave. The default behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PagingQuirks {
    /// Serve at most so many items a page whatever was asked, and say so in `limit` (Auth0 is said to cap at 50).
    pub max_page_size: Option<usize>,
    /// Serve at most so many items a page although more exist, while `limit` repeats what was asked.
    pub short_pages: Option<usize>,
    /// Leave out the last items of every page, although `total` counts them: they cannot be read at all.
    pub hidden_per_page: usize,
    /// Give `next` on the last page that has items, so that an empty page follows.
    pub empty_last_page: bool,
    /// Serve the first page again and again: `page` is ignored, `next` leads back to the beginning.
    pub repeat_first_page: bool,
    /// Give a `next` that leads to the same page again.
    pub looping_cursor: bool,
    /// Leave out `total`.
    pub omit_total: bool,
}

/// Offset paging ends here.
const MAX_RECORDS: usize = 1000;
const MAX_PAGE_SIZE: usize = 100;
const DEFAULT_PAGE_SIZE: usize = 50;

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Offset(usize),
    /// After this item, or at the beginning.
    After(Option<String>),
}

/// One page, as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageQuery {
    pub start: Start,
    /// How many items to serve.
    pub serve: usize,
    /// What the answer gives as `limit`.
    pub limit: usize,
    pub include_totals: bool,
    /// `fields`, if the answer is to be narrowed.
    pub fields: Fields,
}

/// The choice of fields: `fields=a,b` with `include_fields` true or false.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    names: Vec<String>,
    exclude: bool,
}

impl Fields {
    pub(crate) fn parse(query: &[(String, String)]) -> Result<Self, Problem> {
        let names = value(query, "fields").map(|names| names.split(',').map(str::to_owned).collect());
        Ok(Self { names: names.unwrap_or_default(), exclude: !boolean(query, "include_fields")?.unwrap_or(true) })
    }

    /// Whether a field that is not part of the default answer was asked for by name.
    pub(crate) fn asks_for(&self, name: &str) -> bool {
        !self.exclude && self.names.iter().any(|field| field == name)
    }

    pub(crate) fn narrow(&self, item: Value) -> Value {
        let Value::Object(item) = item else { return item };
        if self.names.is_empty() {
            return Value::Object(item);
        }
        item.into_iter().filter(|(key, _)| self.names.contains(key) != self.exclude).collect::<Map<_, _>>().into()
    }
}

fn value<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn number(
    query: &[(String, String)],
    name: &str,
    allowed: std::ops::RangeInclusive<usize>,
) -> Result<Option<usize>, Problem> {
    let Some(text) = value(query, name) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| allowed.contains(number));
    number.map(Some).ok_or_else(|| {
        let (least, most) = allowed.into_inner();
        Problem::query(format!("'Expected an integer from {least} to {most}' on property {name}."))
    })
}

fn boolean(query: &[(String, String)], name: &str) -> Result<Option<bool>, Problem> {
    match value(query, name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Problem::query(format!("'Expected type boolean' on property {name}."))),
    }
}

/// Refuses query parameters that nobody asked for.
pub(crate) fn only(query: &[(String, String)], known: &[&str]) -> Result<(), Problem> {
    match query.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some((extra, _)) => Err(Problem::query(format!("'Additional properties not allowed: {extra}'."))),
    }
}

impl PageQuery {
    pub(crate) fn parse(query: &[(String, String)], rule: ListRule, quirks: &PagingQuirks) -> Result<Self, Problem> {
        let mut known = vec!["page", "per_page", "include_totals"];
        if rule.checkpoint {
            known.extend(["from", "take"]);
        }
        if rule.fields {
            known.extend(["fields", "include_fields"]);
        }
        only(query, &known)?;
        let checkpoint = value(query, "from").is_some() || value(query, "take").is_some();
        if checkpoint && (value(query, "page").is_some() || value(query, "per_page").is_some()) {
            return Err(Problem::query("'from and take cannot be combined with page and per_page'."));
        }
        let size = number(query, if checkpoint { "take" } else { "per_page" }, 1..=MAX_PAGE_SIZE)?;
        let asked = size.unwrap_or(DEFAULT_PAGE_SIZE);
        let limit = quirks.max_page_size.map_or(asked, |most| asked.min(most)).max(1);
        let serve = quirks.short_pages.map_or(limit, |most| limit.min(most)).max(1);
        let start = if checkpoint {
            Start::After(value(query, "from").map(|cursor| decode_cursor(cursor, rule)).transpose()?)
        } else {
            offset(number(query, "page", 0..=usize::MAX)?.unwrap_or(0), limit, serve)?
        };
        let start = if quirks.repeat_first_page { start.first() } else { start };
        let include_totals = boolean(query, "include_totals")?.unwrap_or(false);
        Ok(Self { start, serve, limit, include_totals, fields: Fields::parse(query)? })
    }

    /// Whether this page begins a walk through the list.
    pub(crate) fn begins(&self) -> bool {
        matches!(self.start, Start::Offset(0) | Start::After(None))
    }

    /// Wraps a page. As the list's rule, the query and the quirks have it.
    pub(crate) fn wrap(&self, page: Page<'_>, rule: ListRule, quirks: &PagingQuirks) -> Value {
        let last = page.last;
        let keep = page.items.len().saturating_sub(quirks.hidden_per_page);
        let items: Value = page.items.into_iter().take(keep).collect();
        let mut wrapped = Map::new();
        match &self.start {
            Start::Offset(_) if !self.include_totals => return items,
            Start::Offset(start) => {
                wrapped.insert("start".into(), (*start).into());
                wrapped.insert("limit".into(), self.limit.into());
            }
            Start::After(from) => {
                let again = if quirks.looping_cursor { from.as_deref() } else { last };
                let next =
                    last.filter(|_| page.more || quirks.empty_last_page || quirks.looping_cursor).and(again.or(last));
                if let Some(next) = next {
                    wrapped.insert("next".into(), encode_cursor(next, rule).into());
                }
            }
        }
        if self.include_totals && !quirks.omit_total {
            wrapped.insert("total".into(), page.total.into());
        }
        wrapped.insert(rule.key.into(), items);
        wrapped.into()
    }
}

/// One page, as found in the list.
pub(crate) struct Page<'a> {
    /// The last item's key, even if the item itself is hidden.
    pub last: Option<&'a str>,
    pub items: Vec<Value>,
    pub total: usize,
    pub more: bool,
}

impl Start {
    fn first(self) -> Self {
        match self {
            Self::Offset(_) => Self::Offset(0),
            Self::After(_) => Self::After(None),
        }
    }
}

fn offset(page: usize, limit: usize, serve: usize) -> Result<Start, Problem> {
    let end = page.saturating_add(1).saturating_mul(limit);
    if end > MAX_RECORDS {
        return Err(Problem::bad_request("invalid_paging", "You can only page through the first 1000 records."));
    }
    Ok(Start::Offset(page.saturating_mul(serve)))
}

/// Cursors mean nothing to a client; they are bound to the list they came from.
fn encode_cursor(after: &str, rule: ListRule) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}\n{after}", rule.key).bytes().map(|byte| byte ^ 0x5a).collect::<Vec<_>>())
}

fn decode_cursor(cursor: &str, rule: ListRule) -> Result<String, Problem> {
    let decoded = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes.into_iter().map(|byte| byte ^ 0x5a).collect()).ok());
    text.as_deref()
        .and_then(|text| text.split_once('\n'))
        .filter(|(list, _)| *list == rule.key)
        .map(|(_, after)| after.to_owned())
        .ok_or_else(|| Problem::query("'The checkpoint is not valid' on property from."))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RULE: ListRule = ListRule { key: "members", checkpoint: true, fields: true };

    fn parse(query: &str, quirks: &PagingQuirks) -> Result<PageQuery, &'static str> {
        let pairs: Vec<_> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        PageQuery::parse(&pairs, RULE, quirks).map_err(|problem| problem.code.unwrap())
    }

    #[test]
    fn offsets_end_at_a_thousand_records() {
        let behaved = PagingQuirks::default();
        assert_eq!(parse("page=9&per_page=100", &behaved).unwrap().start, Start::Offset(900));
        assert_eq!(parse("page=10&per_page=100", &behaved), Err("invalid_paging"));
        assert_eq!(parse("page=19", &behaved).unwrap().start, Start::Offset(950));
        assert_eq!(parse("page=20", &behaved), Err("invalid_paging"));
    }

    #[test]
    fn bad_queries_are_refused() {
        for query in
            ["per_page=101", "per_page=0", "page=-1", "take=101", "page=0&take=1", "from=x", "include_totals=1", "q=a"]
        {
            assert_eq!(parse(query, &PagingQuirks::default()), Err("invalid_query_string"), "{query}");
        }
    }

    #[test]
    fn a_cap_is_said_and_a_short_page_is_not() {
        let capped = PagingQuirks { max_page_size: Some(50), ..PagingQuirks::default() };
        let page = parse("page=2&per_page=100", &capped).unwrap();
        assert_eq!((page.start, page.serve, page.limit), (Start::Offset(100), 50, 50));
        let short = PagingQuirks { short_pages: Some(7), ..PagingQuirks::default() };
        let page = parse("page=2&per_page=100", &short).unwrap();
        assert_eq!((page.start, page.serve, page.limit), (Start::Offset(14), 7, 100));
    }

    #[test]
    fn cursors_are_opaque_and_come_back() {
        let cursor = encode_cursor("auth0|jane", RULE);
        assert!(!cursor.contains("jane"));
        assert_eq!(
            parse(&format!("from={cursor}"), &PagingQuirks::default()).unwrap().start,
            Start::After(Some("auth0|jane".into()))
        );
    }

    #[test]
    fn next_is_absent_at_the_end_unless_the_last_page_is_to_be_empty() {
        let next = |quirks: &PagingQuirks, more| {
            let query = parse("take=2", quirks).unwrap();
            let page = Page { last: Some("b"), items: vec![1.into(), 2.into()], total: 9, more };
            query.wrap(page, RULE, quirks).get("next").is_some()
        };
        let behaved = PagingQuirks::default();
        assert!(next(&behaved, true));
        assert!(!next(&behaved, false));
        assert!(next(&PagingQuirks { empty_last_page: true, ..behaved }, false));
    }
}
