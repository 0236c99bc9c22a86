//! Links, paths, and the sections that code and charts cite.

use std::path::{Component, Path, PathBuf};

use crate::markdown::words;
use crate::repository::{assert_none, page, pages, root, sources};

const FOLDERS: [&str; 9] = ["src/", "tests/", "docs/", "charts/", "examples/", "crds/", "config/", "image/", ".ci/"];

/// `path` without `..`.
fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir {
            resolved.pop();
        } else {
            resolved.push(component);
        }
    }
    resolved
}

#[test]
fn links_lead_somewhere() {
    let mut findings = Vec::new();
    let pages = pages();
    for from in &pages {
        for link in from.links.iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = Path::new(&from.path).parent().unwrap();
            let target = if path.is_empty() { PathBuf::from(&from.path) } else { resolved(&folder.join(path)) };
            let to = pages.iter().find(|page| Path::new(&page.path) == target);
            if !root().join(&target).exists() {
                findings.push(format!("{}: {link} does not exist", from.path));
            } else if !anchor.is_empty() && !to.is_some_and(|to| to.anchors.contains(anchor)) {
                findings.push(format!("{}: {link} is no section", from.path));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn paths_in_code_font_exist() {
    let mut findings = Vec::new();
    for page in pages() {
        for span in page.spans.iter().filter(|span| FOLDERS.iter().any(|folder| span.starts_with(folder))) {
            let path = span.split(['#', ' ']).next().unwrap();
            if !root().join(path).exists() {
                findings.push(format!("{}: {span} does not exist", page.path));
            }
        }
    }
    assert_none(&findings);
}

/// A source as one line, without the marks at the beginning of comment lines.
fn unwrapped(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches(['/', '!', '#', '*']).trim());
    lines.collect::<Vec<_>>().join(" ")
}

/// How a page is cited, right after its name (`#anchor`; `, "Title"`; `, section "Title"`) or right before (`"Title" in
/// `).
enum Cited {
    Anchor(String),
    Title(String),
    Nothing,
}

fn cited(before: &str, after: &str) -> Cited {
    if let Some(anchor) = after.strip_prefix('#') {
        let anchor = words(anchor, |c| c.is_alphanumeric() || c == '-' || c == '_').next();
        let is_known = anchor.filter(|_| !after.starts_with("#{") && !after.starts_with("#\""));
        return is_known.map_or(Cited::Nothing, |anchor| Cited::Anchor(anchor.to_owned()));
    }
    let words = after.trim_start_matches([',', ';', ':']);
    let title = words.trim_start().trim_start_matches("section ").trim_start_matches("under ");
    if words.starts_with(' ')
        && let Some((title, _)) = title.strip_prefix('"').and_then(|title| title.split_once('"'))
    {
        return Cited::Title(title.to_owned());
    }
    let before = before.strip_suffix(" in ").or(before.strip_suffix(" of "));
    let title = before.and_then(|before| before.strip_suffix('"')).and_then(|before| before.rsplit_once('"'));
    title.map_or(Cited::Nothing, |(_, title)| Cited::Title(title.to_owned()))
}

#[test]
fn cited_pages_and_sections_exist() {
    let mut findings = Vec::new();
    let mut seen = 0;
    for (path, text) in sources(&[""]) {
        let text = unwrapped(&text);
        for (at, _) in text.match_indices("docs/") {
            let name = words(&text[at..], |c| c.is_alphanumeric() || "/-_.".contains(c)).next().unwrap_or_default();
            let Some((name, _)) = name.split_once(".md") else { continue };
            let cites = format!("{name}.md");
            // Part of the URL of a foreign page.
            if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-') || text[..at].ends_with("com/") {
                continue;
            }
            seen += 1;
            if !root().join(&cites).is_file() {
                findings.push(format!("{path}: {cites} does not exist"));
                continue;
            }
            let page = page(&cites);
            match cited(&text[..at], &text[at + cites.len()..]) {
                Cited::Anchor(anchor) if !page.anchors.contains(&anchor) => {
                    findings.push(format!("{path}: {cites} has no #{anchor}"));
                }
                Cited::Title(title) if !page.headings.contains(&title) => {
                    findings.push(format!("{path}: {cites} has no section \"{title}\""));
                }
                _ => {}
            }
        }
    }
    assert!(seen >= 10, "only {seen}");
    assert_none(&findings);
}

/// Comments cite promises by number.
#[test]
fn cited_promises_exist() {
    let design = crate::repository::read("docs/design.md");
    let (_, promises) = design.split_once("\n## Promises\n").unwrap();
    let promises = promises.split("\n## ").next().unwrap();
    let count = (1..).take_while(|n| promises.contains(&format!("\n{n}. "))).count();
    let mut findings = Vec::new();
    for (path, text) in sources(&["src", "tests"]) {
        let text = unwrapped(&text);
        for (at, cite) in text.match_indices("promise ").chain(text.match_indices("promises ")) {
            let number = text[at + cite.len()..].split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            if number.parse::<usize>().is_ok_and(|number| !(1..=count).contains(&number)) {
                findings.push(format!("{path}: there is no promise {number}"));
            }
        }
    }
    assert_eq!(count, 14);
    assert_none(&findings);
}
