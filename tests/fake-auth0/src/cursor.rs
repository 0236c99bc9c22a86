//! Checkpoints of a walk through members: base64url of `<time>UTC,<user id>`, as Auth0 makes them.
//!
//! They contain personal data and appear in query strings, so tests for leaks search for them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::joining::Joined;

/// The last member of a page: when that user joined, and who it is.
pub(crate) type Key = (Joined, String);

/// 2026-01-01T00:00:00Z in epoch milliseconds.
const BEGINNING: i64 = 1_767_225_600_000;

const TIME: &str = "%Y-%m-%d %H:%M:%S%.6f";

pub(crate) fn encode(joined: Joined, user: &str) -> String {
    let at = i64::try_from(joined).ok().and_then(|joined| BEGINNING.checked_add(joined));
    let time = at.and_then(|at| jiff::Timestamp::from_millisecond(at).ok()).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(format!("{}UTC,{user}", time.strftime(TIME)))
}

/// `None` if the text is not a cursor.
pub(crate) fn decode(cursor: &str) -> Option<Key> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (time, user) = text.split_once("UTC,")?;
    let time = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", time).ok()?;
    let at = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    Some((Joined::try_from(at.checked_sub(BEGINNING)?).ok()?, user.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cursor_is_readable_and_comes_back() {
        let cursor = encode(3_723_829, "auth0|jane");
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(&cursor).unwrap()).unwrap();
        assert_eq!(text, "2026-01-01 01:02:03.829000UTC,auth0|jane");
        assert_eq!(decode(&cursor), Some((3_723_829, "auth0|jane".to_owned())));
        for nonsense in ["", "x", "MjAyNg", &URL_SAFE_NO_PAD.encode("yesterdayUTC,auth0|jane")] {
            assert_eq!(decode(nonsense), None, "{nonsense}");
        }
    }
}
