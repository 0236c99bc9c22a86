//! What `plan` has found, as data: the JSON of `-o json` and of `--out`, and the comparison with an earlier one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::verdict::Sign;

use crate::hex::hex;

/// The version of the form of the JSON.
pub const SCHEMA_VERSION: u32 = 1;

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of this form.
    pub schema_version: u32,
    /// When Auth0 was read.
    pub read_at: Timestamp,
    /// By tenant object.
    pub tenants: Vec<TenantReport>,
    /// Manifests that the API server refuses.
    pub refused: Vec<Refused>,
    /// How many items have each sign.
    pub counts: BTreeMap<Sign, usize>,
    /// SHA-256 over the objects, their items and their signs, in hex.
    pub sha256: String,
    /// What is different from an earlier plan, if it was compared with one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changes: Option<Vec<String>>,
}

/// What would happen at one tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantReport {
    /// The kind of the tenant object.
    pub kind: String,
    /// The tenant object, as `namespace/name` or `name`.
    pub tenant: String,
    /// The domain that it names.
    pub domain: String,
    /// Where the token for the reads came from; or why nothing was read.
    pub token: Result<String, String>,
    /// The objects.
    pub objects: Vec<ObjectReport>,
    /// What the people still have after it, and what comes back.
    pub left: Vec<String>,
    /// What the guards that count would do.
    pub guards: Vec<String>,
    /// What was not looked at, and why.
    pub unread: Vec<String>,
    /// How many DELETEs the operator would send.
    pub deletes: usize,
    /// How many reads this plan took.
    pub calls: usize,
}

/// What would happen to one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The file and the line where it begins, if it comes from a file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// Whom or what it takes something from: ids, separated by a space.
    pub subject: String,
    /// The name of that, if it was read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject_name: Option<String>,
    /// What it waits for before anything is done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wait: Option<String>,
    /// Its items.
    pub items: Vec<ItemReport>,
}

/// What would happen to one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemReport {
    /// What would happen.
    pub sign: Sign,
    /// What it is: role, permission or member.
    pub what: String,
    /// Its id, or the permission and its API.
    pub item: String,
    /// Its name, if it was read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// What is to be said of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// A manifest that the API server refuses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Its kind and name.
    pub object: String,
    /// The file and the line where it begins.
    pub source: String,
    /// Why, as the API server says.
    pub why: String,
}

impl Report {
    /// A plan of these parts.
    pub fn new(read_at: Timestamp, tenants: Vec<TenantReport>, refused: Vec<Refused>) -> Self {
        let mut report = Self {
            schema_version: SCHEMA_VERSION,
            read_at,
            tenants,
            refused,
            counts: BTreeMap::new(),
            sha256: String::new(),
            changes: None,
        };
        for (_, sign) in report.signs() {
            *report.counts.entry(sign).or_default() += 1;
        }
        *report.counts.entry(Sign::Refused).or_default() += report.refused.len();
        report.counts.retain(|_, count| *count > 0);
        report.sha256 = report.hash();
        report
    }

    fn hash(&self) -> String {
        let lines: Vec<String> =
            self.signs().iter().map(|(item, sign)| format!("{} {item}\n", sign.as_str())).collect();
        hex(digest(&SHA256, lines.concat().as_bytes()))
    }

    /// Whether a plan that was saved can be compared with: the error says why it cannot.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.schema_version != SCHEMA_VERSION {
            Err("another version has written it")
        } else if self.sha256 != self.hash() {
            Err("its items are not those of its SHA-256: it was changed")
        } else {
            Ok(())
        }
    }

    /// How many items have this sign.
    pub fn count(&self, sign: Sign) -> usize {
        self.counts.get(&sign).copied().unwrap_or_default()
    }

    /// Every item of every object with its sign, sorted.
    pub fn signs(&self) -> BTreeMap<String, Sign> {
        let objects = self.tenants.iter().flat_map(|tenant| tenant.objects.iter().map(move |object| (tenant, object)));
        let items = objects.flat_map(|(tenant, object)| {
            let ObjectReport { kind, namespace, name, subject, .. } = object;
            let of = format!("{} {kind} {namespace}/{name} {subject}", tenant.domain);
            object.items.iter().map(move |item| (format!("{of}: {} {}", item.what, item.item), item.sign))
        });
        items.collect()
    }

    /// What is different from an earlier plan, one line each.
    pub fn changes_since(&self, earlier: &Self) -> Vec<String> {
        let (before, now) = (earlier.signs(), self.signs());
        let mut lines = Vec::new();
        for (item, sign) in &now {
            match (before.get(item), sign) {
                (Some(before), sign) if before == sign => {}
                (Some(Sign::Absent), Sign::Remove) => lines.push(format!("granted since: {item}")),
                (Some(Sign::Remove), Sign::Absent) => lines.push(format!("gone already: {item}")),
                (Some(before), sign) => {
                    lines.push(format!("{} before, {} now: {item}", before.as_str(), sign.as_str()))
                }
                (None, sign) => lines.push(format!("not in the earlier plan, {} now: {item}", sign.as_str())),
            }
        }
        let gone = before.keys().filter(|item| !now.contains_key(*item));
        lines.extend(gone.map(|item| format!("only in the earlier plan: {item}")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(items: &[(&str, Sign)]) -> Report {
        let item = |(item, sign): &(&str, Sign)| ItemReport {
            sign: *sign,
            what: "role".into(),
            item: (*item).into(),
            name: None,
            why: None,
        };
        let object = ObjectReport {
            kind: "UserRoleRevocation".into(),
            namespace: "a".into(),
            name: "b".into(),
            source: None,
            subject: "auth0|x".into(),
            subject_name: None,
            wait: None,
            items: items.iter().map(item).collect(),
        };
        let tenant = TenantReport {
            kind: "Auth0Tenant".into(),
            tenant: "a/default".into(),
            domain: "d".into(),
            token: Ok("t".into()),
            objects: vec![object],
            left: vec![],
            guards: vec![],
            unread: vec![],
            deletes: 1,
            calls: 1,
        };
        Report::new(Timestamp::UNIX_EPOCH, vec![tenant], vec![])
    }

    #[test]
    fn a_plan_is_compared_item_by_item() {
        let before = plan(&[("1", Sign::Remove), ("2", Sign::Absent), ("3", Sign::Remove), ("4", Sign::Unknown)]);
        let now = plan(&[("1", Sign::Remove), ("2", Sign::Remove), ("3", Sign::Absent), ("5", Sign::Refused)]);
        let changes = now.changes_since(&before);
        let begins: Vec<_> = changes.iter().map(|line| line.split(':').next().unwrap_or_default()).collect();
        assert_eq!(
            begins,
            ["granted since", "gone already", "not in the earlier plan, ! now", "only in the earlier plan"]
        );
        assert!(now.changes_since(&now).is_empty());
        assert_ne!(before.sha256, now.sha256);
        let json = serde_json::to_string(&now).unwrap();
        let read = serde_json::from_str::<Report>(&json).unwrap();
        assert_eq!((&read, read.check()), (&now, Ok(())), "what was saved can be read");
        let changed: Report = serde_json::from_str(&json.replacen("absent", "remove", 1)).unwrap();
        assert!(changed.check().unwrap_err().contains("was changed"));
    }
}
