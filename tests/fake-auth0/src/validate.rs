//! What Auth0 refuses before it looks at its data: ids in the path, the bodies of removals.
//!
//! Pure functions from what came over the wire to what was meant, or to the [`Problem`] that names the fault.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::{
    answers::Problem,
    endpoints::{BodyRule, Format, RawId},
};

/// Something a removal names: an id, or a permission of an API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    Id(String),
    Permission { identifier: String, name: String },
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user-id-with-max-length",
            Self::Role => "role-id",
            Self::Organization => "organization-id",
            Self::Permission => "permission",
        }
    }

    pub(crate) fn fits(self, id: &str) -> bool {
        match self {
            Self::User => id.len() <= 1024 && id.split_once('|').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty()),
            Self::Role => prefixed(id, "rol_"),
            Self::Organization => prefixed(id, "org_"),
            Self::Permission => false,
        }
    }
}

fn prefixed(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix).is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// The bytes that may stand in a path as they are (RFC 3986, `pchar` without the percent sign).
fn may_stand_raw(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

/// A path parameter, percent-decoded exactly once; `None` when it was not encoded as it must be.
pub(crate) fn decode_once(raw: &str) -> Option<Cow<'_, str>> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let triplet =
            *byte == b'%' && bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        if !triplet && !may_stand_raw(*byte) {
            return None;
        }
        at += if triplet { 3 } else { 1 };
    }
    percent_decode_str(raw).decode_utf8().ok()
}

/// A path parameter, decoded and of the form it must have.
pub(crate) fn path_id(id: RawId<'_>) -> Result<String, Problem> {
    let property = if id.format == Format::User { "user_id" } else { "id" };
    decode_once(id.raw)
        .filter(|decoded| id.format.fits(decoded))
        .map(Cow::into_owned)
        .ok_or_else(|| Problem::uri(id.format.name(), property))
}

/// What the body of a removal names. `json` is `None` when there was no body at all.
pub(crate) fn body_items(rule: BodyRule, json: Option<&Value>) -> Result<Vec<Item>, Problem> {
    let found = json.unwrap_or(&Value::Null);
    let Some(object) = found.as_object() else { return Err(wrong_type("object", found, "")) };
    let property = rule.key;
    let Some(list) = object.get(property) else {
        return Err(Problem::body(format!("'Missing required property: {property}'.")));
    };
    if !rule.additional
        && let Some(extra) = object.keys().find(|key| *key != property)
    {
        return Err(Problem::body(format!("'Additional properties not allowed: {extra}'.")));
    }
    let Some(list) = list.as_array() else {
        return Err(wrong_type("array", list, &format!(" on property {property}")));
    };
    let size = list.len();
    if size == 0 {
        return Err(Problem::body(format!("'Array is too short (0), minimum 1' on property {property}.")));
    }
    if size > rule.max {
        let max = rule.max;
        return Err(Problem::body(format!("'Array is too long ({size}), maximum {max}' on property {property}.")));
    }
    let items = list
        .iter()
        .enumerate()
        .map(|(index, value)| item(rule.items, value, &format!("{property}[{index}]")))
        .collect::<Result<Vec<_>, _>>()?;
    unique(&items, property)?;
    Ok(items)
}

fn wrong_type(wanted: &str, found: &Value, place: &str) -> Problem {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Problem::body(format!("'Expected type {wanted} but found type {found}'{place}."))
}

fn item(format: Format, value: &Value, place: &str) -> Result<Item, Problem> {
    if format == Format::Permission {
        return permission(value, place);
    }
    let Some(id) = value.as_str() else { return Err(wrong_type("string", value, &format!(" on property {place}"))) };
    if !format.fits(id) {
        let name = format.name();
        return Err(Problem::body(format!("'Object didn't pass validation for format {name}' on property {place}.")));
    }
    Ok(Item::Id(id.to_owned()))
}

const PERMISSION_KEYS: [&str; 2] = ["resource_server_identifier", "permission_name"];

fn permission(value: &Value, place: &str) -> Result<Item, Problem> {
    let Some(object) = value.as_object() else {
        return Err(wrong_type("object", value, &format!(" on property {place}")));
    };
    if let Some(extra) = object.keys().find(|key| !PERMISSION_KEYS.contains(&key.as_str())) {
        return Err(Problem::body(format!("'Additional properties not allowed: {extra}' on property {place}.")));
    }
    let text = |key: &str| match object.get(key) {
        None => Err(Problem::body(format!("'Missing required property: {key}' on property {place}."))),
        Some(Value::String(text)) if text.is_empty() => {
            Err(Problem::body(format!("'String is too short (0 chars), minimum 1' on property {place}.{key}.")))
        }
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(wrong_type("string", other, &format!(" on property {place}.{key}"))),
    };
    let (identifier, name) = (text(PERMISSION_KEYS[0])?, text(PERMISSION_KEYS[1])?);
    if identifier.len() > 600 {
        return Err(Problem::body(format!("'String is too long, maximum 600' on property {place}.")));
    }
    Ok(Item::Permission { identifier, name })
}

fn unique(items: &[Item], property: &str) -> Result<(), Problem> {
    for (second, item) in items.iter().enumerate() {
        if let Some(first) = items.iter().take(second).position(|earlier| earlier == item) {
            let complaint =
                format!("'Array items are not unique (indices {first} and {second})' on property {property}.");
            return Err(Problem::body(complaint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::endpoints::{ENDPOINTS, Kind};

    fn check(kind: Kind, body: Option<Value>) -> Result<Vec<Item>, String> {
        body_items(ENDPOINTS[kind as usize].body.unwrap(), body.as_ref()).map_err(|problem| {
            assert_eq!(problem.code, Some("invalid_body"));
            problem.message.into_owned()
        })
    }

    #[test]
    fn path_ids_are_decoded_exactly_once() {
        let user = |raw| path_id(RawId { format: Format::User, raw }).map_err(|problem| problem.code);
        assert_eq!(user("auth0%7Cjane"), Ok("auth0|jane".into()));
        assert_eq!(user("samlp%7Cc%7Ca%2Fb@x"), Ok("samlp|c|a/b@x".into()));
        assert_eq!(user("waad%7C%C3%A9%20%2525"), Ok("waad|é %25".into()));
        for bad in
            ["auth0|jane", "auth0%257Cjane", "jane", "%7Cjane", "auth0%7C", "auth0%7C%zz", "auth0%7C%", "a%7C%ff"]
        {
            assert_eq!(user(bad), Err(Some("invalid_uri")), "{bad}");
        }
        let organization = |raw| path_id(RawId { format: Format::Organization, raw }).is_ok();
        assert!(organization("org_0123456789abcdEF"));
        assert!(!organization("acme"));
        assert!(!organization("org_0123456789abcdEF0"));
    }

    #[test]
    fn bodies_of_the_wrong_form_are_named() {
        let role = "rol_0123456789abcdef";
        let too_many: Vec<String> = (0..51).map(|n| format!("rol_{n:016}")).collect();
        let table = [
            (None, "Expected type object but found type null"),
            (Some(json!(null)), "Expected type object but found type null"),
            (Some(json!([role])), "Expected type object but found type array"),
            (Some(json!({})), "Missing required property: roles"),
            (Some(json!({"roles": null})), "Expected type array but found type null"),
            (Some(json!({"roles": role})), "Expected type array but found type string"),
            (Some(json!({"roles": []})), "too short"),
            (Some(json!({"roles": [1]})), "Expected type string but found type number"),
            (Some(json!({"roles": ["admin"]})), "format role-id"),
            (Some(json!({"roles": [role, role]})), "not unique (indices 0 and 1)"),
            (Some(json!({"roles": too_many})), "too long (51), maximum 50"),
            (Some(json!({"roles": [role], "x": 1})), "Additional properties not allowed: x"),
        ];
        for (body, complaint) in table {
            let found = check(Kind::DeleteUserRoles, body.clone()).unwrap_err();
            assert!(found.contains(complaint), "{body:?}: {found}");
        }
        assert_eq!(check(Kind::DeleteUserRoles, Some(json!({"roles": [role]}))), Ok(vec![Item::Id(role.into())]));
    }

    #[test]
    fn members_accept_stray_keys_and_ten_people_at_most() {
        let people = |count: usize| (0..count).map(|n| format!("auth0|{n}")).collect::<Vec<_>>();
        let body = |count| Some(json!({"members": people(count), "member": "misspelt"}));
        assert_eq!(check(Kind::DeleteMembers, body(10)).unwrap().len(), 10);
        assert!(check(Kind::DeleteMembers, body(11)).unwrap_err().contains("maximum 10"));
    }

    #[test]
    fn permissions_need_both_their_parts() {
        let one = |item| check(Kind::DeleteUserPermissions, Some(json!({"permissions": [item]})));
        assert!(one(json!({"resource_server_identifier": "api", "permission_name": "read"})).is_ok());
        for (item, complaint) in [
            (json!("read"), "Expected type object"),
            (json!({"permission_name": "read"}), "Missing required property: resource_server_identifier"),
            (json!({"resource_server_identifier": "api", "permission_name": ""}), "too short"),
            (json!({"resource_server_identifier": 1, "permission_name": "read"}), "Expected type string"),
            (json!({"resource_server_identifier": "a", "permission_name": "b", "c": 1}), "Additional properties"),
        ] {
            let found = one(item).unwrap_err();
            assert!(found.contains(complaint), "{found}");
        }
    }
}
