//! Writes manifests. Names stand in comments only, where they cannot begin another line; everything else is quoted as
//! JSON quotes it, which YAML reads.

use std::fmt::Write;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::api::{GROUP, Mode, TenantKind, TenantRef};
use crate::auth0::{Endpoint, Item};
use crate::cli::texts::shown;
use crate::hex::hex;

use super::loss::NamedRemoval;

/// What every object of a run has.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// The namespace.
    pub namespace: String,
    /// The tenant object.
    pub tenant: TenantRef,
    /// `spec.notBefore`.
    pub not_before: Option<String>,
    /// `spec.notAfter`.
    pub not_after: Option<String>,
    /// `spec.mode`.
    pub mode: Mode,
    /// The label by which the objects are found together.
    pub batch: Option<String>,
    /// Whether names stand in comments.
    pub with_names: bool,
}

/// The label by which the objects of a batch are found together.
pub const BATCH_LABEL: &str = "rescind.dev/batch";

/// The object, as it is applied.
pub fn object(removal: &NamedRemoval, common: &Common) -> Value {
    let mut metadata = json!({"name": name(removal), "namespace": common.namespace});
    if let Some(batch) = &common.batch {
        metadata["labels"] = json!({ BATCH_LABEL: batch });
    }
    let mut spec = json!({});
    for (key, value) in target(removal) {
        spec[key] = value;
    }
    if common.tenant != TenantRef::default() {
        spec["tenantRef"] = match common.tenant.kind {
            TenantKind::Auth0Tenant => json!({"name": common.tenant.name}),
            kind @ TenantKind::ClusterAuth0Tenant => json!({"kind": kind.as_str(), "name": common.tenant.name}),
        };
    }
    for (key, value) in [("notBefore", &common.not_before), ("notAfter", &common.not_after)] {
        if let Some(value) = value {
            spec[key] = json!(value);
        }
    }
    if common.mode == Mode::Observe {
        spec["mode"] = json!("Observe");
    }
    json!({"apiVersion": format!("{GROUP}/v1alpha1"), "kind": removal.kind(), "metadata": metadata, "spec": spec})
}

/// The fields of the spec that name the target: an id for each in the path of the endpoint, and the list of the items
/// under the name that it has in the body of the DELETE.
fn target(NamedRemoval { removal, .. }: &NamedRemoval) -> Vec<(String, Value)> {
    let items = removal.items.iter().map(|item| match item {
        Item::Id(id) => json!(**id),
        Item::Permission { resource_server, name } => {
            json!({"resourceServerIdentifier": **resource_server, "permissionName": **name})
        }
    });
    let ids = removal.endpoint.ids().into_iter().map(|(path_id, id)| (format!("{}Id", path_id.of), json!(**id)));
    ids.chain([(removal.endpoint.row().body_key.to_owned(), items.collect())]).collect()
}

/// The name of an object: what it takes away, and hashes of whom it is about and of the target. The same target has the
/// same name, however often it is written, and another target, which no object can be changed to, has another.
fn name(removal: &NamedRemoval) -> String {
    let endpoint = &removal.removal.endpoint;
    let first = removal.removal.items.first().map(Item::to_string).unwrap_or_default();
    let person = endpoint.user().map_or(&*first, |user| user);
    let whole = json!([endpoint.path(), target(removal).into_iter().map(|(_, value)| value).collect::<Value>()]);
    format!("{}-{}-{}", words(endpoint), hash(person, 10), hash(&whole.to_string(), 6))
}

/// What is taken away at an endpoint: the words of its path, without the first, such as `member-roles`.
fn words(endpoint: &Endpoint) -> String {
    let words = endpoint.template().split('/').skip(1).filter(|part| !part.starts_with('{')).collect::<Vec<_>>();
    words.join("-").replace("s-", "-")
}

/// The first digits of the SHA-256 of a text, as `sha256sum` prints them.
pub fn hash(text: &str, digits: usize) -> String {
    hex(digest(&SHA256, text.as_bytes())).chars().take(digits).collect()
}

/// The object as a document of YAML, with the names of the items in comments.
pub fn yaml(removal: &NamedRemoval, common: &Common) -> String {
    let object = object(removal, common);
    let mut out = String::from("---\n");
    if common.with_names && !removal.place.is_empty() {
        line(&mut out, &format!("# in {}", shown(&removal.place)));
    }
    line(&mut out, &format!("apiVersion: {}", plain(&object["apiVersion"])));
    line(&mut out, &format!("kind: {}", removal.kind()));
    line(&mut out, "metadata:");
    fields(&mut out, &object["metadata"], &[], common);
    line(&mut out, "spec:");
    fields(&mut out, &object["spec"], &removal.names, common);
    out
}

fn fields(out: &mut String, object: &Value, names: &[String], common: &Common) {
    // As people write them: names first, and lists last.
    let mut fields: Vec<(&String, &Value)> = object.as_object().into_iter().flatten().collect();
    let rank = |key: &str| match key {
        "name" => 0,
        "namespace" => 1,
        key if key.ends_with("Id") => 2,
        _ => 3,
    };
    fields.sort_by_key(|(key, value)| (value.is_array(), rank(key)));
    for (key, value) in fields {
        match value.as_array() {
            Some(items) => {
                line(out, &format!("  {key}:"));
                for (at, item) in items.iter().enumerate() {
                    let name = names.get(at).filter(|name| common.with_names && !name.is_empty());
                    let comment = name.map(|name| format!("   # {}", shown(name))).unwrap_or_default();
                    line(out, &format!("  - {}{comment}", flow(item)));
                }
            }
            None => line(out, &format!("  {key}: {}", flow(value))),
        }
    }
}

/// One value on one line.
fn flow(value: &Value) -> String {
    match (value.as_object(), value.as_str()) {
        (Some(fields), _) => {
            let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        (None, Some(_)) => plain(value),
        (None, None) => value.to_string(),
    }
}

/// A text without quotes if no reader of YAML could take it for something else.
fn plain(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&&*text.to_ascii_lowercase());
    if is_word { text.to_owned() } else { quoted(text) }
}

/// A text as JSON quotes it, with an escape for everything that is not seen.
fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    crate::api::escaped(&json).into_owned()
}

fn line(out: &mut String, text: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::auth0::ItemKind;
    use crate::cli::object::kinds;
    use crate::cli::texts::hostile;
    use crate::dispatch::Removal;

    fn common(with_names: bool) -> Common {
        let tenant = TenantRef { kind: TenantKind::ClusterAuth0Tenant, name: "all".to_owned() };
        Common {
            namespace: "identity".to_owned(),
            tenant,
            not_before: Some("2026-12-31T17:00:00Z".to_owned()),
            batch: Some("2026-11-25".to_owned()),
            with_names,
            ..Common::default()
        }
    }

    fn removal(user: &str, items: &[Item], names: &[String]) -> NamedRemoval {
        let endpoint = match items.first() {
            Some(Item::Permission { .. }) => Endpoint::UserPermissions { user: user.into() },
            _ => Endpoint::UserRoles { user: user.into() },
        };
        NamedRemoval {
            removal: Removal { endpoint, items: items.to_vec() },
            names: names.to_vec(),
            place: names.first().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn a_manifest_reads_well() {
        let one =
            removal("auth0|1", &[Item::Id("rol_bN1a2b3c4d5e6f7g".into())], &["Admin\n---\nkind: Evil".to_owned()]);
        let text = yaml(&one, &common(true));
        let expected = "---\n# in Admin\\u000a---\\u000akind: Evil\n\
                        apiVersion: rescind.dev/v1alpha1\nkind: UserRoleRevocation\nmetadata:\n  name: roles-";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("\n  namespace: identity\n  labels: {rescind.dev/batch: \"2026-11-25\"}\nspec:\n  userId: "),
            "{text}"
        );
        assert!(text.contains("  - rol_bN1a2b3c4d5e6f7g   # Admin\\u000a---"), "{text}");
        let bare = yaml(&one, &common(false));
        assert!(!bare.contains('#') && !bare.contains("Admin"), "{bare}");
    }

    #[test]
    fn the_name_follows_the_target() {
        let of = |user: &str, role: &str| name(&removal(user, &[Item::Id(role.into())], &[]));
        assert_eq!(of("auth0|1", "a"), of("auth0|1", "a"));
        assert_ne!(of("auth0|1", "a"), of("auth0|1", "b"));
        assert_eq!(of("auth0|1", "a")[..16], of("auth0|1", "b")[..16], "the same person");
        let expected = hash("auth0|1", 10);
        assert!(of("auth0|1", "a").starts_with(&format!("roles-{expected}-")));
    }

    /// Every kind, so that one more needs nothing here.
    #[test]
    fn each_kind_reads_what_was_written_for_it() {
        let (user, organization) = ("auth0|1", "org_9ybsU1dN2dKfDkBi");
        for endpoint in Endpoint::all(user, organization) {
            let item = match endpoint.items() {
                ItemKind::Permission => Item::Permission { resource_server: "https://a/".into(), name: "read".into() },
                ItemKind::Role | ItemKind::Member | ItemKind::Organization => Item::Id("rol_bN1a2b3c4d5e6f7g".into()),
            };
            let one = NamedRemoval::unnamed(&endpoint, &[item]).remove(0);
            let kind = kinds().into_iter().find(|kind| kind.name == one.kind()).unwrap();
            let read = kind.read_with_defaults(object(&one, &common(false))).unwrap();
            assert_eq!(read.removal, one.removal, "{}", one.kind());
        }
        let named = |endpoint| words(&endpoint);
        let of_member = Endpoint::OrganizationMemberRoles { organization: organization.into(), user: user.into() };
        assert_eq!(named(of_member), "member-roles");
        assert_eq!(named(Endpoint::OrganizationMembers { organization: organization.into() }), "members");
    }

    proptest! {
        /// Whatever stands in names and ids, reading what was written gives exactly the object that was meant.
        #[test]
        fn what_is_written_is_what_is_read(
            user in hostile(), ids in prop::collection::vec(hostile(), 1..4),
            names in prop::collection::vec(hostile(), 4), is_permission in any::<bool>(),
        ) {
            let item = |text: &String| -> Item {
                let text: Arc<str> = text.as_str().into();
                match is_permission {
                    true => Item::Permission { resource_server: text.clone(), name: text },
                    false => Item::Id(text),
                }
            };
            let items: Vec<Item> = ids.iter().map(item).collect();
            let one = removal(&user, &items, &names);
            let text = yaml(&one, &common(true));
            let read: Value = serde_saphyr::from_str(&text).unwrap();
            prop_assert_eq!(read, object(&one, &common(true)), "{}", text);
        }
    }
}
