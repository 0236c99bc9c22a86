//! Names in code font: reasons, conditions, alerts, metrics, and the identifiers of the pages for developers.

use std::collections::BTreeSet;

use rescind::api::{BrakeReason, ConditionType, DriftedReason, EffectiveReason, Reason, State, VerifiedReason};

use crate::fields::words_of_the_schema;
use crate::markdown::words;
use crate::repository::{assert_none, page, pages, read, sources};

/// The pages for developers, which name identifiers of the code.
const FOR_DEVELOPERS: [&str; 5] =
    ["docs/architecture.md", "docs/auth0.md", "docs/design.md", "docs/testing.md", "CONTRIBUTING.md"];

/// Foreign names that the pages for users have in code font.
const OF_OTHERS: [&str; 5] = ["Bearer", "Date", "Kustomization", "Metadata", "RequestResponse"];

const VERIFIED: [VerifiedReason; 5] = [
    VerifiedReason::ReadAfter,
    VerifiedReason::ReadBefore,
    VerifiedReason::VerificationNever,
    VerifiedReason::ReadRefused,
    VerifiedReason::ProofPending,
];

const DRIFTED: [DriftedReason; 2] = [DriftedReason::CameBack, DriftedReason::KeepsComingBack];

/// What `kubectl rescind evidence` says of objects that have no reason.
const OF_EVIDENCE: [&str; 6] =
    ["Accepted", "DeletedBeforeProof", "DeletedBeforeRemoval", "NotLookedAt", "ObjectDeleted", "ObjectNotRead"];

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// `Removed`, `RateLimited`.
fn is_camel(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().all(|b| b.is_ascii_alphanumeric())
        && word.bytes().any(|b| b.is_ascii_lowercase())
}

fn alerts() -> BTreeSet<String> {
    let alerts = read("charts/rescind/files/alerts.yaml");
    alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

/// Every word in the form of a reason is a reason, or another name that exists.
#[test]
fn names_in_pages_for_users_exist() {
    let mut known: BTreeSet<String> = Reason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    known.extend(VERIFIED.map(|reason| reason.as_str().to_owned()));
    known.extend(DRIFTED.map(|reason| reason.as_str().to_owned()));
    known.extend(EffectiveReason::ALL.map(|reason| reason.as_str().to_owned()));
    known.extend(BrakeReason::ALL.map(|reason| reason.as_str().to_owned()));
    known.extend(ConditionType::ALL.map(|kind| kind.as_str().to_owned()));
    // The reasons in metrics for objects without a reason of ours.
    known.extend(["None", "Unknown"].map(str::to_owned));
    let evidence = read("src/cli/evidence/collect.rs") + &read("src/cli/evidence/standing.rs");
    known.extend(OF_EVIDENCE.iter().filter(|word| evidence.contains(&format!("\"{word}\""))).map(ToString::to_string));
    known.extend(OF_OTHERS.map(str::to_owned));
    known.extend(words_of_the_schema());
    known.extend(alerts());
    let mut findings = Vec::new();
    let is_for_users =
        |path: &str| path == "README.md" || (path.starts_with("docs/") && !FOR_DEVELOPERS.contains(&path));
    for page in pages().iter().filter(|page| is_for_users(&page.path)) {
        let names = page.spans.iter().filter(|span| is_camel(span) && !known.contains(*span));
        findings.extend(names.map(|name| format!("{}: there is no {name}", page.path)));
    }
    assert_none(&findings);
}

/// Every section of docs/troubleshooting.md about a reason is about one that exists.
#[test]
fn sections_on_reasons_are_of_reasons() {
    let text = read("docs/troubleshooting.md");
    let mut findings = Vec::new();
    let mut part = "";
    for line in text.lines() {
        part = line.strip_prefix("# ").unwrap_or(part);
        let title = line.strip_prefix("## ").filter(|_| ["Removals", "Tenants"].contains(&part));
        if title.is_some_and(|title| title != "None" && Reason::parse(title).is_none()) {
            findings.push(format!("{line} is no reason"));
        }
    }
    assert_none(&findings);
}

/// The table of docs/design.md has each reason of a removal once, with its conditions.
#[test]
fn the_table_of_reasons_is_complete() {
    let rows = page("docs/design.md").rows;
    for reason in Reason::ALL.iter().filter(|reason| crate::decisions::can_be_of_removals(**reason)) {
        let state = match reason.state() {
            State::Done => "| True | |",
            State::Waiting => "| False | `Reconciling` |",
            State::Stalled => "| False | `Stalled` |",
            State::Held => "| False | |",
        };
        let named = |row: &&String| row.contains(&format!("`{reason}`")) && row.starts_with(state);
        assert_eq!(rows.iter().filter(named).count(), 1, "{reason}: {state}");
    }
}

#[test]
fn reasons_of_other_conditions_are_explained() {
    let pages: Vec<String> = ["docs/design.md", "docs/troubleshooting.md"].map(read).into();
    let (verified, drifted) = (VERIFIED.map(VerifiedReason::as_str), DRIFTED.map(DriftedReason::as_str));
    let effective = EffectiveReason::ALL.map(EffectiveReason::as_str);
    let brake = BrakeReason::ALL.map(BrakeReason::as_str);
    for reason in verified.into_iter().chain(drifted).chain(effective).chain(brake) {
        assert!(pages.iter().any(|page| page.contains(&format!("`{reason}`"))), "{reason}");
    }
}

#[test]
fn alerts_are_in_the_page_on_troubles_and_nowhere_else() {
    let alerts = alerts();
    let page = page("docs/troubleshooting.md");
    let named: BTreeSet<String> =
        page.spans.iter().filter(|span| span.starts_with("Rescind") && is_camel(span)).cloned().collect();
    assert_eq!(named, alerts);
    let spans = pages().into_iter().flat_map(|page| page.spans);
    for alert in spans.filter(|span| span.starts_with("Rescind") && is_camel(span)) {
        assert!(alerts.contains(&alert), "{alert}");
    }
}

/// The end-to-end tests ensure that the table has what the program exports.
#[test]
fn metrics_in_the_pages_are_in_the_table() {
    let table = page("docs/metrics.md").rows.join("\n");
    let known: BTreeSet<&str> = words(&table, is_word).filter(|word| word.starts_with("rescind_")).collect();
    assert!(known.len() >= 20);
    let mut findings = Vec::new();
    // The changelog has earlier names, too.
    for page in pages().iter().filter(|page| page.path != "CHANGELOG.md") {
        for name in
            page.in_code_font().flat_map(|code| words(code, is_word)).filter(|word| word.starts_with("rescind_"))
        {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            if !known.contains(name) && !family.is_some_and(|family| known.contains(family)) {
                findings.push(format!("{}: there is no metric {name}", page.path));
            }
        }
    }
    assert_none(&findings);
}

/// Every type, function, macro and constant that the pages for developers name is somewhere in the code.
#[test]
fn identifiers_in_pages_for_developers_exist() {
    let code = sources(&[""]);
    // What comments say is no code.
    let lines = code.iter().flat_map(|(_, text)| text.lines()).filter(|line| !line.trim_start().starts_with("//"));
    let known: BTreeSet<&str> = lines.flat_map(|line| words(line, is_word)).collect();
    let mut findings = Vec::new();
    for page in FOR_DEVELOPERS.map(page) {
        let is_identifier = |span: &&String| {
            span.chars().all(|c| is_word(c) || ":!()".contains(c)) && !span.starts_with("TestAcc") && !span.is_empty()
        };
        for name in page.spans.iter().filter(is_identifier).flat_map(|span| words(span, is_word)) {
            if name.parse::<u64>().is_err() && !known.contains(name) {
                findings.push(format!("{}: {name} is nowhere in the code", page.path));
            }
        }
    }
    assert_none(&findings);
}
