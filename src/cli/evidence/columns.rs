//! The columns of a report, which CSV and JSON share. Pure.

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::row::{Again, Row, Source, TimesFrom};
use super::spans::utc;

/// Which columns there are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form {
    /// Audit lines were given, so that there are times for each item.
    pub audit: bool,
    /// `--names`.
    pub names: bool,
    /// `--recheck`.
    pub recheck: bool,
}

impl Row {
    /// Its cells, with the names of their columns, in order.
    pub fn cells(&self, form: Form) -> Vec<(&'static str, Value)> {
        let (removed, proved) =
            if form.audit { ("removed_at", "proved_at") } else { ("object_removed_at", "object_proved_at") };
        let (removed_in, proved_in) = ("seconds_to_removed", "seconds_to_proved");
        let mut cells = vec![
            ("uid", json!(self.uid)),
            ("kind", json!(self.kind)),
            ("namespace", json!(self.namespace)),
            ("name", json!(self.name)),
            ("generation", json!(self.generation)),
            ("domain", json!(self.domain)),
            ("user_id", json!(self.user_id)),
        ];
        cells.extend(form.names.then(|| ("user_name", json!(self.user_name))));
        cells.extend([
            ("item_type", json!(self.item_type)),
            ("item_id", json!(self.item_id)),
            ("item_of", json!(self.item_of)),
            ("requested_at", instant(self.requested_at)),
            ("requested_by", json!(self.requested_by)),
            ("requested_by_source", json!(self.requested_by_source.map(Source::as_str))),
            ("claimed_by", json!(self.claimed_by)),
            ("not_before", instant(self.not_before)),
            (removed, instant(self.removed_at)),
            (proved, instant(self.proved_at)),
            (removed_in, json!(self.seconds_to_removed())),
            (proved_in, json!(self.seconds_to_proved())),
        ]);
        if form.audit {
            let from = if self.times_from == TimesFrom::Audit { "audit" } else { "object" };
            cells.push(("removed_at_from", json!(self.removed_at.map(|_| from))));
        }
        cells.extend([
            ("within_sla", json!(self.within_sla.as_str())),
            ("standing", json!(self.standing.as_str())),
            ("verdict", json!(self.verdict)),
            ("proof", json!(self.proof)),
            ("correlation_id", json!(self.correlation_id)),
            ("effective", json!(self.effective)),
            ("effective_by", instant(self.effective_by)),
            ("came_back", json!(self.came_back)),
        ]);
        if form.recheck {
            let found = self.recheck.as_ref().map(|recheck| &recheck.found);
            let why = match found {
                Some(Again::Unknown(why)) => Some(why.as_str()),
                Some(Again::Gone | Again::Held) => None,
                None => Some("it was not read again"),
            };
            let gone = self.recheck.as_ref().filter(|recheck| recheck.found == Again::Gone);
            cells.extend([
                ("recheck", json!(found.map_or("unknown", Again::word))),
                ("recheck_why", json!(why)),
                ("still_gone_at", instant(gone.map(|recheck| recheck.at))),
            ]);
        }
        cells.push(("message", json!(self.message)));
        cells
    }
}

fn instant(at: Option<Timestamp>) -> Value {
    json!(at.map(utc))
}

/// Cells as one JSON object, in their order.
pub struct Cells(pub Vec<(&'static str, Value)>);

impl Serialize for Cells {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_objects_are_called_so() {
        let names = |form| Row::default().cells(form).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let audit = names(Form { audit: true, ..Form::default() });
        assert!(audit.contains(&"removed_at") && audit.contains(&"removed_at_from"));
        let objects = names(Form::default());
        assert!(objects.contains(&"object_proved_at") && !objects.contains(&"proved_at"));
    }
}
