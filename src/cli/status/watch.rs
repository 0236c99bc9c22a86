//! Waits until all objects have their verdicts, and prints each change.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::api::printable;
use crate::cli::cluster::{Cluster, Listing};
use crate::cli::column::{Column, Stand};
use crate::cli::error::CliError;
use crate::cli::screen::Tone;
use crate::cli::session::Session;
use crate::cli::texts::{count, shown};
use crate::cli::times::instant;
use crate::clock;

use super::detail::tone;
use super::gather::{Asked, gather};
use super::report::title;

/// How often the objects are listed, which takes no other right than to list.
const EVERY: Duration = Duration::from_secs(2);

/// How the wait has ended.
pub struct Watched {
    /// The exit code.
    pub code: u8,
    /// The objects as they were read last.
    pub listing: Listing,
}

/// What a look at the objects comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ready,
    Stalled,
    Undecided,
}

/// The verdict on all objects together.
fn verdict(columns: &[Column]) -> Verdict {
    if !columns.iter().all(|column| column.is_decided()) {
        Verdict::Undecided
    } else if columns.contains(&Column::Stalled) {
        Verdict::Stalled
    } else {
        Verdict::Ready
    }
}

/// Waits for the verdicts, for at most `timeout`.
pub async fn watch(
    session: &Session,
    cluster: &Cluster,
    asked: &Asked,
    timeout: Duration,
    prints: bool,
) -> Result<Watched, CliError> {
    let end = Instant::now() + timeout;
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let listing = gather(cluster, asked).await?;
        if listing.objects.is_empty() {
            let unread = listing.unread.first().map(|why| format!(": {why}")).unwrap_or_default();
            return Err(CliError::failed(format!("there is nothing to wait for {}{unread}", cluster.place())));
        }
        let mut columns = Vec::new();
        for object in &listing.objects {
            let stand = Stand::of(object);
            columns.push(stand.column);
            let name = format!("{}/{}", object.namespace(), title(object));
            let news =
                format!("{} {}", stand.reason(), if stand.column == Column::Stalled { &stand.message } else { "" });
            if seen.get(&name) == Some(&news) {
                continue;
            }
            if prints {
                let reason = session.screen.paint(tone(stand.column), shown(stand.reason()));
                let now = instant(clock::wall());
                session.screen.print(format!("{now}  {}  {reason}  {}\n", title(object), printable(&stand.message)))?;
            }
            seen.insert(name, news);
        }
        let decided = columns.iter().filter(|column| column.is_decided()).count();
        session.screen.progress(format!("{decided} of {} decided", columns.len()));
        let code = match verdict(&columns) {
            Verdict::Ready if listing.unread.is_empty() => 0,
            Verdict::Ready => return Err(CliError::failed(listing.unread.join("; "))),
            Verdict::Stalled => 1,
            Verdict::Undecided if Instant::now() + EVERY > end => {
                let open = columns.len() - decided;
                session.screen.note(format!("rescind: timed out: {} not decided yet", are(open)));
                1
            }
            Verdict::Undecided => continue,
        };
        session.screen.progress_done();
        if prints && code == 0 {
            let text = format!("{}: Ready", count(columns.len(), "object"));
            session.screen.print(format!("{}\n", session.screen.paint(Tone::Good, text)))?;
        }
        return Ok(Watched { code, listing });
    }
}

fn are(number: usize) -> String {
    format!("{} {}", count(number, "object"), if number == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_by_verdict() {
        use Column as C;
        assert_eq!(verdict(&[C::Proved, C::Absent, C::Observed, C::Gone, C::Unproved]), Verdict::Ready);
        assert_eq!(verdict(&[C::Proved, C::Stalled]), Verdict::Stalled);
        assert_eq!(verdict(&[C::Stalled, C::Waiting]), Verdict::Undecided, "the others may still be decided");
        assert_eq!(verdict(&[C::Proved, C::Held]), Verdict::Undecided, "a hold ends by itself");
    }
}
