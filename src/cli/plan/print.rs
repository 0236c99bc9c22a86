//! A plan as text.

use std::fmt::Write;

use crate::cli::screen::{Screen, Tone};
use crate::cli::texts::{count, shown, thousands};

use super::report::{ItemReport, ObjectReport, Report, TenantReport};
use super::verdict::Sign;

/// A column is not wider than this.
const MAX_COLUMN: usize = 60;

/// The plan as text, with what is different from an earlier one.
pub fn text(screen: &Screen, report: &Report) -> String {
    let mut out = String::new();
    for tenant in &report.tenants {
        tenant_text(screen, &mut out, report, tenant);
    }
    if !report.refused.is_empty() {
        line(&mut out, &screen.paint(Tone::Strong, "refused by the API server"));
        for refused in &report.refused {
            let sign = screen.paint(Tone::Bad, Sign::Refused.as_str());
            line(&mut out, &format!("  {}  {}", refused.object, screen.paint(Tone::Faint, &refused.source)));
            line(&mut out, &format!("    {sign}  {}", crate::api::printable(&refused.why)));
        }
        out.push('\n');
    }
    line(&mut out, &sums(report));
    if let Some(changes) = &report.changes {
        line(&mut out, &format!("Since the earlier plan: {}", if changes.is_empty() { "no difference." } else { "" }));
        changes.iter().for_each(|change| line(&mut out, &format!("  {}", crate::api::printable(change))));
    }
    out
}

fn tenant_text(screen: &Screen, out: &mut String, report: &Report, tenant: &TenantReport) {
    let TenantReport { kind, tenant: name, domain, token, .. } = tenant;
    let heading = screen.paint(Tone::Strong, format!("{kind} {name}"));
    let read_at = report.read_at.strftime("%Y-%m-%dT%H:%M:%SZ");
    line(
        out,
        &match token {
            Ok(origin) => format!("{heading}  {domain}  read {read_at}  token: {origin}"),
            Err(why) => {
                format!("{heading}  {domain}  {}", screen.paint(Tone::Unsure, format!("nothing was read: {why}")))
            }
        },
    );
    out.push('\n');
    tenant.objects.iter().for_each(|object| object_text(screen, out, object));
    for sentence in &tenant.left {
        line(out, &format!("Left after it: {}", crate::api::printable(sentence)));
    }
    for sentence in &tenant.unread {
        line(out, &format!("Not looked at: {}", crate::api::printable(sentence)));
    }
    tenant.guards.iter().for_each(|sentence| line(out, sentence));
    let (deletes, calls) = (count(tenant.deletes, "DELETE"), count(tenant.calls, "call"));
    line(out, &format!("Auth0: the removals take {deletes} and their proofs. This plan took {calls}."));
    out.push('\n');
}

fn object_text(screen: &Screen, out: &mut String, object: &ObjectReport) {
    let ObjectReport { kind, name, source, subject, subject_name, wait, items, .. } = object;
    let named = subject_name.as_ref().map(|name| format!("{}  ", shown(name))).unwrap_or_default();
    let source = source.as_ref().map(|source| screen.paint(Tone::Faint, format!("  {source}"))).unwrap_or_default();
    line(
        out,
        &format!("  {}  {named}{}{source}", screen.paint(Tone::Strong, format!("{kind}/{name}")), shown(subject)),
    );
    if let Some(wait) = wait {
        line(out, &format!("     {}", screen.paint(Tone::Unsure, crate::api::printable(wait))));
    }
    // What is said of all of them is said once.
    let common = items
        .first()
        .and_then(|item| item.why.as_ref())
        .filter(|why| items.len() > 1 && items.iter().all(|item| item.why.as_ref() == Some(why)));
    if let Some(why) = common {
        line(out, &format!("     {}", crate::api::printable(why)));
    }
    let first = |item: &ItemReport| match &item.name {
        Some(name) => format!("{} {}", item.what, shown(name)),
        None => item.what.clone(),
    };
    let width = |text: String| text.chars().count().min(MAX_COLUMN);
    let names = items.iter().map(|item| width(first(item))).max().unwrap_or(0);
    let ids = items.iter().map(|item| width(shown(&item.item))).max().unwrap_or(0);
    for item in items {
        let tone = match item.sign {
            Sign::Remove => Tone::Bad,
            Sign::Absent => Tone::Faint,
            Sign::Refused | Sign::Unknown => Tone::Unsure,
        };
        let sign = screen.paint(tone, item.sign.as_str());
        let why =
            item.why.as_ref().filter(|_| common.is_none()).map(|why| crate::api::printable(why)).unwrap_or_default();
        let text = format!("     {sign}  {:names$}  {:ids$}  {why}", first(item), shown(&item.item));
        line(out, text.trim_end());
    }
    out.push('\n');
}

fn sums(report: &Report) -> String {
    let of = |sign: Sign| report.count(sign);
    let removed = match of(Sign::Remove) {
        1 => "1 would be removed".to_owned(),
        many => format!("{} would be removed", thousands(many)),
    };
    let is_are = |number: usize, words: &str| {
        format!("{} {} {words}", thousands(number), if number == 1 { "is" } else { "are" })
    };
    format!(
        "{removed}, {}, {} would be refused, {}. Nothing was changed.",
        is_are(of(Sign::Absent), "not there"),
        thousands(of(Sign::Refused)),
        is_are(of(Sign::Unknown), "unknown"),
    )
}

fn line(out: &mut String, text: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(out, "{text}");
}
