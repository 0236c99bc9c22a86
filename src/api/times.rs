//! Instants and durations in a spec. They are kept as they were written, so that an object reads back unchanged.
//!
//! For the API server they are plain strings with a CEL rule: the errors of its own `date-time` format do not say what
//! to write instead.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Instants of the years 2000 to 2999 that exist in the calendar. CEL's `timestamp()` accepts all of them.
pub(super) const INSTANT: &str = concat!(
    "^(2[0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)",
    "|02-(0[1-9]|1[0-9]|2[0-8]))|2([048]00|[0-9](0[48]|[2468][048]|[13579][26]))-02-29)",
    "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
);
/// Durations in the notation of Go, without signs and fractions. CEL's `duration()` accepts all of them.
const DURATION: &str = "^([0-9]{1,6}h([0-9]{1,6}m)?([0-9]{1,6}s)?|[0-9]{1,6}m([0-9]{1,6}s)?|[0-9]{1,6}s)$";

/// An instant in RFC 3339 with its offset, for example `2026-12-31T17:00:00Z` or `2026-12-31T18:00:00+01:00`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": format!("self.matches('{INSTANT}')"),
    "message": "must be an instant in RFC 3339 with its offset, such as 2026-12-31T17:00:00Z or 2026-12-31T18:00:00+01:00: a day or a time alone does not say when",
}]))]
pub struct Rfc3339(#[schemars(length(min = 1, max = 40))] String);

impl Rfc3339 {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The instant. None if the text is not valid, which the schema does not allow.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.0.parse().ok()
    }
}

impl From<&str> for Rfc3339 {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A duration in hours, minutes and seconds, for example `1h`, `90m` or `24h30m`.
// Each field of this type has its own bounds, see `within`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DurationText(#[schemars(length(min = 1, max = 20))] String);

impl DurationText {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The duration. None if the text is not valid, which the schema does not allow.
    pub fn duration(&self) -> Option<Duration> {
        let parsed: SignedDuration = self.0.parse().ok()?;
        parsed.try_into().ok()
    }
}

/// The rule for a duration from `least` to `most`.
pub(super) fn within(least: &str, most: &str) -> Rule {
    let bounds = format!("duration(self) >= duration('{least}') && duration(self) <= duration('{most}')");
    Rule::new(format!("self.matches('{DURATION}') && {bounds}"))
        .message(format!("must be a duration from {least} to {most}, such as 1h, 90m or 24h30m").as_str())
}

impl From<&str> for DurationText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::string::string_regex;

    use super::*;

    fn like(pattern: &str) -> impl Strategy<Value = String> {
        string_regex(pattern.trim_start_matches('^').trim_end_matches('$')).unwrap()
    }

    proptest! {
        /// Every instant that the schema accepts can be parsed, and is written back unchanged.
        #[test]
        fn every_instant_of_the_schema_is_one(text in like(INSTANT)) {
            let instant = Rfc3339::from(text.as_str());
            prop_assert!(instant.timestamp().is_some());
            prop_assert_eq!(serde_json::to_value(&instant).unwrap(), text);
        }

        #[test]
        fn every_duration_of_the_schema_is_one(text in like(DURATION)) {
            let digits = |unit: char| {
                let before = text.split(unit).next().filter(|_| text.contains(unit))?;
                before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
            };
            let seconds = [('h', 3600), ('m', 60), ('s', 1)].map(|(unit, size)| digits(unit).unwrap_or(0) * size);
            let duration = DurationText::from(text.as_str()).duration();
            prop_assert_eq!(duration, Some(Duration::from_secs(seconds.iter().sum())));
        }
    }

    #[test]
    fn invalid_texts_are_no_times() {
        assert_eq!(Rfc3339::from("soon").timestamp(), None);
        assert_eq!(DurationText::from("soon").duration(), None);
        assert_eq!(DurationText::from("-1h").duration(), None);
        assert_eq!(
            Rfc3339::from("2026-12-31T18:00:00+01:00").timestamp(),
            Rfc3339::from("2026-12-31T17:00:00Z").timestamp()
        );
    }
}
