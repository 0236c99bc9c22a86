//! The tree of the ways by which somebody has something, as data. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::cli::reads::ReadError;
use crate::cli::texts::shown;

use super::way::Way;

/// How many names a line has.
const NAMED: usize = 5;

/// What is known of a node of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Sign {
    /// It is there.
    Held,
    /// It was not looked at.
    Unknown,
    /// It comes back, or is still valid.
    Warning,
    /// It is not there, by a complete read.
    NotHeld,
}

/// A line, and those below it. All texts are safe to print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// What is known of it.
    pub sign: Sign,
    /// What it is.
    pub what: String,
    /// More about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The relation, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// The command that ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What belongs to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Self>,
}

impl Node {
    /// A line.
    pub fn new(sign: Sign, what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { sign, what: what.into(), detail: detail.into(), way: None, command: None, below: Vec::new() }
    }

    /// A heading, whose sign is the strongest of those below it.
    pub fn heading(what: impl Into<String>, detail: impl Into<String>, below: Vec<Self>) -> Self {
        let sign = below.iter().map(|node| node.sign).min().unwrap_or(Sign::NotHeld);
        Self { below, ..Self::new(sign, what, detail) }
    }

    /// What was not looked at, and why. None if there is no reason. `about`: what it would have been looked at for.
    pub fn gap<'a>(what: &str, about: &[String], reasons: impl Iterator<Item = &'a ReadError>) -> Option<Self> {
        let (mut scopes, mut others) = (BTreeSet::new(), BTreeSet::new());
        for reason in reasons {
            match reason {
                ReadError::Scope(scope) => scopes.insert(shown(scope)),
                ReadError::NotFound => others.insert("Auth0 answered 404".to_owned()),
                ReadError::Failed(_) => others.insert(reason.to_string()),
            };
        }
        let needs = scopes.into_iter().collect::<Vec<_>>().join(" and ");
        let needs = (!needs.is_empty()).then(|| format!("needs {needs}"));
        let whys: Vec<String> = needs.into_iter().chain(others).collect();
        let about = if about.is_empty() { String::new() } else { format!(" for {}", some_of(about)) };
        (!whys.is_empty()).then(|| Self::new(Sign::Unknown, what, format!("not looked at{about}: {}", whys.join("; "))))
    }
}

/// What is to be said of one question, or of everything that somebody has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ways {
    /// The trees.
    pub trees: Vec<Node>,
    /// Sentences that concern no single way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Ways {
    /// How many different ways are left.
    pub fn left(&self) -> usize {
        let ways = self.nodes().into_iter().filter(|node| node.sign == Sign::Held);
        ways.filter_map(|node| node.way.as_ref()).collect::<BTreeSet<_>>().len()
    }

    /// How many things were not looked at.
    pub fn not_looked_at(&self) -> usize {
        let gaps = self.nodes().into_iter().filter(|node| node.sign == Sign::Unknown && node.below.is_empty());
        gaps.map(|node| (&node.what, &node.detail)).collect::<BTreeSet<_>>().len()
    }

    /// Whether something comes back, or is still valid.
    pub fn warns(&self) -> bool {
        self.nodes().iter().any(|node| node.sign == Sign::Warning)
    }

    /// Every line of the trees.
    pub fn nodes(&self) -> Vec<&Node> {
        fn add<'a>(to: &mut Vec<&'a Node>, nodes: &'a [Node]) {
            for node in nodes {
                to.push(node);
                add(to, &node.below);
            }
        }
        let mut all = Vec::new();
        add(&mut all, &self.trees);
        all
    }
}

/// The first of these names, which are safe to print.
pub fn some_of(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}
