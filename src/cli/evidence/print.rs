//! What a report adds up to, as text for the terminal.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::api::printable;
use crate::cli::screen::{Screen, Tone};
use crate::cli::texts::{count, thousands};

use super::report::{Counts, Evidence};
use super::spans::span;

/// How many objects a line names.
const NAMED: usize = 5;

/// The summary. `files` says where the report is.
pub fn text(screen: &Screen, evidence: &Evidence, files: Option<&str>) -> String {
    let Evidence { counts, completeness, origin, .. } = evidence;
    let mut out = String::new();
    let mut row = |tone: Option<Tone>, name: &str, text: &str| {
        let name = format!("{name:<12}");
        let name = tone.map_or_else(|| name.clone(), |tone| screen.paint(tone, &name));
        // Writing to a text cannot fail.
        let _ = writeln!(out, "{name} {}", printable(text));
    };
    row(Some(Tone::Strong), "population", &population(evidence));
    row(Some(Tone::Good), "proved", &format!("{:>6}   by a complete read", thousands(counts.proved)));
    let unsure = |number: usize| (number > 0).then_some(Tone::Unsure);
    row(unsure(counts.unproved), "unproved", &by(counts.unproved, &counts.unproved_by_reason));
    let bad = (counts.not_done > 0).then_some(Tone::Bad);
    row(bad, "not done", &by(counts.not_done, &counts.not_done_by_reason));
    let late = counts.within_sla.get("no").is_some_and(|late| *late > 0).then_some(Tone::Bad);
    row(late, &format!("within {}", span(origin.query.sla_seconds)), &within(counts));
    row(unsure(counts.exceptions), "exceptions", &format!("{:>6}", thousands(counts.exceptions)));
    row(None, "asked by", &asked(counts));
    if !counts.recheck.is_empty() {
        let of = |word: &str| thousands(counts.recheck.get(word).copied().unwrap_or_default());
        let held = counts.recheck.contains_key("held").then_some(Tone::Bad);
        let text = format!("{:>6} still gone, {} held, {} unknown", of("gone"), of("held"), of("unknown"));
        row(held, "read again", &text);
    }
    for reads in &origin.auth0 {
        let token = reads.token.as_ref().map(|token| format!(", token: {token}")).unwrap_or_default();
        row(None, "Auth0", &format!("{} to {}{token}", count(reads.calls, "call"), reads.domain));
        reads.unread.iter().for_each(|why| row(Some(Tone::Unsure), "not read", why));
    }
    if completeness.observing > 0 {
        row(
            None,
            "left out",
            &format!("{} of mode Observe: nothing was to be removed", count(completeness.observing, "object")),
        );
    }
    if !completeness.only_in_objects.is_empty() {
        let text = format!(
            "{} whose removal no audit line names: {}",
            count(completeness.only_in_objects.len(), "object"),
            some(&completeness.only_in_objects)
        );
        row(Some(Tone::Unsure), "no audit", &text);
    }
    for problem in completeness.unread.iter().chain(&completeness.faults) {
        row(Some(Tone::Bad), "INCOMPLETE", problem);
    }
    if let Some(files) = files {
        let _ = writeln!(out, "{}", printable(files));
    }
    let _ = writeln!(out, "\nThis does not show:");
    for what in &completeness.does_not_show {
        let _ = writeln!(out, "  {what}");
    }
    out
}

fn population(evidence: &Evidence) -> String {
    let Evidence { counts, completeness, origin, .. } = evidence;
    let (since, until) = (origin.query.since, origin.query.until);
    let day = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let people =
        if counts.people == 1 { "1 person".to_owned() } else { format!("{} people", thousands(counts.people)) };
    format!(
        "{} of {people}, asked for from {} until {}; {} still there, {} only in an audit log",
        count(counts.removals, "removal"),
        day(since),
        day(until),
        count(completeness.objects, "object"),
        thousands(completeness.only_in_audit.len()),
    )
}

fn by(number: usize, reasons: &BTreeMap<String, usize>) -> String {
    let mut reasons: Vec<_> = reasons.iter().collect();
    reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let reasons: Vec<String> =
        reasons.iter().map(|(reason, number)| format!("{reason} ({})", thousands(**number))).collect();
    format!("{:>6}   {}", thousands(number), reasons.join(", ")).trim_end().to_owned()
}

fn within(counts: &Counts) -> String {
    let of = |word: &str| counts.within_sla.get(word).copied().unwrap_or_default();
    let mut text = format!("{:>6} of {}", thousands(of("yes")), thousands(counts.removals));
    for (word, meaning) in [("no", "too late"), ("open", "not done, with time left"), ("unknown", "of unknown time")] {
        if of(word) > 0 {
            let _ = write!(text, ", {} {meaning}", thousands(of(word)));
        }
    }
    if let Some(slowest) = counts.slowest_seconds {
        let _ = write!(text, "; slowest {}", span(slowest.unsigned_abs()));
    }
    text
}

fn asked(counts: &Counts) -> String {
    let meanings = [
        ("admission", "compared by the API server"),
        ("kube-audit", "named by the API server's audit log"),
        ("claimed", "only claimed"),
        ("unknown", "by persons not named"),
    ];
    let of = |word: &str| counts.requested_by_source.get(word).copied().unwrap_or_default();
    let parts = meanings.iter().filter(|(word, _)| of(word) > 0);
    let parts: Vec<String> = parts.map(|(word, meaning)| format!("{} {meaning}", thousands(of(word)))).collect();
    format!("{:>6}", parts.join(", "))
}

fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {} more", thousands(more)) } else { String::new() };
    format!("{}{more}", names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_some_and_counts_the_rest() {
        let names: Vec<String> = (0..7).map(|n| format!("o{n}")).collect();
        assert_eq!(some(&names), "o0, o1, o2, o3, o4 and 2 more");
        assert_eq!(some(&names[..2]), "o0, o1");
    }
}
