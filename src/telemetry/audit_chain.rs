//! How audit lines are chained by hash, and how a log is verified. Pure.
//!
//! Each line of a process has the number `seq`, from 1, and in `prev` the SHA-256 of the line before it. What is hashed
//! is the JSON object of the line without what the logger adds ([`OF_THE_LOGGER`]), without space, its keys sorted, and
//! a newline: what `jq -cS 'del(.timestamp, .level, .target)'` prints. The values are texts without characters that
//! are not seen, and whole numbers, so that every program prints them alike.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use serde_json::Value;
use thiserror::Error;

use crate::hex::hex;

/// The log target that tells audit lines from others.
pub(crate) const TARGET: &str = "rescind::audit";
/// `prev` of the first line of a process.
pub(crate) const NO_LINE: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The fields of a line that are not hashed, because the logger adds them.
const OF_THE_LOGGER: [&str; 3] = ["timestamp", "level", "target"];

/// The hash of a line with these fields, as the next line names it.
pub(crate) fn hash<'a>(fields: impl IntoIterator<Item = (&'a String, &'a Value)>) -> String {
    let sorted: BTreeMap<_, _> = fields.into_iter().filter(|(key, _)| !OF_THE_LOGGER.contains(&key.as_str())).collect();
    // It cannot fail: the keys are texts.
    let text = serde_json::to_string(&sorted).unwrap_or_default() + "\n";
    hex(digest(&SHA256, text.as_bytes()))
}

/// What is wrong with an audit log. What to do: ask who could write to it; the API server's own audit log and Auth0's
/// logs have other traces of the same removals.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChainFault {
    /// A line that names the audit log cannot be read.
    #[error("line {line} of the file is no whole audit line")]
    Unreadable {
        /// The number of the line in the file, from 1.
        line: usize,
    },
    /// Lines are missing.
    #[error("of process {boot} the lines {first} to {last} are missing")]
    Missing {
        /// The process.
        boot: String,
        /// The `seq` of the first missing line.
        first: u64,
        /// The `seq` of the last missing line.
        last: u64,
    },
    /// A line stands after a later one, or stands there twice.
    #[error("of process {boot} the line {seq} is not in its place, or is there twice")]
    Misplaced {
        /// The process.
        boot: String,
        /// The `seq` of the line.
        seq: u64,
    },
    /// A line, or what the next one says of it, was changed.
    #[error("of process {boot} the line {seq} was changed, or the hash in the line after it was")]
    Changed {
        /// The process.
        boot: String,
        /// The `seq` of the line; 0 if the first line of a process says that there was one before it.
        seq: u64,
    },
}

/// What a verification has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditLog {
    /// The `seq` of the last line of each process (`boot`), and its hash. To notice later that lines were cut off at the
    /// end, keep this elsewhere.
    pub processes: BTreeMap<String, (u64, String)>,
    /// What is wrong, in the order of the file.
    pub faults: Vec<ChainFault>,
}

/// Verifies the audit lines in a log in the format JSON, line by line in its order. Other lines are left out; lines of
/// several processes may be mixed. A log does not show whether lines were cut off at its end.
pub fn verify_audit_log<'a>(lines: impl IntoIterator<Item = &'a str>) -> AuditLog {
    let mut found = AuditLog::default();
    for (number, text) in lines.into_iter().enumerate().filter(|(_, text)| text.contains(TARGET)) {
        let line: Value = serde_json::from_str(text).unwrap_or_default();
        let field = |name: &str| line.get(name).and_then(Value::as_str);
        if line.is_object() && field("target") != Some(TARGET) {
            continue;
        }
        let (Some(fields), Some(boot), Some(seq), Some(prev)) =
            (line.as_object(), field("boot"), line.get("seq").and_then(Value::as_u64), field("prev"))
        else {
            found.faults.push(ChainFault::Unreadable { line: number + 1 });
            continue;
        };
        let boot = boot.to_owned();
        let (last, end) = found.processes.get(&boot).cloned().unwrap_or((0, NO_LINE.to_owned()));
        if seq <= last {
            found.faults.push(ChainFault::Misplaced { boot, seq });
            continue;
        }
        if seq > last + 1 {
            found.faults.push(ChainFault::Missing { boot: boot.clone(), first: last + 1, last: seq - 1 });
        } else if prev != end {
            found.faults.push(ChainFault::Changed { boot: boot.clone(), seq: last });
        }
        found.processes.insert(boot, (seq, hash(fields)));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The log of one process, with lines that are not of the audit between.
    fn log(boot: &str, lines: u64) -> Vec<String> {
        let mut prev = NO_LINE.to_owned();
        let line = |seq| {
            let line = json!({
                "timestamp": "2026-11-26T10:00:00Z", "level": "INFO", "target": TARGET, "boot": boot, "seq": seq,
                "prev": prev, "user": format!("auth0|{seq}"), "items": 1,
            });
            prev = hash(line.as_object().unwrap());
            [line.to_string(), r#"{"target":"rescind","message":"not of rescind::audit"}"#.to_owned()]
        };
        (1..=lines).flat_map(line).collect()
    }

    fn faults(lines: &[String]) -> Vec<ChainFault> {
        verify_audit_log(lines.iter().map(String::as_str)).faults
    }

    #[test]
    fn a_whole_log_has_no_faults() {
        let mut mixed = log("a", 3);
        mixed.extend(log("b", 2));
        mixed.push("a line of another program".to_owned());
        let found = verify_audit_log(mixed.iter().map(String::as_str));
        assert_eq!(found.faults, []);
        let read: Vec<_> = found.processes.iter().map(|(boot, (last, _))| (boot.as_str(), *last)).collect();
        assert_eq!(read, [("a", 3), ("b", 2)]);
    }

    /// Each change of a line shows, with its place.
    #[test]
    fn tampering_shows() {
        let (whole, boot) = (log("a", 5), "a".to_owned());
        let at = |seq: usize| (seq - 1) * 2;
        let changed = |seq: usize, from: &str, to: &str| {
            let mut lines = whole.clone();
            lines[at(seq)] = lines[at(seq)].replacen(from, to, 1);
            assert_ne!(lines, whole);
            faults(&lines)
        };
        let altered = |seq| vec![ChainFault::Changed { boot: boot.clone(), seq }];
        assert_eq!(changed(3, "auth0|3", "auth0|4"), altered(3), "a value");
        assert_eq!(changed(3, r#""items":1"#, r#""items":2"#), altered(3), "a number");
        assert_eq!(changed(3, r#""items":1,"#, ""), altered(3), "a field less");
        assert_eq!(changed(3, "{", r#"{"note":"x","#), altered(3), "a field more");
        assert_eq!(changed(1, "0000", "1111")[0], ChainFault::Changed { boot: boot.clone(), seq: 0 });
        assert_eq!(changed(3, "2026", "2027"), [], "the logger's own time is not hashed");
        assert_eq!(changed(3, "\"seq\"", "\"sq\"")[0], ChainFault::Unreadable { line: 5 });
        assert_eq!(changed(3, "{", "")[0], ChainFault::Unreadable { line: 5 });

        let mut lines = whole.clone();
        lines.drain(at(2)..=at(3));
        assert_eq!(faults(&lines), [ChainFault::Missing { boot: boot.clone(), first: 2, last: 3 }]);
        assert_eq!(faults(&whole[at(2)..]), [ChainFault::Missing { boot: boot.clone(), first: 1, last: 1 }]);
        let mut lines = whole.clone();
        lines.swap(at(2), at(4));
        let misplaced = |seq| ChainFault::Misplaced { boot: boot.clone(), seq };
        let missing = ChainFault::Missing { boot: boot.clone(), first: 2, last: 3 };
        assert_eq!(faults(&lines), [missing, misplaced(3), misplaced(2)]);
        let mut lines = whole.clone();
        lines.insert(at(3), whole[at(2)].clone());
        assert_eq!(faults(&lines), [misplaced(2)]);
        assert_eq!(faults(&whole[..at(4)]), [], "lines that are cut off at the end do not show");
    }

    /// The form is a promise: others verify it.
    #[test]
    fn the_hash_is_of_sorted_json_and_a_newline() {
        let line = json!({"seq": 1, "b": "é\"\\/", "a": 2, "target": TARGET, "level": "INFO", "timestamp": "now"});
        let expected = digest(&SHA256, "{\"a\":2,\"b\":\"é\\\"\\\\/\",\"seq\":1}\n".as_bytes());
        let expected = hex(expected);
        assert_eq!(hash(line.as_object().unwrap()), expected);
        assert_eq!(NO_LINE.len(), expected.len());
    }
}
