//! When the brake engages, and what releases it. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::BrakeId;

/// How many items there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    /// Sent within the window.
    pub(super) used: usize,
    /// Ready to be sent, and not sent within the window.
    pub(super) ready: usize,
    /// How many of those were released.
    pub(super) released: usize,
    /// When each of the others becomes ready, in order, and whether it was released.
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

/// The engagement that follows from a load. It is still `before` if that is not over; else its word is a new one.
pub(super) fn judge(
    before: Option<&Engagement>,
    load: &Load,
    window: Duration,
    new_word: &mut dyn FnMut() -> String,
    wall: Timestamp,
) -> Option<Engagement> {
    let (begins_at, count) = overrun(load, window, wall)?;
    let word = before.map_or_else(new_word, |before| before.id.word.clone());
    Some(Engagement { id: BrakeId { count, word }, begins_at })
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
        while first < n && is_over(coming[first].0, *at) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The clock stands at 1000.
    #[test]
    fn an_overrun_is_found_when_it_is_known() {
        type Row<'a> = ((usize, usize, usize), &'a [(i64, bool)], Option<(Option<i64>, usize)>);
        let rows: &[Row<'_>] = &[
            // Used, ready, and released of those that are ready.
            ((0, 3, 0), &[], None),
            ((1, 3, 0), &[], Some((None, 4))),
            ((4, 0, 0), &[], None),
            ((1, 3, 3), &[], None),
            ((1, 3, 2), &[], Some((None, 4))),
            // A herd of one moment counts together, and with what is sent until then.
            ((0, 0, 0), &[(1100, false), (1100, false), (1100, false)], None),
            ((0, 0, 0), &[(1100, false); 4], Some((Some(1100), 4))),
            ((2, 0, 0), &[(1100, false), (1100, false)], Some((Some(1100), 4))),
            ((1, 1, 0), &[(1100, false), (1200, false)], Some((Some(1200), 4))),
            // After the window, what is sent now does not count any more, nor an earlier herd.
            ((3, 0, 0), &[(1600, false); 3], None),
            ((3, 0, 0), &[(1599, false)], Some((Some(1599), 4))),
            ((0, 0, 0), &[(1100, false), (1100, false), (1700, false), (1700, false)], None),
            ((0, 0, 0), &[(1100, false), (1100, false), (1699, false), (1699, false)], Some((Some(1699), 4))),
            // What is released may come, and counts for what comes with it or later.
            ((0, 0, 0), &[(1100, true); 4], None),
            ((0, 0, 0), &[(1100, true), (1100, true), (1100, true), (1200, false)], Some((Some(1200), 4))),
            ((0, 0, 0), &[(1100, true), (1100, true), (1100, true), (1800, false)], None),
        ];
        for ((used, ready, released), coming, expected) in rows {
            let coming = coming.iter().map(|(second, is_released)| (at(*second), *is_released)).collect();
            let load = Load { used: *used, ready: *ready, released: *released, coming, max: 3 };
            let expected = expected.map(|(second, count)| (second.map(at), count));
            assert_eq!(overrun(&load, WINDOW, at(1000)), expected, "{load:?}");
        }
    }

    #[test]
    fn a_release_is_of_one_engagement_and_no_more_than_it_counted() {
        let id = |count, word: &str| BrakeId { count, word: word.to_owned() };
        let engagement = Engagement { id: id(10, "aaaa"), begins_at: None };
        let of = |releases: &[BrakeId], used| release(Some(&engagement), used, releases);
        assert_eq!(of(&[id(10, "aaaa")], 0), Some(10));
        // What was sent meanwhile is part of it.
        assert_eq!(of(&[id(10, "aaaa")], 4), Some(6));
        assert_eq!(of(&[id(5, "aaaa")], 7), Some(0));
        assert_eq!(of(&[id(usize::MAX, "aaaa")], 0), Some(10));
        assert_eq!(of(&[id(10, "bbbb")], 0), None);
        assert_eq!(release(None, 0, &[id(10, "aaaa")]), None);
    }

    #[test]
    fn an_engagement_keeps_its_word_until_it_is_over() {
        let load = Load { ready: 4, max: 3, ..Load::default() };
        let mut words = ["aaaa", "bbbb"].into_iter().map(str::to_owned);
        let mut word = || words.next().unwrap();
        let new = judge(None, &load, WINDOW, &mut word, at(0)).unwrap();
        let more = Load { ready: 5, ..load };
        let kept = judge(Some(&new), &more, WINDOW, &mut word, at(0)).unwrap();
        assert_eq!((new.id.to_string(), kept.id.to_string()), ("4-aaaa".to_owned(), "5-aaaa".to_owned()));
        assert_eq!(judge(Some(&kept), &Load { ready: 3, ..more }, WINDOW, &mut word, at(0)), None);
    }

    #[test]
    fn an_engaged_brake_allows_what_is_released_and_no_more() {
        let load = Load { used: 2, ready: 5, released: 1, max: 10, ..Load::default() };
        assert_eq!((load.allowed(false), load.allowed(true)), (8, 1));
        assert_eq!((Load { used: 12, ..load.clone() }).allowed(false), 1);
        let coming = vec![(at(1), false), (at(2), false)];
        let released = Load { coming, ..load }.with_released(6);
        assert_eq!((released.released, released.coming), (5, vec![(at(1), true), (at(2), false)]));
    }
}
