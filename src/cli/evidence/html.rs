//! A report as one page for people who look rather than read: exceptions first, then sums, then a timeline for each
//! person. Every text is escaped twice over: what is not seen by [`escaped`], and HTML by the template. Pure.

use std::collections::BTreeMap;

use askama::Template;

use crate::api::escaped;
use crate::cli::error::CliError;
use crate::cli::texts::{count, shown, thousands};

use super::folder::Listed;
use super::leavers::{Leaver, leavers, line_of};
use super::report::{Completeness, Evidence};
use super::row::{Row, Sla, Source, Standing};
use super::spans::{Scale, span, utc};

/// So many exceptions stand open on the page.
const OPEN_EXCEPTIONS: usize = 10;
/// The page shows at most this many exceptions, and says so.
const MAX_EXCEPTIONS: usize = 500;
/// The longest message, in characters.
const MAX_MESSAGE: usize = 300;
/// The page names at most this many of those who asked.
const MAX_ASKERS: usize = 50;
/// The page names at most this many objects of each list.
const MAX_NAMED: usize = 200;

#[derive(Template)]
#[template(path = "report.html", escape = "html")]
struct Page<'a> {
    title: String,
    lead: String,
    since: String,
    until: String,
    scope: String,
    made_at: String,
    sla_at: String,
    problems: Vec<String>,
    exceptions_total: usize,
    exceptions_count: String,
    /// The first stand open; the title of those that are folded is not empty.
    exceptions: Vec<(String, Vec<Exception>)>,
    exceptions_more: usize,
    kinds_of_exceptions: Vec<(String, String)>,
    removals: String,
    people: String,
    objects: String,
    proved: String,
    unproved: String,
    not_done: String,
    sla: String,
    in_time: String,
    late: String,
    parts: Vec<(&'static str, usize)>,
    shares: String,
    buckets: Vec<(String, String, usize)>,
    per_item: bool,
    ticks: Vec<(String, String)>,
    leavers: Vec<Leaver>,
    sources: Vec<(&'static str, &'static str, String)>,
    askers: Vec<(String, &'static str, String)>,
    askers_more: usize,
    does_not_show: &'a [String],
    facts: Vec<(&'static str, String)>,
    lists: Vec<(String, Vec<String>)>,
    files: &'a [Listed],
    tool: &'a str,
}

/// A removal that somebody should look at.
struct Exception {
    class: &'static str,
    state: &'static str,
    why: String,
    name: String,
    user: String,
    kind: &'static str,
    item: String,
    asked: String,
    object: String,
    message: String,
}

/// The page. `files` are those beside it.
pub fn page(evidence: &Evidence, files: &[Listed]) -> Result<String, CliError> {
    let Evidence { rows, counts, completeness, origin, form } = evidence;
    let scale = Scale::new(origin.query.sla_seconds, counts.slowest_seconds);
    let of_sla = |word: &str| counts.within_sla.get(word).copied().unwrap_or_default();
    let all: Vec<(&Row, Vec<String>)> = rows.iter().map(|row| (row, row.exceptions())).collect();
    let mut found: Vec<_> = all.iter().filter(|(_, why)| !why.is_empty()).collect();
    found.sort_by_key(|(row, _)| row.severity());
    let (open, folded) = found.split_at(found.len().min(OPEN_EXCEPTIONS));
    let folded = folded.get(..MAX_EXCEPTIONS).unwrap_or(folded);
    let parts = [(String::new(), open), (count(folded.len(), "more exception"), folded)];
    let parts = parts.into_iter().filter(|(_, part)| !part.is_empty());
    let (askers, askers_more) = askers(rows);
    let problems = completeness.unread.iter().chain(&completeness.faults);
    let page = Page {
        lead: lead(counts.removals, counts.exceptions),
        title: format!("Access taken away in Auth0: {}", count(counts.removals, "removal")),
        since: utc(origin.query.since),
        until: utc(origin.query.until),
        scope: match &origin.query.namespace {
            Some(namespace) => format!("namespace {}", escaped(namespace)),
            None => "all namespaces".to_owned(),
        },
        made_at: utc(origin.created_at),
        sla_at: scale.at(i64::try_from(origin.query.sla_seconds).ok()),
        problems: problems.map(|problem| escaped(problem).into_owned()).collect(),
        exceptions_total: counts.exceptions,
        exceptions_count: thousands(counts.exceptions),
        exceptions: parts
            .map(|(title, part)| (title, part.iter().map(|(row, why)| exception(row, why)).collect()))
            .collect(),
        exceptions_more: found.len() - open.len() - folded.len(),
        kinds_of_exceptions: kinds(found.iter().flat_map(|(_, why)| why)),
        removals: thousands(counts.removals),
        people: thousands(counts.people),
        objects: count(completeness.objects + completeness.only_in_audit.len(), "object"),
        proved: thousands(counts.proved),
        unproved: thousands(counts.unproved),
        not_done: thousands(counts.not_done),
        sla: span(origin.query.sla_seconds),
        in_time: thousands(of_sla(Sla::Yes.as_str())),
        late: format!(
            "{} too late, {} open",
            thousands(of_sla(Sla::No.as_str())),
            thousands(of_sla(Sla::Open.as_str()))
        ),
        parts: [("g", counts.proved), ("u", counts.unproved), ("b", counts.not_done)]
            .into_iter()
            .filter(|(_, many)| *many > 0)
            .collect(),
        shares: shares(counts.removals, counts.proved, counts.unproved),
        buckets: buckets(rows, origin.query.sla_seconds),
        per_item: form.audit,
        ticks: scale.ticks(),
        leavers: leavers(&all, &scale),
        sources: sources(&counts.requested_by_source),
        askers,
        askers_more,
        does_not_show: &completeness.does_not_show,
        facts: facts(evidence),
        lists: lists(completeness),
        files,
        tool: &origin.tool,
    };
    page.render().map_err(|error| CliError::failed(format!("the page cannot be made ({error})")))
}

fn exception(row: &Row, why: &[String]) -> Exception {
    let line = line_of(row);
    // What is done needs another explanation than that it is.
    let is_done = row.standing != Standing::NotDone && row.is_not_in_effect();
    let message = if is_done { &row.effective_message } else { &row.message };
    Exception {
        class: row.standing.class(),
        state: row.standing.as_str(),
        why: why.iter().map(|why| shown(without_state(why))).collect::<Vec<_>>().join("; "),
        name: row.user_name.as_deref().map(shown).unwrap_or_default(),
        user: if row.user_id.is_empty() { "not known".to_owned() } else { shown(&row.user_id) },
        kind: line.kind,
        item: line.item,
        asked: line.asked,
        object: format!("{} {}", escaped(&row.kind), line.object),
        message: escaped(&message.chars().take(MAX_MESSAGE).collect::<String>()).into_owned(),
    }
}

/// Why, without the word that stands beside it.
fn without_state(why: &str) -> &str {
    ["not done: ", "not proved: "].into_iter().find_map(|state| why.strip_prefix(state)).unwrap_or(why)
}

fn lead(removals: usize, exceptions: usize) -> String {
    match (removals, exceptions) {
        (0, _) => "No removal was asked for in this period.".to_owned(),
        (all, 0) => format!("All {} are done, proved and in time.", count(all, "removal")),
        (all, exceptions) => {
            let good = thousands(all - exceptions);
            let need = if exceptions == 1 { "1 needs" } else { &format!("{} need", thousands(exceptions)) };
            format!("{good} of {} are done, proved and in time. {need} an answer.", count(all, "removal"))
        }
    }
}

/// How many exceptions there are of each kind. One removal may be of several.
fn kinds<'a>(why: impl Iterator<Item = &'a String>) -> Vec<(String, String)> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for why in why {
        let kind = if why.starts_with("came back") { "came back".to_owned() } else { shown(why) };
        *kinds.entry(kind).or_default() += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    kinds.into_iter().map(|(kind, many)| (kind, thousands(many))).collect()
}

fn shares(removals: usize, proved: usize, unproved: usize) -> String {
    if removals == 0 {
        return String::new();
    }
    // Rounded down, so that 100 % means all.
    let tenths = |number: usize| number * 1000 / removals;
    let share = |number: usize| format!("{}.{} %", tenths(number) / 10, tenths(number) % 10);
    format!("{} are proved, and {} are done, with or without proof.", share(proved), share(proved + unproved))
}

/// How many removals took how long, with the share of all in percent.
fn buckets(rows: &[Row], sla: u64) -> Vec<(String, String, usize)> {
    let mut limits: Vec<u64> = [60, 600, 3_600, 86_400].into_iter().filter(|limit| *limit < sla).collect();
    limits.push(sla);
    let mut buckets: Vec<(String, usize)> = limits.iter().map(|limit| (format!("up to {}", span(*limit)), 0)).collect();
    buckets.push((format!("more than {}", span(sla)), 0));
    buckets.push(("done, time not known".to_owned(), 0));
    buckets.push(("not done".to_owned(), 0));
    for row in rows {
        let place = match (row.standing, row.seconds_to_done()) {
            (Standing::NotDone, _) => limits.len() + 2,
            (Standing::Proved | Standing::Unproved, None) => limits.len() + 1,
            (Standing::Proved | Standing::Unproved, Some(seconds)) => {
                limits.iter().position(|limit| seconds.unsigned_abs() <= *limit).unwrap_or(limits.len())
            }
        };
        if let Some(bucket) = buckets.get_mut(place) {
            bucket.1 += 1;
        }
    }
    let percent = |number: usize| (number * 100).div_ceil(rows.len().max(1));
    buckets.into_iter().map(|(name, number)| (name, thousands(number), percent(number))).collect()
}

fn sources(by_source: &BTreeMap<String, usize>) -> Vec<(&'static str, &'static str, String)> {
    let known = [
        (Source::Admission.as_str(), "proof: the API server compared the name with the authenticated user"),
        (Source::KubeAudit.as_str(), "proof: the audit log of the API server names who created the object"),
        (Source::Claimed.as_str(), "a claim: the person who created the object wrote the name, and it was not checked"),
        ("unknown", "nothing: the object has no name of a person, and no audit log of the API server does"),
    ];
    let of = |word: &str| by_source.get(word).copied().unwrap_or_default();
    known.into_iter().map(|(word, worth)| (word, worth, thousands(of(word)))).collect()
}

/// Who asked, for how many removals, most first; and how many more there are.
fn askers(rows: &[Row]) -> (Vec<(String, &'static str, String)>, usize) {
    let mut askers: BTreeMap<(&str, &'static str), usize> = BTreeMap::new();
    for row in rows {
        let by = row.requested_by.as_deref().unwrap_or("not named");
        *askers.entry((by, row.requested_by_source.map_or("unknown", Source::as_str))).or_default() += 1;
    }
    let mut askers: Vec<_> = askers.into_iter().collect();
    askers.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let more = askers.len().saturating_sub(MAX_ASKERS);
    askers.truncate(MAX_ASKERS);
    (askers.into_iter().map(|((by, source), many)| (shown(by), source, thousands(many))).collect(), more)
}

fn facts(evidence: &Evidence) -> Vec<(&'static str, String)> {
    let Evidence { completeness, origin, .. } = evidence;
    let or_not_known = |text: &Option<String>| text.as_deref().map_or_else(|| "not known".to_owned(), shown);
    let domains: Vec<String> = origin.domains.iter().map(|domain| shown(domain)).collect();
    let mut facts = vec![
        ("Cluster", shown(&origin.cluster)),
        ("UID of kube-system", or_not_known(&origin.cluster_uid)),
        ("Auth0 domains", domains.join(", ")),
        ("Run by", or_not_known(&origin.run_by)),
        ("Program", origin.tool.clone()),
        ("Objects that are there", thousands(completeness.objects)),
        ("Objects only in an audit log", thousands(completeness.only_in_audit.len())),
        (
            "Objects left out",
            format!("{} of mode Observe: nothing was to be removed", thousands(completeness.observing)),
        ),
        ("Lines of the audit log", thousands(completeness.audit_lines)),
        ("Creations in the audit log of the API server", thousands(completeness.kube_audit_creations)),
    ];
    for reads in &origin.auth0 {
        facts.push(("Read from Auth0", format!("{}: {}", shown(&reads.domain), count(reads.calls, "call"))));
        facts.extend(reads.unread.iter().map(|why| ("Not read", escaped(why).into_owned())));
    }
    if let Some(selector) = &origin.query.selector {
        facts.push(("Label selector", shown(selector)));
    }
    for input in origin.query.audit_logs.iter().chain(&origin.query.kube_audit_logs) {
        facts.push(("File that was read", format!("{} (SHA-256 {})", shown(&input.file), input.sha256)));
    }
    facts
}

/// Lists of objects that show how complete the report is.
fn lists(completeness: &Completeness) -> Vec<(String, Vec<String>)> {
    let lists = [
        ("Objects that only an audit log names", &completeness.only_in_audit),
        ("Objects whose removal no line of the audit log names", &completeness.only_in_objects),
    ];
    let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
    lists
        .map(|(title, names)| {
            let more = names.len().saturating_sub(MAX_NAMED);
            let more = (more > 0).then(|| format!("and {} more, which MANIFEST.json names", thousands(more)));
            let named = names.iter().take(MAX_NAMED).map(|name| escaped(name).into_owned()).chain(more);
            (format!("{title} ({})", thousands(names.len())), named.collect())
        })
        .collect()
}
