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
    /// How many of those somebody has released.
    pub(super) released: usize,
    /// When each of the others becomes ready, in order, and whether somebody has released it.
    pub(super) coming: Vec<(Timestamp, bool)>,
    /// The most that may be sent within the window.
    pub(super) max: usize,
}

impl Load {
    /// The same, with the first of what is ready or coming released.
    pub(super) fn with_released(mut self, released: usize) -> Self {
        self.released = released.min(self.ready);
        let left = released - self.released;
        self.coming.iter_mut().enumerate().for_each(|(n, (_, is_released))| *is_released = n < left);
        self
    }

    /// How many may be sent now.
    pub(super) fn allowed(&self, is_engaged: bool) -> usize {
        let free = if is_engaged { 0 } else { self.max.saturating_sub(self.used) };
        free.max(self.released)
    }
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

/// How many more items `releases` let through, if they name this engagement.
pub(super) fn release(engagement: Option<&Engagement>, used: usize, releases: &[BrakeId]) -> Option<usize> {
    let BrakeId { count, word } = &engagement?.id;
    let named = releases.iter().find(|release| release.word == *word)?;
    // The number is that of all items, those that were sent before included.
    Some(named.count.min(*count).saturating_sub(used))
}

/// The engagement that follows from a load. It is still `before` if that is not over.
pub(super) fn judge(
    before: Option<&Engagement>,
    load: &Load,
    window: Duration,
    releases: &[BrakeId],
    word: &mut dyn FnMut() -> String,
    wall: Timestamp,
) -> Option<Engagement> {
    let (begins_at, count) = overrun(load, window, wall)?;
    let kept = before.map(|before| before.id.word.clone());
    // A word that was released before would release this engagement as well.
    let is_new = |word: &String| releases.iter().all(|release| release.word != *word);
    let mut new = || std::iter::repeat_with(&mut *word).take(WORDS_TRIED).find(is_new).unwrap_or_default();
    Some(Engagement { id: BrakeId { count, word: kept.unwrap_or_else(&mut new) }, begins_at })
}

/// When the limit is exceeded (none: now), and by how many items in all.
fn overrun(load: &Load, window: Duration, wall: Timestamp) -> Option<(Option<Timestamp>, usize)> {
    let Load { used, ready, released, coming, max } = load;
    if ready > released && used + ready > *max {
        return Some((None, used + ready));
    }
    let is_over =
        |since: Timestamp, at: Timestamp| Duration::try_from(at.duration_since(since)).is_ok_and(|past| past >= window);
    let (mut first, mut is_released) = (0, ready == released);
    for (n, (at, of_released)) in coming.iter().enumerate() {
        is_released &= of_released;
        if coming.get(n + 1).is_some_and(|(next, _)| next == at) {
            continue;
        }
        while is_over(coming[first].0, *at) {
            first += 1;
        }
        // What is sent now still counts then, unless the window is over by then.
        let of_now = if is_over(wall, *at) { 0 } else { used + ready };
        let count = of_now + n + 1 - first;
        if count > *max && !is_released {
            return Some((Some(*at), count));
        }
    }
    None
}
