//! Where the objects stand, as text.

use jiff::{SignedDuration, Timestamp};

use crate::api::{Reason, State, escaped, printable};
use crate::cli::column::Column;
use crate::cli::screen::{Screen, Tone};
use crate::cli::table::table;
use crate::cli::texts::{count, shown, thousands};
use crate::cli::times::{instant, relative, span};

use super::detail;
use super::report::{Group, OperatorReport, Report, TenantReport};

/// How many objects a line names.
const NAMED: usize = 3;
/// A token that ends within this time is pointed out.
const SOON: SignedDuration = SignedDuration::from_hours(24);

/// The report as text.
pub fn text(screen: &Screen, report: &Report) -> String {
    let mut out = operator(screen, &report.operator);
    report.tenants.iter().for_each(|one| out += &tenant(screen, one, report.read_at));
    report.unread.iter().for_each(|why| {
        out += &format!("{}\n", screen.paint(Tone::Unsure, format!("not known: {}", printable(why))));
    });
    out.push('\n');
    if report.in_detail {
        report.objects.iter().for_each(|object| out += &detail::object(screen, object, report.read_at));
        return out;
    }
    for (id, about) in &report.accounts {
        out += &format!("{}  {}\n", screen.paint(Tone::Strong, shown(id)), escaped(about));
    }
    if report.kinds.is_empty() {
        let about = if report.accounts.is_empty() { "" } else { " about this person" };
        return out + &format!("There are no removals{about} {}.\n", report.place);
    }
    if report.accounts.is_empty() {
        out += &sums(report);
        out += &groups(screen, report);
    } else {
        out += &detail::list(screen, &report.objects, report.read_at);
    }
    out
}

fn operator(screen: &Screen, operator: &OperatorReport) -> String {
    let version = operator.version.as_ref().map(|version| format!(" {}", shown(version))).unwrap_or_default();
    let leader = match (&operator.leader, operator.lease_age_seconds) {
        (Some(leader), Some(age)) => {
            format!("leader {} (lease {} old)", shown(leader), span(SignedDuration::from_secs(age)))
        }
        _ => screen.paint(Tone::Unsure, format!("no leader is seen in namespace {}", operator.namespace)),
    };
    let standbys = operator.standbys.map(|count| format!(", {count} standby")).unwrap_or_default();
    format!("{}   {leader}{standbys}\n", screen.paint(Tone::Strong, format!("rescind{version}")))
}

fn tenant(screen: &Screen, tenant: &TenantReport, now: Timestamp) -> String {
    let reason = tenant.reason.as_deref().unwrap_or("not looked at");
    let tone = match Reason::parse(reason).map(Reason::state) {
        Some(State::Done) => Tone::Good,
        Some(State::Stalled) => Tone::Bad,
        Some(State::Waiting | State::Held) | None => Tone::Unsure,
    };
    let brake = &tenant.brake;
    let (used, max) = (i64::from(brake.used), i64::from(brake.max));
    let mut parts = vec![
        screen.paint(Tone::Strong, &tenant.tenant),
        shown(&tenant.domain),
        screen.paint(tone, shown(reason)),
        format!("brake {} of {} in {}", number(used), number(max), shown(&brake.window)),
    ];
    if let Some(until) = tenant.open_until.filter(|until| *until > now) {
        parts.push(screen.paint(Tone::Unsure, format!("rate limit: nothing is sent until {}", instant(until))));
    }
    if let Some(at) = tenant.token_expires_at {
        let text = if at > now { format!("token ends {}", relative(at, now)) } else { "token has ended".to_owned() };
        let is_soon = at.duration_since(now) < SOON;
        parts.push(if is_soon { screen.paint(Tone::Unsure, text) } else { text });
    }
    let mut out = format!("{}\n", parts.join("   "));
    if tone != Tone::Good && !tenant.message.is_empty() {
        out += &format!("  {}\n", printable(&tenant.message));
    }
    if let Some(why) = &brake.engaged {
        out += &format!("  {} {}\n", screen.paint(Tone::Bad, "BrakeEngaged"), printable(why));
    }
    out
}

fn number(number: i64) -> String {
    thousands(usize::try_from(number).unwrap_or(0))
}

fn sums(report: &Report) -> String {
    let head = ["", "objects"].into_iter().chain(Column::ALL.map(Column::as_str));
    let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    for kind in &report.kinds {
        let counts = Column::ALL.map(|column| kind.counts.get(column.as_str()).copied().unwrap_or(0));
        let cells = [kind.objects].into_iter().chain(counts).map(thousands);
        rows.push([kind.short.clone()].into_iter().chain(cells).collect());
    }
    table(&rows, 1)
}

fn groups(screen: &Screen, report: &Report) -> String {
    let mut out = String::new();
    if !report.waiting.is_empty() {
        let sum = thousands(report.sum(Column::Waiting));
        let mut parts: Vec<String> = report.waiting.iter().map(|group| waiting(group, report.read_at)).collect();
        let done = report.done_by.map(|at| format!("the queue is done by about {}", instant(at)));
        parts.extend(done);
        out += &format!("\n{} {sum}   {}\n", screen.paint(Tone::Strong, "waiting"), parts.join(" · "));
    }
    if !report.stalled.is_empty() {
        let sum = thousands(report.sum(Column::Stalled));
        out += &format!("\n{} {sum}\n", screen.paint(Tone::Bad, "stalled"));
        report.stalled.iter().for_each(|group| out += &stalled(screen, group));
    }
    out
}

fn waiting(group: &Group, now: Timestamp) -> String {
    let next = group.next_attempt.filter(|at| *at > now).map(|at| format!(", next {}", instant(at)));
    let oldest = group.oldest.map(|at| format!(", oldest {}", span(now.duration_since(at))));
    let (next, oldest) = (next.unwrap_or_default(), oldest.unwrap_or_default());
    format!("{} {}{next}{oldest}", shown(&group.reason), thousands(group.objects))
}

fn stalled(screen: &Screen, group: &Group) -> String {
    let named = group.names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = group.objects.saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {} more", thousands(more)) } else { String::new() };
    let reason = screen.paint(Tone::Bad, shown(&group.reason));
    let first = if group.objects > 1 { "the first says: " } else { "" };
    let objects = count(group.objects, "object");
    format!("  {reason}  {objects}: {named}{more}\n    {first}{}\n", printable(&group.message))
}
