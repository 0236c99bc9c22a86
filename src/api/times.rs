//! Instants and durations as people write them in a spec. They are kept as written, so that nothing reads back otherwise.
//!
//! They are plain strings to the API server: its own `date-time` format refuses without a remedy.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An instant in RFC 3339 with its offset, for example `2026-12-31T17:00:00Z` or `2026-12-31T18:00:00+01:00`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Rfc3339(#[schemars(length(min = 1, max = 40))] String);

impl Rfc3339 {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The instant, unless it was stored past the schema and is none.
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DurationText(#[schemars(length(min = 1, max = 20))] String);

impl DurationText {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The duration, unless it was stored past the schema and is none.
    pub fn duration(&self) -> Option<Duration> {
        let parsed: SignedDuration = self.0.parse().ok()?;
        parsed.try_into().ok()
    }
}

impl From<&str> for DurationText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}
