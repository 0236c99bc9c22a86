//! Parses Markdown as far as these tests need it: headings with their anchors, links, code spans, code blocks.

use std::collections::BTreeSet;

#[derive(Debug)]
pub struct Page {
    /// The path from the root of the repository.
    pub path: String,
    pub headings: Vec<String>,
    pub anchors: BTreeSet<String>,
    /// The targets of links.
    pub links: Vec<String>,
    /// Code spans within the text.
    pub spans: Vec<String>,
    /// The lines of code blocks.
    pub code: Vec<String>,
    /// The rows of tables, as written.
    pub rows: Vec<String>,
}

impl Page {
    pub fn read(path: &str, text: &str) -> Self {
        let mut page = Self {
            path: path.to_owned(),
            headings: Vec::new(),
            anchors: BTreeSet::new(),
            links: Vec::new(),
            spans: Vec::new(),
            code: Vec::new(),
            rows: Vec::new(),
        };
        let (mut fenced, mut paragraph) = (false, String::new());
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
                page.take(&std::mem::take(&mut paragraph));
            } else if fenced {
                page.code.push(line.trim().to_owned());
            } else {
                page.line(line, &mut paragraph);
            }
        }
        assert!(!fenced, "{path}: a code block does not end");
        page.take(&paragraph);
        page
    }

    fn line(&mut self, line: &str, paragraph: &mut String) {
        let title = line.trim_start_matches('#');
        if title.len() < line.len() && title.starts_with(' ') {
            self.heading(title.trim());
        }
        if line.trim_start().starts_with('|') {
            self.rows.push(line.trim().to_owned());
        }
        if line.trim().is_empty() {
            self.take(&std::mem::take(paragraph));
        }
        // A code span or a link may continue on the next line.
        *paragraph += line;
        paragraph.push(' ');
    }

    /// Adds the anchor of a heading, as the usual forges form it.
    fn heading(&mut self, title: &str) {
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        let anchor: String =
            title.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect();
        let numbered = (1..).map(|n| format!("{anchor}-{n}"));
        let free = std::iter::once(anchor.clone()).chain(numbered).find(|anchor| !self.anchors.contains(anchor));
        self.anchors.extend(free);
        self.headings.push(title.replace('`', ""));
    }

    /// Adds the spans and links of a paragraph.
    fn take(&mut self, paragraph: &str) {
        let (mut rest, mut plain) = (paragraph, String::new());
        while let Some((before, after)) = rest.split_once('`') {
            plain += before;
            let Some((span, after)) = after.split_once('`') else { break };
            self.spans.push(span.to_owned());
            // The text of a link may be code.
            plain.push('`');
            rest = after;
        }
        plain += rest;
        for part in plain.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                self.links.push(target.trim().to_owned());
            }
        }
    }

    /// The spans and the code, line by line.
    pub fn in_code_font(&self) -> impl Iterator<Item = &str> {
        self.spans.iter().chain(&self.code).map(String::as_str)
    }
}

/// The longest parts of `text` whose characters all satisfy `belongs`.
pub fn words(text: &str, belongs: fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |c| !belongs(c)).filter(|word| !word.is_empty())
}

#[test]
fn a_page_is_read() {
    let page = Page::read(
        "x.md",
        "# A `b` c!\n\n## Twice\n## Twice\n[one](two.md#three) `four\nfive`\n```sh\nmake six\n```\n| `seven` |\n",
    );
    assert_eq!(page.headings, ["A b c!", "Twice", "Twice"]);
    assert_eq!(page.anchors, ["a-b-c", "twice", "twice-1"].map(str::to_owned).into());
    assert_eq!((page.links, page.code), (vec!["two.md#three".to_owned()], vec!["make six".to_owned()]));
    assert_eq!(
        (page.spans, page.rows),
        (vec!["b".into(), "four five".into(), "seven".into()], vec!["| `seven` |".into()])
    );
}
