//! About when the queue is done, from what the operator says of each object that waits for its turn. Pure.

use jiff::{SignedDuration, Timestamp};

/// About when the last of these is in turn: the latest time that a message of the reason Queued names, if that is still
/// to come. Messages of another form are passed over.
pub fn done_by<'a>(messages: impl Iterator<Item = &'a str>, now: Timestamp) -> Option<Timestamp> {
    messages.filter_map(turn).max().filter(|at| *at > now)
}

/// `…, in about 4m (as of 2026-11-26T16:50:10Z).`
fn turn(message: &str) -> Option<Timestamp> {
    let (about, rest) = message.split_once(", in about ")?.1.split_once(" (as of ")?;
    let about: SignedDuration = about.parse().ok()?;
    let as_of: Timestamp = rest.split_once(')')?.0.parse().ok()?;
    as_of.checked_add(about).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_in_line_says_when_all_are_done() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let messages = [
            "Waiting for its turn: it is next, in about 4s (as of 2026-11-26T16:50:10Z).",
            "Waiting for its turn: 120 calls to Auth0 come first, in about 2m 5s (as of 2026-11-26T16:50:10Z).",
            "Waiting for its turn: 3 calls to Auth0 come first (as of 2026-11-26T16:50:10Z).",
            "Its call to Auth0 is in flight.",
        ];
        let done = done_by(messages.into_iter(), at("2026-11-26T16:50:20Z"));
        assert_eq!(done, Some(at("2026-11-26T16:52:15Z")));
        assert_eq!(done_by(messages.into_iter(), at("2026-11-26T16:53:00Z")), None, "an old estimate says nothing");
        assert_eq!(done_by(messages.into_iter().skip(2), at("2026-11-26T16:50:20Z")), None);
    }
}
