//! JSON: exports of Auth0, one object a line, answers of its Management API, Terraform state, SCIM and events of Okta.

use serde_json::{Deserializer, Value};

use crate::auth0::{Endpoint, Item};

use super::{Person, SourceError, Sourced, id, names_somebody};

/// Events of Okta that say that somebody leaves. A suspension can be taken back within minutes.
const LEAVING: [&str; 2] = ["user.lifecycle.deactivate", "user.lifecycle.delete.initiated"];

/// Reads JSON: one document, or one a line.
pub fn read(text: &str) -> Result<Sourced, SourceError> {
    let mut sourced = Sourced::default();
    let mut at = 0;
    for value in Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| SourceError::Entry {
            place: "line",
            at: error.line(),
            why: "this is no JSON".to_owned(),
        })?;
        let entries = entries(value, &mut sourced);
        for entry in entries {
            at += 1;
            add(&mut sourced, &entry, at)?;
        }
    }
    if sourced.people.is_empty() && sourced.grants.is_empty() && sourced.skipped.is_empty() {
        return Err(SourceError::Unknown);
    }
    Ok(sourced)
}

/// The entries of a document, whatever it wraps them in.
fn entries(value: Value, sourced: &mut Sourced) -> Vec<Value> {
    let is_patch = value.get("Operations").is_some();
    for key in ["resources", "users", "members", "Resources", "events"] {
        if let Some(Value::Array(entries)) = value.get(key).filter(|_| !is_patch) {
            return entries.clone();
        }
    }
    // `terraform show -json`, and an event hook of Okta.
    for path in ["/values/root_module", "/data/events"] {
        match value.pointer(path) {
            Some(Value::Array(entries)) => return entries.clone(),
            Some(module) => return module_resources(module),
            None => {}
        }
    }
    if let Value::Array(entries) = value {
        return entries;
    }
    if let Some(listed) = value.get("permissions").or_else(|| value.get("roles")) {
        let count = listed.as_array().map_or(0, Vec::len);
        sourced.skipped.push(format!(
            "{count} permissions or roles that do not say whose they are: name the person, and --everything, --role or \
             --permission"
        ));
        return Vec::new();
    }
    vec![value]
}

fn module_resources(module: &Value) -> Vec<Value> {
    let list = |key: &str| module.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let below = list("child_modules");
    list("resources").into_iter().chain(below.iter().flat_map(module_resources)).collect()
}

fn add(sourced: &mut Sourced, entry: &Value, at: usize) -> Result<(), SourceError> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let wrong = |why: &str| SourceError::Entry { place: "entry", at, why: why.to_owned() };
    if let Some(kind) = text("type").filter(|kind| kind.starts_with("auth0_")) {
        sourced.shape = "Terraform state";
        return terraform(sourced, kind, entry)
            .ok_or_else(|| wrong("this resource has no ids in the usual attributes"));
    }
    if text("type").is_some() && (entry.get("instances").is_some() || entry.get("values").is_some()) {
        return Ok(());
    }
    if let Some(event) = text("eventType") {
        sourced.shape = "events of Okta";
        if LEAVING.contains(&event) {
            let user = entry.get("target").and_then(Value::as_array).into_iter().flatten();
            let mut user = user.filter(|target| target.get("type").and_then(Value::as_str) == Some("User"));
            let name = user.next().and_then(|target| target.get("alternateId")?.as_str());
            return push(sourced, name, at).ok_or_else(|| wrong("no target of this event is a user with an address"));
        }
        sourced
            .skipped
            .push(format!("entry {at}: {} is no event of somebody who leaves", crate::cli::texts::shown(event)));
        return Ok(());
    }
    if let Some(operations) = entry.get("Operations").or_else(|| entry.get("operations")) {
        sourced.shape = "SCIM";
        return scim(sourced, operations, at);
    }
    if entry.get("schemas").is_some() {
        sourced.shape = "SCIM";
        if is_active(entry.get("active")) {
            sourced.skipped.push(format!("entry {at}: the user is active"));
            return Ok(());
        }
        return push(sourced, text("userName"), at).ok_or_else(|| wrong("userName is no e-mail address or user id"));
    }
    sourced.shape = "users of Auth0";
    // Never identities[].user_id: it lacks the provider.
    push(sourced, text("user_id").or_else(|| text("email")), at)
        .ok_or_else(|| wrong("it has neither user_id nor email, so it does not say whom it is about"))
}

fn push(sourced: &mut Sourced, text: Option<&str>, at: usize) -> Option<()> {
    let text = text.filter(|text| names_somebody(text))?;
    sourced.people.push(Person { text: text.to_owned(), at });
    Some(())
}

/// Whether somebody is active. Some directories write the value as text.
fn is_active(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(active)) => *active,
        Some(Value::String(text)) => !text.eq_ignore_ascii_case("false"),
        _ => true,
    }
}

fn scim(sourced: &mut Sourced, operations: &Value, at: usize) -> Result<(), SourceError> {
    let mut found = false;
    for operation in operations.as_array().into_iter().flatten() {
        let text = |key: &str| operation.get(key).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        if text("op") == "remove" && text("path").starts_with("members") {
            let members = operation.get("value").and_then(Value::as_array).into_iter().flatten();
            for member in members {
                let member = member.get("value").and_then(Value::as_str);
                found |= push(sourced, member, at).is_some();
            }
        }
    }
    if found {
        return Ok(());
    }
    let why = "whom this request is about stands in its URL, not in its body: name the person".to_owned();
    Err(SourceError::Entry { place: "entry", at, why })
}

/// What a resource of Terraform grants, from its attributes and never from its id: an identifier may hold what joins
/// the parts of an id.
fn terraform(sourced: &mut Sourced, kind: &str, resource: &Value) -> Option<()> {
    let instances = match resource.get("instances").and_then(Value::as_array) {
        Some(instances) => instances.iter().filter_map(|instance| instance.get("attributes")).collect(),
        None => vec![resource.get("values")?],
    };
    for attributes in instances {
        let text = |key: &str| attributes.get(key).and_then(Value::as_str).map(id);
        let list = |key: &str| -> Vec<_> {
            let entries = attributes.get(key).and_then(Value::as_array).into_iter().flatten();
            entries.filter_map(Value::as_str).map(id).collect()
        };
        let permission = |entry: &Value| {
            let text = |keys: [&str; 2]| keys.iter().find_map(|key| entry.get(*key)?.as_str()).map(id);
            let resource_server = text(["resource_server_identifier", "resource_server_id"])?;
            Some(Item::Permission { resource_server, name: text(["permission", "name"])? })
        };
        let (endpoint, items) = match kind {
            "auth0_user_roles" => {
                (Endpoint::UserRoles { user: text("user_id")? }, list("roles").into_iter().map(Item::Id).collect())
            }
            "auth0_user_role" => (Endpoint::UserRoles { user: text("user_id")? }, vec![Item::Id(text("role_id")?)]),
            "auth0_user_permission" => {
                (Endpoint::UserPermissions { user: text("user_id")? }, vec![permission(attributes)?])
            }
            "auth0_user_permissions" => {
                let entries = attributes.get("permissions").and_then(Value::as_array)?;
                (
                    Endpoint::UserPermissions { user: text("user_id")? },
                    entries.iter().map(permission).collect::<Option<Vec<_>>>()?,
                )
            }
            "auth0_organization_members" => {
                let organization = text("organization_id")?;
                (Endpoint::OrganizationMembers { organization }, list("members").into_iter().map(Item::Id).collect())
            }
            "auth0_organization_member" => {
                let organization = text("organization_id")?;
                (Endpoint::OrganizationMembers { organization }, vec![Item::Id(text("user_id")?)])
            }
            "auth0_organization_member_roles" => {
                let (organization, user) = (text("organization_id")?, text("user_id")?);
                (
                    Endpoint::OrganizationMemberRoles { organization, user },
                    list("roles").into_iter().map(Item::Id).collect(),
                )
            }
            "auth0_organization_member_role" => {
                let (organization, user) = (text("organization_id")?, text("user_id")?);
                (Endpoint::OrganizationMemberRoles { organization, user }, vec![Item::Id(text("role_id")?)])
            }
            _ => continue,
        };
        sourced.grants.extend(items.into_iter().map(|item: Item| (endpoint.clone(), item)));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(text: &str) -> Vec<String> {
        read(text).unwrap().people.into_iter().map(|person| person.text).collect()
    }

    #[test]
    fn an_export_has_one_user_a_line() {
        let text = r#"{"user_id":"auth0|65a1b2c3d4e5f60718293a4b","email":"jane@acme.example",
 "identities":[{"user_id":"65a1b2c3d4e5f60718293a4b","provider":"auth0"}]}
{"user_id":"google-oauth2|108251234567890123456","email":"jane@acme.example",
 "identities":[{"user_id":"108251234567890123456"}]}"#;
        assert_eq!(people(text), ["auth0|65a1b2c3d4e5f60718293a4b", "google-oauth2|108251234567890123456"]);
    }

    #[test]
    fn answers_of_the_api_are_lists_or_objects() {
        assert_eq!(people(r#"[{"user_id":"auth0|1"}]"#), ["auth0|1"]);
        assert_eq!(people(r#"{"start":0,"total":1,"users":[{"user_id":"auth0|1"}]}"#), ["auth0|1"]);
        assert_eq!(people(r#"{"members":[{"user_id":"auth0|1","email":"a@b.c"}],"next":"x"}"#), ["auth0|1"]);
        let without = read(r#"{"permissions":[{"permission_name":"read:a"}]}"#).unwrap();
        assert!(without.skipped[0].contains("do not say whose they are"), "{without:?}");
        let error = read(r#"[{"user_id":"auth0|1"},{"name":"Jane"}]"#).unwrap_err().to_string();
        assert!(error.starts_with("entry 2: it has neither user_id nor email"), "{error}");
    }

    #[test]
    fn terraform_knows_everything_by_id() {
        let text = r#"{"resources":[
         {"type":"auth0_user_roles","instances":[{"attributes":{"id":"x","user_id":"auth0|a","roles":["rol_1"]}}]},
         {"type":"auth0_user_permission","instances":[
          {"attributes":{"user_id":"auth0|a","resource_server_identifier":"https://api/::x","permission":"read:a"}}]},
         {"type":"auth0_organization_members","instances":[
          {"attributes":{"organization_id":"org_1","members":["auth0|a"]}}]},
         {"type":"auth0_organization_member_role","instances":[
          {"attributes":{"organization_id":"org_1","user_id":"auth0|a","role_id":"rol_2"}}]},
         {"type":"aws_iam_user","instances":[{"attributes":{"id":"x"}}]}]}"#;
        let sourced = read(text).unwrap();
        assert_eq!(sourced.grants.len(), 4, "{sourced:?}");
        let item = Item::Permission { resource_server: "https://api/::x".into(), name: "read:a".into() };
        assert!(sourced.grants.contains(&(Endpoint::UserPermissions { user: "auth0|a".into() }, item)));
        let shown = r#"{"values":{"root_module":{"child_modules":[{"resources":[
            {"type":"auth0_user_role","values":{"user_id":"auth0|a","role_id":"rol_1"}}]}]}}}"#;
        assert_eq!(read(shown).unwrap().grants.len(), 1);
        let cut = r#"{"resources":[{"type":"auth0_user_role","instances":[{"attributes":{"id":"auth0|a::rol_1"}}]}]}"#;
        assert!(read(cut).unwrap_err().to_string().contains("entry 1"), "an id is not taken apart");
    }

    #[test]
    fn scim_and_okta() {
        let patch = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations":[{"op":"Remove","path":"members","value":[{"$ref":null,"value":"waad|aBc-1_2"}]}]}"#;
        assert_eq!(people(patch), ["waad|aBc-1_2"]);
        let inactive = r#"{"schemas":["x"],"Operations":[{"op":"Replace","path":"active","value":"False"}]}"#;
        assert!(read(inactive).unwrap_err().to_string().contains("in its URL"));
        let user = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName":"jane@acme.example","active":"False"}"#;
        assert_eq!(people(user), ["jane@acme.example"]);
        let active = user.replace("\"False\"", "true");
        assert!(read(&active).unwrap().people.is_empty());
        let okta = r#"{"eventType":"user.lifecycle.deactivate",
            "target":[{"type":"User","id":"00u1","alternateId":"jane@acme.example"}]}"#;
        assert_eq!(people(okta), ["jane@acme.example"]);
        let suspended = okta.replace("deactivate", "suspend");
        assert!(read(&suspended).unwrap().skipped[0].contains("no event of somebody who leaves"));
        let hook = format!(r#"{{"data":{{"events":[{okta},{okta}]}}}}"#);
        assert_eq!(super::super::read(hook.as_bytes(), None).unwrap().people.len(), 1, "it comes twice");
    }
}
