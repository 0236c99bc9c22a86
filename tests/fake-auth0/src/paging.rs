//! Pages of lists: which items a query asks for, and how the answer is wrapped.
//!
//! Pure. Which items a list has is in `lists.rs`.

use serde_json::{Map, Value};

use crate::{
    answers::Problem,
    cursor::{self, Key},
    endpoints::{ListRule, Paging},
    quirks::Quirks,
    switches::{LastNext, PageCap, Verdict},
};

/// Offset paging ends here.
const MAX_RECORDS: usize = 1000;
const MAX_PAGE: usize = 1_000_000;
const MAX_PAGE_SIZE: usize = 100;
const CAPPED_PAGE_SIZE: usize = 50;
const DEFAULT_PAGE_SIZE: usize = 50;

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Offset(usize),
    /// After this item, or at the beginning.
    After(Option<Key>),
}

/// The page that a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageQuery {
    pub start: Start,
    /// The number of items to serve.
    pub serve: usize,
    /// The `limit` in the answer.
    pub limit: usize,
    pub include_totals: bool,
    /// The chosen fields.
    pub fields: Fields,
}

/// The choice of fields: `fields=a,b` with `include_fields` true or false.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    names: Vec<String>,
    exclude: bool,
}

impl Fields {
    pub(crate) fn parse(query: &[(String, String)], known: &[&str]) -> Result<Self, Problem> {
        let exclude = !boolean(query, "include_fields")?.unwrap_or(true);
        let Some(text) = value(query, "fields").filter(|text| !text.is_empty()) else {
            return Ok(Self { names: Vec::new(), exclude });
        };
        let names: Vec<String> = text.split(',').map(str::to_owned).collect();
        if names.iter().any(|name| !known.contains(&name.as_str())) {
            return Err(Problem::query(format!(
                "'String '{text}' does not match pattern. Must be a comma separated list of the following values: {}' \
                 on property fields (Comma-separated list of fields to include or exclude (based on value provided for \
                 include_fields) in the result. Leave empty to retrieve all fields.).",
                known.join(",")
            )));
        }
        Ok(Self { names, exclude })
    }

    /// Whether a field outside the default answer was requested by name.
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

pub(crate) fn value<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn number(
    query: &[(String, String)],
    (name, about): (&str, &str),
    allowed: std::ops::RangeInclusive<usize>,
) -> Result<Option<usize>, Problem> {
    let Some(text) = value(query, name) else { return Ok(None) };
    let wrong = |complaint: String| Problem::query(format!("'{complaint}' on property {name} ({about})."));
    match text.parse::<i64>() {
        Err(_) => Err(wrong("Expected type integer but found type string".into())),
        Ok(number) => match usize::try_from(number) {
            Ok(number) if number > *allowed.end() => {
                Err(wrong(format!("Value {number} is greater than maximum {}", allowed.end())))
            }
            Ok(number) if allowed.contains(&number) => Ok(Some(number)),
            _ => Err(wrong(format!("Value {number} is less than minimum {}", allowed.start()))),
        },
    }
}

fn boolean(query: &[(String, String)], name: &str) -> Result<Option<bool>, Problem> {
    match value(query, name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Problem::query(format!("'Expected type boolean but found type string' on property {name}."))),
    }
}

/// The value of a query parameter that must be there.
pub(crate) fn required<'a>(query: &'a [(String, String)], name: &str) -> Result<&'a str, Problem> {
    value(query, name)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Problem::query(format!("'Missing required property: {name}'.")))
}

/// Refuses query parameters that the endpoint does not know.
pub(crate) fn only(query: &[(String, String)], known: &[&str]) -> Result<(), Problem> {
    let extra: Vec<&str> = query.iter().map(|(key, _)| key.as_str()).filter(|key| !known.contains(key)).collect();
    if extra.is_empty() {
        return Ok(());
    }
    Err(Problem::query(format!("'Additional properties not allowed: {}'.", extra.join(","))))
}

impl PageQuery {
    pub(crate) fn parse(query: &[(String, String)], rule: ListRule, quirks: &Quirks) -> Result<Self, Problem> {
        let mut known = Vec::new();
        if rule.paging != Paging::Checkpoint {
            known.extend(["page", "per_page", "include_totals"]);
        }
        if rule.paging != Paging::Offset {
            known.extend(["from", "take"]);
        }
        if !rule.fields.is_empty() {
            known.extend(["fields", "include_fields"]);
        }
        known.extend(rule.filters);
        known.extend(rule.required);
        only(query, &known)?;
        for name in rule.required {
            required(query, name)?;
        }
        let most = if quirks.switches.page_cap == PageCap::FiftyOrRefused { CAPPED_PAGE_SIZE } else { MAX_PAGE_SIZE };
        let size = number(query, ("per_page", "Number of results per page. Defaults to 50."), 1..=most)?;
        let take = number(query, ("take", "Number of results per page. Defaults to 50."), 1..=most)?;
        let page = number(query, ("page", "Page index of the results to return. First page is 0."), 0..=MAX_PAGE)?;
        // A query with both gets checkpoints, with their page size.
        let checkpoint = rule.paging == Paging::Checkpoint || value(query, "from").is_some() || take.is_some();
        let asked = if checkpoint { take } else { size }.unwrap_or(DEFAULT_PAGE_SIZE);
        let capped = if quirks.switches.page_cap == PageCap::Fifty { asked.min(CAPPED_PAGE_SIZE) } else { asked };
        let limit = quirks.paging.max_page_size.map_or(capped, |most| capped.min(most)).max(1);
        let serve = quirks.paging.short_pages.map_or(limit, |most| limit.min(most)).max(1);
        let start = if checkpoint {
            Start::After(value(query, "from").map(|text| cursor::decode(text).ok_or(no_checkpoint(text))).transpose()?)
        } else {
            let ends = rule.ends || quirks.switches.user_lists_beyond_1000 == Verdict::Refused;
            offset(page.unwrap_or(0), limit, serve, ends)?
        };
        let start = if quirks.paging.repeat_first_page { start.first() } else { start };
        let include_totals = boolean(query, "include_totals")?.unwrap_or(false);
        Ok(Self { start, serve, limit, include_totals, fields: Fields::parse(query, rule.fields)? })
    }

    /// Whether this page begins a walk through the list.
    pub(crate) fn begins(&self) -> bool {
        matches!(self.start, Start::Offset(0) | Start::After(None))
    }

    /// Wraps a page, by the rule of the list, the query and the quirks.
    pub(crate) fn wrap(&self, page: Page<'_>, rule: ListRule, quirks: &Quirks) -> Value {
        let Quirks { paging, switches, .. } = quirks;
        let last = page.last;
        let keep = page.items.len().saturating_sub(paging.hidden_per_page);
        let items: Value = page.items.into_iter().take(keep).collect();
        let mut wrapped = Map::new();
        match &self.start {
            Start::Offset(_) if !self.include_totals => return items,
            Start::Offset(start) => {
                wrapped.insert("start".into(), (*start).into());
                wrapped.insert("limit".into(), self.limit.into());
                if !paging.omit_total {
                    wrapped.insert("total".into(), page.total.into());
                }
            }
            // No recorded page of a walk by checkpoints has a total, even when it was requested.
            Start::After(from) => {
                let from = from.as_ref().map(|(time, item)| (*time, item.as_str()));
                let again = if paging.looping_cursor { from } else { last };
                let goes_on = page.more || switches.last_next == LastNext::Present || paging.looping_cursor;
                if let Some((time, item)) = last.filter(|_| goes_on).and(again.or(last)) {
                    wrapped.insert("next".into(), cursor::encode(time, item).into());
                }
            }
        }
        wrapped.insert(rule.key.into(), items);
        wrapped.into()
    }
}

/// One page of the list.
pub(crate) struct Page<'a> {
    /// The last item's key, even if the item itself is hidden.
    pub last: Option<(u64, &'a str)>,
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

fn offset(page: usize, limit: usize, serve: usize, ends: bool) -> Result<Start, Problem> {
    let end = page.saturating_add(1).saturating_mul(limit);
    if ends && end > MAX_RECORDS {
        let complaint = "Requesting page exceeds the allowed maximum of 1000 records";
        return Err(Problem::bad_request("invalid_paging", complaint));
    }
    Ok(Start::Offset(page.saturating_mul(serve)))
}

fn no_checkpoint(text: &str) -> Problem {
    Problem::query(format!(
        "'{text} is no valid checkpoint' on property from (Optional Id from which to start selection.)."
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{quirks::PagingQuirks, switches::Switches};

    const RULE: ListRule = ListRule {
        key: "members",
        paging: Paging::Either,
        fields: &["user_id", "email"],
        ends: true,
        filters: &["name_filter"],
        required: &[],
    };

    fn parse(query: &str, quirks: &Quirks) -> Result<PageQuery, &'static str> {
        parse_as(query, RULE, quirks)
    }

    fn parse_as(query: &str, rule: ListRule, quirks: &Quirks) -> Result<PageQuery, &'static str> {
        let pairs: Vec<_> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        PageQuery::parse(&pairs, rule, quirks).map_err(|problem| problem.code.unwrap())
    }

    fn switched(change: impl FnOnce(&mut Switches)) -> Quirks {
        let mut quirks = Quirks::default();
        change(&mut quirks.switches);
        quirks
    }

    fn paging(change: impl FnOnce(&mut PagingQuirks)) -> Quirks {
        let mut quirks = Quirks::default();
        change(&mut quirks.paging);
        quirks
    }

    #[test]
    fn offsets_end_at_a_thousand_records_where_that_is_documented_or_switched_on() {
        let behaved = Quirks::default();
        assert_eq!(parse("page=9&per_page=100", &behaved).unwrap().start, Start::Offset(900));
        assert_eq!(parse("page=10&per_page=100", &behaved), Err("invalid_paging"));
        assert_eq!(parse("page=19", &behaved).unwrap().start, Start::Offset(950));
        assert_eq!(parse("page=20", &behaved), Err("invalid_paging"));
        let endless = ListRule { ends: false, ..RULE };
        assert_eq!(parse_as("page=20", endless, &behaved).unwrap().start, Start::Offset(1000));
        let refused = switched(|s| s.user_lists_beyond_1000 = Verdict::Refused);
        assert_eq!(parse_as("page=20", endless, &refused), Err("invalid_paging"));
    }

    #[test]
    fn bad_queries_are_refused() {
        for query in [
            "per_page=101",
            "per_page=0",
            "per_page=x",
            "page=-1",
            "take=101",
            "from=x",
            "include_totals=1",
            "q=a",
            "fields=user_id,password",
        ] {
            assert_eq!(parse(query, &Quirks::default()), Err("invalid_query_string"), "{query}");
        }
    }

    #[test]
    fn checkpoints_win_over_pages() {
        let page = parse("per_page=50&take=100&page=3&include_totals=true&name_filter=x", &Quirks::default()).unwrap();
        assert_eq!((page.start, page.serve), (Start::After(None), 100));
    }

    #[test]
    fn what_has_checkpoints_only_begins_with_one_and_knows_no_pages() {
        let rule = ListRule { paging: Paging::Checkpoint, ..RULE };
        let behaved = Quirks::default();
        let choosy = ListRule { required: &["role_id"], ..rule };
        assert_eq!(parse_as("", choosy, &behaved), Err("invalid_query_string"));
        assert!(parse_as("role_id=x", choosy, &behaved).is_ok());
        assert_eq!(parse_as("", rule, &behaved).unwrap().start, Start::After(None));
        assert_eq!(parse_as("take=7", rule, &behaved).unwrap().serve, 7);
        for query in ["page=0", "per_page=7", "include_totals=true"] {
            assert_eq!(parse_as(query, rule, &behaved), Err("invalid_query_string"), "{query}");
        }
    }

    #[test]
    fn a_cap_is_said_and_a_short_page_is_not() {
        for capped in [paging(|p| p.max_page_size = Some(50)), switched(|s| s.page_cap = PageCap::Fifty)] {
            let page = parse("page=2&per_page=100", &capped).unwrap();
            assert_eq!((page.start, page.serve, page.limit), (Start::Offset(100), 50, 50));
        }
        let short = paging(|p| p.short_pages = Some(7));
        let page = parse("page=2&per_page=100", &short).unwrap();
        assert_eq!((page.start, page.serve, page.limit), (Start::Offset(14), 7, 100));
        let refusing = switched(|s| s.page_cap = PageCap::FiftyOrRefused);
        assert_eq!(parse("per_page=51", &refusing), Err("invalid_query_string"));
        assert_eq!(parse("take=50", &refusing).unwrap().serve, 50);
    }

    #[test]
    fn next_is_absent_at_the_end_unless_an_empty_page_is_to_follow_and_total_always() {
        let wrapped = |quirks: &Quirks, more| {
            let query = parse("take=2&include_totals=true", quirks).unwrap();
            let page = Page { last: Some((7, "b")), items: vec![1.into(), 2.into()], total: 9, more };
            query.wrap(page, RULE, quirks)
        };
        let behaved = Quirks::default();
        assert_eq!(wrapped(&behaved, true)["next"], cursor::encode(7, "b"));
        assert!(wrapped(&behaved, false).get("next").is_none());
        assert!(wrapped(&behaved, true).get("total").is_none());
        let present = switched(|s| s.last_next = LastNext::Present);
        assert_eq!(wrapped(&present, false)["next"], cursor::encode(7, "b"));
    }
}
