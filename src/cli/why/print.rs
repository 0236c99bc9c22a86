//! The answer as text.

use std::fmt::Write;

use crate::api::printable;
use crate::cli::screen::{Screen, Tone};
use crate::cli::texts::{shown, thousands};

use super::objects::written;
use super::report::{AccountReport, Report};
use super::tree::{Node, Sign};

/// A column is not wider than this.
const MAX_COLUMN: usize = 60;

/// The characters of which a tree is made.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    signs: [&'static str; 4],
    branch: &'static str,
    last: &'static str,
    line: &'static str,
    blank: &'static str,
}

impl Style {
    /// For terminals that show Unicode.
    pub const UNICODE: Self =
        Self { signs: ["✓", "?", "!", "⨉"], branch: "├─ ", last: "└─ ", line: "│    ", blank: "     " };
    /// For all others.
    pub const ASCII: Self =
        Self { signs: ["+", "?", "!", "x"], branch: "|- ", last: "`- ", line: "|    ", blank: "     " };

    /// What the environment says that the terminal can show.
    pub fn detect() -> Self {
        let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| value(name)).unwrap_or_default();
        let locale = locale.to_ascii_uppercase().replace('-', "");
        if locale.contains("UTF8") { Self::UNICODE } else { Self::ASCII }
    }

    fn sign(self, screen: &Screen, sign: Sign) -> String {
        let (at, tone) = match sign {
            Sign::Held => (0, Tone::Bad),
            Sign::Unknown => (1, Tone::Unsure),
            Sign::Warning => (2, Tone::Unsure),
            Sign::NotHeld => (3, Tone::Faint),
        };
        screen.paint(tone, self.signs[at])
    }
}

/// The answer as text.
pub fn text(screen: &Screen, style: Style, report: &Report) -> String {
    let mut out = String::new();
    for account in &report.accounts {
        heading(screen, &mut out, report, account);
        for tree in &account.ways.trees {
            out.push('\n');
            line(&mut out, &format!("{} {}", style.sign(screen, tree.sign), columns(screen, tree, 0, 0)));
            below(screen, style, &mut out, "", &tree.below);
        }
        out.push('\n');
        account.ways.notes.iter().for_each(|note| line(&mut out, &printable(note)));
        out += &sums(account);
        if account.id != report.accounts.last().map(|last| last.id.clone()).unwrap_or_default() {
            out.push_str("\n\n");
        }
    }
    let calls = if report.calls == 1 { "1 call".to_owned() } else { format!("{} calls", thousands(report.calls)) };
    let design = report.not_looked_at_by_design.join(", ");
    line(&mut out, &format!(" Not looked at by design: {design}. ({calls})"));
    for why in &report.objects_unread {
        line(&mut out, &format!("Objects of Rescind were not looked at: {}", printable(why)));
    }
    out
}

fn heading(screen: &Screen, out: &mut String, report: &Report, account: &AccountReport) {
    let name = account.name.as_deref().map(|name| format!("{}  ", screen.paint(Tone::Strong, shown(name))));
    let (id, domain, read_at) = (shown(&account.id), &report.domain, written(report.read_at));
    let name = name.unwrap_or_default();
    line(out, &format!("{name}{id}   {domain}   read {read_at}   token: {}", printable(&report.token)));
}

fn below(screen: &Screen, style: Style, out: &mut String, before: &str, nodes: &[Node]) {
    let width = |text: &str| text.chars().count().min(MAX_COLUMN);
    let what = nodes.iter().map(|node| width(&node.what)).max().unwrap_or_default();
    let detail = nodes.iter().filter(|node| node.command.is_some()).map(|node| width(&node.detail)).max();
    for (at, node) in nodes.iter().enumerate() {
        let is_last = at + 1 == nodes.len();
        let (branch, next) = if is_last { (style.last, style.blank) } else { (style.branch, style.line) };
        let text = columns(screen, node, what, detail.unwrap_or_default());
        line(out, &format!("{before}{branch}{} {text}", style.sign(screen, node.sign)));
        below(screen, style, out, &format!("{before}{next}"), &node.below);
    }
}

/// What a node says, in columns of these widths.
fn columns(screen: &Screen, node: &Node, what: usize, detail: usize) -> String {
    let tone = |text: String| if node.sign == Sign::NotHeld { screen.paint(Tone::Faint, text) } else { text };
    match &node.command {
        _ if node.detail.is_empty() && node.command.is_none() => tone(node.what.clone()),
        Some(command) => {
            let command = screen.paint(Tone::Strong, command);
            format!("{:what$}   {:detail$}   {command}", node.what, node.detail)
        }
        None => tone(format!("{:what$}   {}", node.what, node.detail)),
    }
}

fn sums(account: &AccountReport) -> String {
    let left = match account.left {
        0 if account.warns => "No way is left (but see !)".to_owned(),
        0 => "No way is left".to_owned(),
        1 => "1 way is left".to_owned(),
        many => format!("{} ways are left", thousands(many)),
    };
    let were = if account.not_looked_at == 1 { "was" } else { "were" };
    format!("{left}, {} {were} not looked at.", thousands(account.not_looked_at))
}

fn line(out: &mut String, text: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(out, "{}", text.trim_end());
}
