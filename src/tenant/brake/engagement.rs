//! When the brake engages, and what releases it. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::BrakeId;

/// So many random words are tried; of the many there are, hardly one is taken.
const WORDS_TRIED: usize = 100;

/// How many items there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    /// Sent within the window.
    pub(super) used: usize,
    /// Ready to be sent, and not sent within the window.
    pub(super) ready: usize,
    /// When each of the others becomes ready, in order.
    pub(super) coming: Vec<Timestamp>,
    /// The most that may be sent within the window.
    pub(super) max: usize,
}

/// The brake is engaged, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engagement {
    /// Identifies it.
    pub id: BrakeId,
    /// When it engages. None: it is engaged.
    pub begins_at: Option<Timestamp>,
}

impl Engagement {
    /// Whether it is engaged.
    pub const fn is_now(&self) -> bool {
        self.begins_at.is_none()
    }
}

/// What follows from a load.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) engagement: Option<Engagement>,
    /// How many items of released engagements are still to be sent.
    pub(super) released: usize,
    /// An engagement has just been released.
    pub(super) is_release: bool,
}

/// Judges a load, after the engagement `before` and with the ids that the tenant's owner releases.
pub(super) fn judge(
    before: Option<&Engagement>,
    load: &Load,
    released: usize,
    window: Duration,
    releases: &[BrakeId],
    word: &mut dyn FnMut() -> String,
    wall: Timestamp,
) -> Judged {
    let release = before.and_then(|before| {
        let named = releases.iter().find(|release| release.word == before.id.word)?;
        Some(named.count.min(before.id.count))
    });
    // What was released and is not wanted any more is no credit for others.
    let released = release.map_or(released, |count| count.max(released)).min(load.ready + load.coming.len());
    let begins = overrun(load, released, window, wall);
    let engagement = begins.map(|(begins_at, count)| {
        let kept = before.filter(|_| release.is_none()).map(|before| before.id.word.clone());
        // A word that was released before would release this engagement as well.
        let is_new = |word: &String| releases.iter().all(|release| release.word != *word);
        let word = kept.unwrap_or_else(|| std::iter::repeat_with(word).take(WORDS_TRIED).find(is_new).unwrap_or_default());
        Engagement { id: BrakeId { count, word }, begins_at }
    });
    Judged { engagement, released, is_release: release.is_some() }
}

/// When the limit is exceeded (none: now), and by how many items in all.
fn overrun(load: &Load, released: usize, window: Duration, wall: Timestamp) -> Option<(Option<Timestamp>, usize)> {
    let Load { used, ready, coming, max } = load;
    if *ready > released && used + ready > *max {
        return Some((None, used + ready));
    }
    let is_over = |since: Timestamp, at: Timestamp| Duration::try_from(at.duration_since(since)).is_ok_and(|past| past >= window);
    let mut first = 0;
    for (n, at) in coming.iter().enumerate() {
        if coming.get(n + 1) == Some(at) {
            continue;
        }
        while is_over(coming[first], *at) {
            first += 1;
        }
        // What is sent now still counts then, unless the window is over by then.
        let of_now = if is_over(wall, *at) { 0 } else { used + ready };
        let count = of_now + n + 1 - first;
        if count > *max && ready + n + 1 > released {
            return Some((Some(*at), count));
        }
    }
    None
}
