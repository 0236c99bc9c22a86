//! How often the status of a tenant is written. Pure.

use std::time::{Duration, Instant};

use crate::dispatch::ConnectionKey;
use crate::tenant::TenantError;

use super::braking::Wrote;

/// The shortest time between two status writes that only report what calls found out.
const WRITE_INTERVAL: Duration = Duration::from_secs(60);

/// What of a tenant changes by edits, and whether Auth0 accepted its credential, which happens once. A status write for
/// a new version is not delayed. Everything else in the status changes back and forth with the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) generation: i64,
    pub(super) asked: Option<String>,
    pub(super) accepted: bool,
    pub(super) connection: Result<ConnectionKey, Option<TenantError>>,
}

/// When the status of a tenant was written.
#[derive(Debug, Default)]
pub(super) struct WritePace {
    /// The version of the tenant that its status was last written for.
    version: Option<Version>,
    /// When a status was last written for a version that had been written before.
    written: Option<Instant>,
}

impl WritePace {
    /// The connection of the tenant when its status was last written, if it could be used then.
    pub(super) fn connection(&self) -> Option<&Result<ConnectionKey, Option<TenantError>>> {
        self.version.as_ref().map(|version| &version.connection)
    }

    /// How long a status write that only reports what calls found out has to wait because of the one before.
    pub(super) fn pause(&self, version: &Version, now: Instant) -> Option<Duration> {
        let written = self.written.filter(|_| self.version.as_ref() == Some(version))?;
        let since = now.saturating_duration_since(written);
        WRITE_INTERVAL.checked_sub(since).filter(|pause| !pause.is_zero())
    }

    /// Takes note of a write for `version`, or of one that was not needed. `is_urgent`: the brake waited for it.
    pub(super) fn wrote(&mut self, version: Version, wrote: &Wrote, is_urgent: bool, now: Instant) {
        // The first write for a version starts no interval, so what calls find out after an edit is written at once.
        if self.version.as_ref() != Some(&version) {
            self.written = None;
        } else if matches!(wrote, Wrote::Status) && !is_urgent {
            // A write that was not needed starts none either: the cache may not show yet what was written before.
            self.written = Some(now);
        }
        self.version = Some(version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(generation: i64) -> Version {
        Version { generation, asked: None, accepted: true, connection: Err(None) }
    }

    fn after_first_write(now: Instant) -> WritePace {
        let mut pace = WritePace::default();
        pace.wrote(version(1), &Wrote::Status, false, now);
        assert_eq!(pace.pause(&version(1), now), None, "what calls find out after an edit is written at once");
        pace
    }

    #[test]
    fn reports_of_calls_are_written_once_a_minute() {
        let now = Instant::now();
        let mut pace = after_first_write(now);
        pace.wrote(version(1), &Wrote::Status, false, now);
        let after = |seconds| pace.pause(&version(1), now + Duration::from_secs(seconds));
        assert_eq!((after(20), after(60)), (Some(Duration::from_secs(40)), None));
        assert_eq!(pace.pause(&version(2), now), None, "an edit does not wait");
        pace.wrote(version(2), &Wrote::Status, false, now);
        assert_eq!(pace.pause(&version(2), now), None);
    }

    /// A reconcile whose cache is behind finds nothing to write, and the next report of a call must not wait for that.
    #[test]
    fn a_write_that_was_not_needed_delays_nothing() {
        let now = Instant::now();
        for (wrote, is_urgent) in [(Wrote::Nothing, false), (Wrote::Nothing, true), (Wrote::Status, true)] {
            let mut pace = after_first_write(now);
            pace.wrote(version(1), &wrote, is_urgent, now);
            assert_eq!(pace.pause(&version(1), now), None);
        }
    }
}
