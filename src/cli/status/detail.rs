//! Single objects, as text.

use jiff::Timestamp;

use crate::api::{escaped, printable};
use crate::cli::column::Column;
use crate::cli::screen::{Screen, Tone};
use crate::cli::table::table;
use crate::cli::texts::shown;
use crate::cli::times::{instant, relative, span};

use super::report::ObjectReport;

/// The colour of a column.
pub const fn tone(column: Column) -> Tone {
    match column {
        Column::Proved | Column::Absent | Column::Gone | Column::Observed => Tone::Good,
        Column::Unproved | Column::Waiting | Column::Held => Tone::Unsure,
        Column::Stalled => Tone::Bad,
    }
}

/// One object with everything that its status says.
pub fn object(screen: &Screen, object: &ObjectReport, now: Timestamp) -> String {
    let reason = object.reason.as_deref().unwrap_or("not looked at");
    let title = screen.paint(Tone::Strong, format!("{}/{}", object.kind, object.name));
    let mut out =
        format!("{title}  {}\n  {}\n", screen.paint(tone(object.column), shown(reason)), printable(&object.message));
    let mut rows: Vec<(&str, String)> = vec![("target", escaped(&object.target).into_owned())];
    rows.push((
        "tenant",
        format!("{}{}", object.tenant, object.domain.as_ref().map(|d| format!("  {}", shown(d))).unwrap_or_default()),
    ));
    if let Some(by) = &object.requested_by {
        rows.push(("asked by", shown(by)));
    }
    let mut time = |name, at: Option<Timestamp>| {
        rows.extend(at.map(|at| (name, format!("{}  {}", instant(at), relative(at, now)))));
    };
    time("created", object.created);
    time("removed", object.last_removal_time);
    time("verified", object.verified_time);
    time("in effect by", object.effective_by);
    time("next attempt", object.next_attempt_time);
    if let Some(result) = &object.result {
        let items = if result.items.is_empty() { String::new() } else { format!(" ({})", result.items.join(", ")) };
        let counts = format!(
            "{} named, {} accepted, {} absent before, {} remaining",
            result.requested, result.accepted, result.already_absent, result.remaining
        );
        rows.push(("result", counts + &escaped(&items)));
    }
    rows.extend(object.attempts.map(|attempts| ("attempts", attempts.to_string())));
    rows.extend(object.correlation_id.as_ref().map(|id| ("correlation", shown(id))));
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    out += &table(&rows, 2);
    if !object.conditions.is_empty() {
        out.push('\n');
        let rows: Vec<Vec<String>> = object
            .conditions
            .iter()
            .map(|condition| {
                let since = format!("for {}", span(now.duration_since(condition.since)));
                [&condition.r#type, &condition.status, &condition.reason, &since].map(|text| shown(text)).to_vec()
            })
            .collect();
        out += &table(&rows, 4);
        // Those of Ready, Reconciling and Stalled are the same, and stand above.
        let others = object.conditions.iter().filter(|condition| condition.message != object.message);
        for condition in others.filter(|condition| !condition.message.is_empty()) {
            out += &format!("  {}: {}\n", shown(&condition.r#type), printable(&condition.message));
        }
    }
    out + "\n"
}

/// Objects in lines: what, verdict, since when, who asked.
pub fn list(screen: &Screen, objects: &[ObjectReport], now: Timestamp) -> String {
    let mut out = String::new();
    let width = objects.iter().map(|object| object.title.chars().count()).max().unwrap_or(0);
    for object in objects {
        let reason = object.reason.as_deref().unwrap_or("not looked at");
        let since = object.since.map(|at| format!("since {} ({})", instant(at), relative(at, now))).unwrap_or_default();
        let by = object.requested_by.as_ref().map(|by| format!(", asked by {}", shown(by))).unwrap_or_default();
        let reason = screen.paint(tone(object.column), shown(reason));
        let place = format!("{} in {}", object.tenant, object.namespace);
        let place = screen.paint(Tone::Faint, place);
        out += &format!("  {:width$}  {reason}  {since}{by}  {place}\n", object.title);
        out += &format!("    {}\n", escaped(&object.target));
        if matches!(object.column, Column::Stalled | Column::Waiting | Column::Held) {
            out += &format!("    {}\n", printable(&object.message));
        }
    }
    out
}
