//! What the audit log of the API server says: who created which object, and when. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::api::GROUP;
use crate::cli::object::Kind;

/// The API server's time of a request and the creation time that it writes into the object, in whole seconds, differ by
/// less than this.
const SAME_MOMENT: SignedDuration = SignedDuration::from_secs(2);
/// What every line of such a log contains.
pub const VERSION: &str = "audit.k8s.io/v1";

/// The creations that files of the API server's audit log show.
#[derive(Debug, Default)]
pub struct KubeFacts {
    /// Them, by kind, namespace and name, in the order of the files.
    pub creates: BTreeMap<Named, Vec<Create>>,
    /// How many lines are about objects of this API.
    pub lines: usize,
    /// What is wrong with the files, for users.
    pub faults: Vec<String>,
}

/// The kind, the namespace and the name of an object.
pub type Named = (String, String, String);

/// A request by which an object was created.
#[derive(Clone, Debug)]
pub struct Create {
    /// Its UID, if the line has it.
    pub uid: Option<String>,
    /// When the request came.
    pub at: Timestamp,
    /// The authenticated user, and in whose name they asked if that is another.
    pub user: String,
    /// The object as it was created, if the line has it.
    pub object: Option<Value>,
}

/// Reads numbered lines of one file. `place` is its name, for messages.
pub fn read(facts: &mut KubeFacts, kinds: &[Kind], place: &str, lines: &[(usize, String)]) {
    let mut is_audit_log = false;
    for (number, text) in lines {
        is_audit_log = is_audit_log || text.contains(VERSION);
        // Most lines of such a log are about something else, and need not be parsed.
        if !text.contains(GROUP) {
            continue;
        }
        let Ok(event) = serde_json::from_str::<Value>(text) else {
            facts.faults.push(format!("{place} line {number} is no JSON"));
            continue;
        };
        facts.lines += 1;
        if let Some((name, create)) = create(&event, kinds) {
            facts.creates.entry(name).or_default().push(create);
        }
    }
    if !is_audit_log {
        facts.faults.push(format!("{place} has no line of {VERSION}: it is no audit log of an API server"));
    }
}

/// The creation that the event shows, if it shows one that succeeded.
fn create(event: &Value, kinds: &[Kind]) -> Option<(Named, Create)> {
    let text = |path: &str| event.pointer(path).and_then(Value::as_str);
    let is_whole = text("/stage").is_none_or(|stage| stage == "ResponseComplete");
    // Only a request that created something is answered with 201, also if it is an apply.
    let is_created = event.pointer("/responseStatus/code").and_then(Value::as_u64) == Some(201);
    let is_plain = text("/objectRef/subresource").unwrap_or_default().is_empty();
    let is_ours = text("/objectRef/apiGroup") == Some(GROUP);
    if !(is_whole && is_created && is_plain && is_ours && ["create", "patch", "update"].contains(&text("/verb")?)) {
        return None;
    }
    let kind = kinds.iter().find(|kind| text("/objectRef/resource") == Some(&kind.resource.plural))?;
    let answered =
        |key: &str| text(&format!("/objectRef/{key}")).or_else(|| text(&format!("/responseObject/metadata/{key}")));
    let user = text("/user/username")?;
    // A name that the API server made is only in its answer.
    let name = answered("name").or_else(|| text("/requestObject/metadata/name"))?;
    let named = (kind.name.to_owned(), text("/objectRef/namespace")?.to_owned(), name.to_owned());
    let create = Create {
        uid: answered("uid").map(str::to_owned),
        at: text("/requestReceivedTimestamp").or_else(|| text("/stageTimestamp"))?.parse().ok()?,
        user: match text("/impersonatedUser/username") {
            Some(other) => format!("{user} in the name of {other}"),
            None => user.to_owned(),
        },
        object: ["/responseObject", "/requestObject"]
            .into_iter()
            .filter_map(|path| event.pointer(path))
            .find(|object| object.get("spec").is_some())
            .cloned(),
    };
    Some((named, create))
}

impl Create {
    /// Whether it created the object of its name with this UID. Without a UID in the line, the time decides.
    pub fn is_of(&self, uid: &str, created: Option<Timestamp>) -> bool {
        match &self.uid {
            Some(own) => own == uid,
            None => created.is_some_and(|created| created.duration_since(self.at).abs() <= SAME_MOMENT),
        }
    }
}

impl KubeFacts {
    /// The creation of the object of this name with this UID, or at this time.
    pub fn creation(&self, named: &Named, uid: &str, created: Option<Timestamp>) -> Option<&Create> {
        self.creates.get(named)?.iter().find(|create| create.is_of(uid, created))
    }

    /// The creation of a deleted object of this name, for which something was done at this time: the last before.
    pub fn creation_before(&self, named: &Named, uid: &str, first: Timestamp) -> Option<&Create> {
        let creates = self.creates.get(named)?;
        let before = |create: &&Create| create.uid.is_none() && create.at <= first;
        creates.iter().find(|create| create.is_of(uid, None)).or_else(|| creates.iter().rfind(before))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::object::kinds;

    fn event(change: impl FnOnce(&mut Value)) -> KubeFacts {
        let mut event = json!({
            "kind": "Event", "apiVersion": VERSION, "level": "Metadata", "stage": "ResponseComplete", "verb": "create",
            "user": {"username": "lee@acme.com", "groups": ["system:authenticated"]},
            "objectRef": {"resource": "userrolerevocations", "namespace": "identity", "name": "jane", "apiGroup": GROUP,
                "apiVersion": "v1alpha1"},
            "responseStatus": {"code": 201}, "requestReceivedTimestamp": "2026-10-01T10:00:00.600000Z",
        });
        change(&mut event);
        let mut facts = KubeFacts::default();
        read(&mut facts, &kinds(), "audit.log", &[(1, event.to_string())]);
        facts
    }

    fn asked(facts: &KubeFacts, uid: &str, created: &str) -> Option<String> {
        let named = ("UserRoleRevocation", "identity", "jane");
        let named = (named.0.to_owned(), named.1.to_owned(), named.2.to_owned());
        Some(facts.creation(&named, uid, created.parse().ok())?.user.clone())
    }

    #[test]
    fn a_creation_is_found_by_uid_or_by_name_and_time() {
        let by_name = event(|_| ());
        let lee = Some("lee@acme.com".to_owned());
        assert_eq!(asked(&by_name, "u1", "2026-10-01T10:00:00Z"), lee);
        assert_eq!(asked(&by_name, "u1", "2026-10-01T10:00:03Z"), None, "another object of this name");
        let by_uid = event(|event| event["responseObject"] = json!({"metadata": {"uid": "u1"}}));
        assert_eq!(asked(&by_uid, "u1", "2026-10-02T10:00:00Z"), lee);
        assert_eq!(asked(&by_uid, "u2", "2026-10-01T10:00:00Z"), None);
        let other = event(|event| event["impersonatedUser"] = json!({"username": "boss"}));
        assert_eq!(asked(&other, "u1", "2026-10-01T10:00:00Z"), Some("lee@acme.com in the name of boss".to_owned()));
    }

    #[test]
    fn only_what_created_something_counts() {
        let none = |change: &dyn Fn(&mut Value)| event(|event| change(event)).creates.is_empty();
        assert!(none(&|event| event["stage"] = json!("RequestReceived")));
        assert!(none(&|event| event["responseStatus"]["code"] = json!(200)));
        assert!(none(&|event| event["responseStatus"]["code"] = json!(403)));
        assert!(none(&|event| event["objectRef"]["subresource"] = json!("status")));
        assert!(none(&|event| event["objectRef"]["apiGroup"] = json!("apps")));
        assert!(!none(&|event| event["verb"] = json!("patch")), "kubectl apply --server-side");
    }

    #[test]
    fn a_file_that_is_no_audit_log_is_named() {
        let mut facts = KubeFacts::default();
        read(&mut facts, &kinds(), "a.log", &[(1, "nothing".to_owned()), (2, "{\"broken\": \"rescind.dev".to_owned())]);
        assert_eq!(facts.faults.len(), 2, "{:?}", facts.faults);
    }
}
