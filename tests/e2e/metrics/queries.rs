//! Parses PromQL just enough to find the metrics and labels that an expression uses.

use std::collections::BTreeSet;

use super::exposition::Scrape;

const FUNCTIONS: [&str; 9] = ["absent", "sum", "max", "min", "count", "rate", "increase", "histogram_quantile", "time"];
/// A list of labels follows these words.
const LISTS: [&str; 3] = ["by", "on", "without"];
const WORDS: [&str; 4] = ["and", "or", "unless", "vector"];
/// The labels that Prometheus adds to every sample it scrapes.
const OF_TARGETS: [&str; 2] = ["instance", "job"];

/// Panics if `expression` uses a metric, or a label of one, that is not exposed.
pub fn check(expression: &str, scrape: &Scrape) {
    let mut known: BTreeSet<&str> = OF_TARGETS.into();
    let mut lists = BTreeSet::new();
    let tokens = tokens(expression);
    let mut at = 0;
    while at < tokens.len() {
        let token = tokens[at];
        let next = tokens.get(at + 1).copied().unwrap_or_default();
        at += 1;
        if LISTS.contains(&token) {
            assert_eq!(next, "(", "{expression}");
            at += 1;
            while tokens[at] != ")" {
                lists.insert(tokens[at]);
                at += 1;
            }
        } else if is_name(token) && !WORDS.contains(&token) {
            if FUNCTIONS.contains(&token) {
                continue;
            }
            let labels = scrape.labels(token).unwrap_or_else(|| panic!("{token} is not exposed: {expression}"));
            if next == "{" {
                at += 1;
                while tokens[at] != "}" {
                    assert!(labels.contains(tokens[at]), "{token} has no label {}: {expression}", tokens[at]);
                    // The label, the operator, the value.
                    at += 3;
                }
            }
            known.extend(labels);
        }
    }
    assert!(lists.is_subset(&known), "{lists:?} are not all among {known:?}: {expression}");
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Names, strings, numbers with their units, durations in brackets, operators; no commas.
fn tokens(expression: &str) -> Vec<&str> {
    let mut rest = expression.trim_start();
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => rest[1..].find('"').unwrap() + 2,
            '[' => rest.find(']').unwrap() + 1,
            c if c.is_ascii_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len())
            }
            _ if ["=~", "!~", "!=", "==", ">=", "<="].iter().any(|two| rest.starts_with(two)) => 2,
            _ => 1,
        };
        let (token, more) = rest.split_at(length);
        if token != "," {
            tokens.push(token);
        }
        rest = more.trim_start();
    }
    tokens
}
