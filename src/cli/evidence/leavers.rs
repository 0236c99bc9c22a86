//! The removals of each person, for the timeline of the page. Pure.

use std::collections::BTreeMap;

use crate::api::escaped;
use crate::cli::texts::{count, shown};

use super::row::{Row, Sla, Standing};
use super::spans::{Scale, span};

/// A person with their removals.
pub struct Leaver {
    /// How their removals stand, as a class of the page.
    pub class: &'static str,
    /// The same as a word.
    pub state: &'static str,
    /// What they are called, with a space behind it.
    pub name: String,
    /// Their id.
    pub user: String,
    /// How many removals.
    pub items: String,
    /// The class of the bar: `x` if something is not done.
    pub bar: &'static str,
    /// Where the last removal is on the scale.
    pub r: String,
    /// Where the last proof is.
    pub p: String,
    /// How long both took, in words.
    pub took: String,
    /// The removals.
    pub rows: Vec<Line>,
    rank: (u8, i64),
}

/// A removal in the table of a person.
pub struct Line {
    /// What kind of item.
    pub kind: &'static str,
    /// The item.
    pub item: String,
    /// Its object.
    pub object: String,
    /// When it was asked for.
    pub asked: String,
    /// By whom.
    pub by: String,
    /// How long the removal took.
    pub removed: String,
    /// How long the proof took.
    pub proved: String,
    /// How it stands.
    pub state: String,
}

impl Standing {
    /// The class of the page: good, unsure or bad.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Proved => "g",
            Self::Unproved => "u",
            Self::NotDone => "b",
        }
    }
}

/// The people: those with exceptions first, then the slowest.
pub fn leavers(rows: &[(&Row, Vec<String>)], scale: &Scale) -> Vec<Leaver> {
    let mut people: BTreeMap<&str, Vec<&(&Row, Vec<String>)>> = BTreeMap::new();
    for row in rows {
        people.entry(&row.0.user_id).or_default().push(row);
    }
    let mut leavers: Vec<Leaver> = people.into_iter().map(|(user, rows)| leaver(user, &rows, scale)).collect();
    leavers.sort_by(|a, b| b.rank.cmp(&a.rank).then_with(|| a.user.cmp(&b.user)));
    leavers
}

fn leaver(user: &str, rows: &[&(&Row, Vec<String>)], scale: &Scale) -> Leaver {
    let worst = |standing: Standing| rows.iter().any(|(row, _)| row.standing == standing);
    let standing = [Standing::NotDone, Standing::Unproved].into_iter().find(|standing| worst(*standing));
    let standing = standing.unwrap_or(Standing::Proved);
    let is_late = rows.iter().any(|(row, _)| row.within_sla == Sla::No);
    let has_exception = rows.iter().any(|(_, why)| !why.is_empty());
    let removed = rows.iter().filter_map(|(row, _)| row.seconds_to_done()).max();
    let proved = rows.iter().filter_map(|(row, _)| row.seconds_to_proved()).max().max(removed);
    let is_undone = standing == Standing::NotDone;
    let rank = if is_undone {
        4
    } else if is_late {
        3
    } else if standing == Standing::Unproved {
        2
    } else {
        u8::from(has_exception)
    };
    let (class, state) = match (standing, is_late) {
        (Standing::Proved | Standing::Unproved, true) => ("b", "too late"),
        (Standing::Proved, false) if has_exception => ("u", "look"),
        (standing, _) => (standing.class(), standing.as_str()),
    };
    let name = rows.iter().find_map(|(row, _)| row.user_name.as_deref());
    Leaver {
        class,
        state,
        name: name.map(|name| format!("{} ", shown(name))).unwrap_or_default(),
        user: if user.is_empty() { "person not known".to_owned() } else { shown(user) },
        items: count(rows.len(), "removal"),
        bar: if is_undone { "x" } else { "" },
        r: if is_undone { "100".to_owned() } else { scale.at(removed) },
        p: if is_undone { "100".to_owned() } else { scale.at(proved) },
        took: match (is_undone, removed) {
            (true, _) => "not all are done".to_owned(),
            (false, None) => "time not known".to_owned(),
            (false, Some(_)) => format!("{}, {}", after(removed), after(proved)),
        },
        rows: rows.iter().map(|(row, _)| line_of(row)).collect(),
        rank: (rank, removed.unwrap_or_default()),
    }
}

/// A removal as a line.
pub fn line_of(row: &Row) -> Line {
    let item = if row.item_id.is_empty() { "not known".to_owned() } else { shown(&row.item_id) };
    let of = row.item_of.as_deref().map(|of| format!(" of {}", shown(of))).unwrap_or_default();
    Line {
        kind: if row.item_type == "organization-role" { "role in organization" } else { row.item_type },
        item: item + &of,
        object: escaped(&format!("{}/{}", row.namespace, row.name)).into_owned(),
        asked: row
            .requested_at
            .map_or_else(|| "not known".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string()),
        by: row.requested_by.as_deref().map(shown).unwrap_or_default(),
        removed: after(row.seconds_to_removed()),
        proved: after(row.seconds_to_proved()),
        state: match row.standing {
            Standing::Proved => shown(&row.verdict),
            Standing::Unproved => shown(&format!("{}, not proved", row.verdict)),
            Standing::NotDone => shown(&format!("not done: {}", row.verdict)),
        },
    }
}

fn after(seconds: Option<i64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), |seconds| span(seconds.unsigned_abs()))
}
