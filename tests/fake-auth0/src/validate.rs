//! What Auth0 validates before it looks at its data: ids in the path, the bodies of removals.
//!
//! Pure functions from what came over the wire to what it means, or to the [`Problem`] to answer.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::{
    answers::Problem,
    endpoints::{BodyRule, Format, RawId},
    switches::{PathNames, Switches, Verdict},
};

/// Something a removal names: an id, or a permission of an API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    Id(String),
    Permission { identifier: String, name: String },
}

impl Format {
    pub(crate) fn fits(self, id: &str) -> bool {
        match self {
            Self::User => id.len() <= 1024 && id.split_once('|').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty()),
            Self::Role | Self::AnyRole => prefixed(id, "rol_"),
            Self::Organization => prefixed(id, "org_"),
            Self::Permission | Self::OrganizationName => false,
            Self::ResourceServer => !id.is_empty(),
        }
    }
}

fn prefixed(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix).is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// The bytes that may appear unencoded in a path (RFC 3986, `pchar` without the percent sign).
fn may_stand_raw(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

/// A path parameter, percent-decoded exactly once; `None` when it was encoded wrongly.
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

/// A path parameter, decoded and validated.
pub(crate) fn path_id(id: RawId<'_>, names: PathNames) -> Result<String, Problem> {
    let Some(decoded) = decode_once(id.raw) else { return Err(Problem::path_id(id.format, id.raw)) };
    let length = decoded.chars().count();
    match id.format {
        Format::User if !id.format.fits(&decoded) => Err(Problem::path_id(id.format, &decoded)),
        Format::Organization | Format::OrganizationName if length > LONGEST_ORGANIZATION => {
            Err(Problem::path(format!(
                "'String is too long ({length} chars), maximum {LONGEST_ORGANIZATION}' on property id (Organization \
             identifier)."
            )))
        }
        Format::Organization | Format::Role if names == PathNames::Refused && !id.format.fits(&decoded) => {
            Err(Problem::path_id(id.format, &decoded))
        }
        _ => Ok(decoded.into_owned()),
    }
}

const LONGEST_ORGANIZATION: usize = 50;

/// A place in a body: the property, and its description in the schema.
#[derive(Clone, Copy)]
struct Place<'a> {
    property: &'a str,
    about: &'a str,
}

impl Place<'_> {
    fn wrong(self, complaint: impl AsRef<str>) -> Problem {
        let (complaint, Self { property, about }) = (complaint.as_ref(), self);
        Problem::body(format!("'{complaint}' on property {property} ({about})."))
    }
}

/// The items that the body of a removal names. `json` is `None` when there was no body.
pub(crate) fn body_items(rule: BodyRule, json: Option<&Value>, switches: &Switches) -> Result<Vec<Item>, Problem> {
    let found = json.unwrap_or(&Value::Null);
    let Some(object) = found.as_object() else {
        return Err(Problem::body(format!("'{}'.", wrong_type("object", found))));
    };
    let place = Place { property: rule.key, about: rule.about };
    let Some(list) = object.get(rule.key) else {
        return Err(Problem::body(format!("'Missing required property: {}'.", rule.key)));
    };
    if let Some(extra) = extra_keys(object, &[rule.key]).filter(|_| !rule.additional) {
        return Err(Problem::body(format!("'{extra}'.")));
    }
    let Some(list) = list.as_array() else { return Err(place.wrong(wrong_type("array", list))) };
    let size = list.len();
    if size == 0 {
        return Err(place.wrong("Array is too short (0), minimum 1"));
    }
    if size > rule.max && (rule.excess)(switches) == Verdict::Refused {
        return Err(place.wrong(format!("Array is too long ({size}), maximum {}", rule.max)));
    }
    let items = list
        .iter()
        .enumerate()
        .map(|(index, value)| {
            item(rule.items, value, Place { property: &format!("{}[{index}]", rule.key), ..place }, switches.odd_items)
        })
        .collect::<Result<Vec<_>, _>>()?;
    if switches.duplicates == Verdict::Refused {
        unique(&items, place)?;
    }
    Ok(items)
}

/// The complaint about keys that the schema does not know, all of them at once.
fn extra_keys(object: &serde_json::Map<String, Value>, known: &[&str]) -> Option<String> {
    let extra: Vec<&str> = object.keys().map(String::as_str).filter(|key| !known.contains(key)).collect();
    (!extra.is_empty()).then(|| format!("Additional properties not allowed: {}", extra.join(",")))
}

fn wrong_type(wanted: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("Expected type {wanted} but found type {found}")
}

fn item(format: Format, value: &Value, place: Place<'_>, odd: Verdict) -> Result<Item, Problem> {
    if format == Format::Permission {
        return permission(value, place, odd);
    }
    let Some(id) = value.as_str() else { return Err(place.wrong(wrong_type("string", value))) };
    if id.is_empty() {
        return Err(place.wrong("String is too short (0 chars), minimum 1"));
    }
    if !format.fits(id) && (format != Format::AnyRole || odd == Verdict::Refused) {
        let name = if format == Format::User { "user-id-with-max-length" } else { "role-id" };
        return Err(place.wrong(format!("Object didn't pass validation for format {name}: {id}")));
    }
    Ok(Item::Id(id.to_owned()))
}

const PERMISSION_KEYS: [&str; 2] = ["resource_server_identifier", "permission_name"];
const LONGEST_PERMISSION: usize = 600;

fn permission(value: &Value, place: Place<'_>, odd: Verdict) -> Result<Item, Problem> {
    let Some(object) = value.as_object() else { return Err(place.wrong(wrong_type("object", value))) };
    if let Some(extra) = extra_keys(object, &PERMISSION_KEYS) {
        return Err(place.wrong(extra));
    }
    let text = |key: &str| {
        let property = format!("{}.{key}", place.property);
        let at = Place { property: &property, ..place };
        let Some(found) = object.get(key) else { return Err(place.wrong(format!("Missing required property: {key}"))) };
        let Some(text) = found.as_str() else { return Err(at.wrong(wrong_type("string", found))) };
        match text.chars().count() {
            0 if odd == Verdict::Refused => Err(at.wrong("String is too short (0 chars), minimum 1")),
            long if long > LONGEST_PERMISSION && odd == Verdict::Refused => {
                Err(at.wrong(format!("String is too long ({long} chars), maximum {LONGEST_PERMISSION}")))
            }
            _ => Ok(text.to_owned()),
        }
    };
    let [identifier, name] = PERMISSION_KEYS.map(text);
    Ok(Item::Permission { identifier: identifier?, name: name? })
}

fn unique(items: &[Item], place: Place<'_>) -> Result<(), Problem> {
    for (second, item) in items.iter().enumerate() {
        if let Some(first) = items.iter().take(second).position(|earlier| earlier == item) {
            return Err(place.wrong(format!("Array items are not unique (indexes {first} and {second})")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::{endpoints::ENDPOINTS, kinds::Kind};

    fn check(kind: Kind, body: Option<Value>) -> Result<Vec<Item>, String> {
        let strict = Switches { odd_items: Verdict::Refused, ..Switches::default() };
        body_items(ENDPOINTS[kind as usize].body.unwrap(), body.as_ref(), &strict).map_err(|problem| {
            assert_eq!(problem.code, Some("invalid_body"));
            problem.message.into_owned()
        })
    }

    #[test]
    fn path_ids_are_decoded_exactly_once() {
        let names = PathNames::NotFound;
        let user = |raw| path_id(RawId { format: Format::User, raw }, names).map_err(|problem| problem.code);
        assert_eq!(user("auth0%7Cjane"), Ok("auth0|jane".into()));
        assert_eq!(user("samlp%7Cc%7Ca%2Fb@x"), Ok("samlp|c|a/b@x".into()));
        assert_eq!(user("waad%7C%C3%A9%20%2525"), Ok("waad|é %25".into()));
        for bad in
            ["auth0|jane", "auth0%257Cjane", "jane", "%7Cjane", "auth0%7C", "auth0%7C%zz", "auth0%7C%", "a%7C%ff"]
        {
            assert_eq!(user(bad), Err(Some("invalid_uri")), "{bad}");
        }
    }

    #[test]
    fn what_organizations_are_called_is_refused_only_if_too_long_or_told_to() {
        let organization = |raw, names| path_id(RawId { format: Format::Organization, raw }, names);
        for strict in [true, false] {
            let names = if strict { PathNames::Refused } else { PathNames::NotFound };
            assert!(organization("org_0123456789abcdEF", names).is_ok());
            assert_eq!(organization("acme", names).is_ok(), !strict);
            assert_eq!(organization("org_0123456789abcdEF0", names).is_ok(), !strict);
            let long = organization("o23456789_123456789_123456789_123456789_123456789_1", names).unwrap_err();
            assert!(long.message.contains("too long (51 chars), maximum 50"), "{}", long.message);
        }
    }

    #[test]
    fn errors_repeat_what_was_sent_and_what_the_schema_says() {
        let user = path_id(RawId { format: Format::User, raw: "jane%40example.com" }, PathNames::NotFound);
        assert_eq!(user.unwrap_err().message, "Object didn't pass validation for format user-id: jane@example.com");
        let body = check(Kind::DeleteMembers, Some(json!({"members": ["auth0|a", "jane@example.com"]})));
        assert_eq!(
            body.unwrap_err(),
            "Payload validation error: 'Object didn't pass validation for format user-id-with-max-length: \
             jane@example.com' on property members[1] (List of user IDs to remove from the organization.)."
        );
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
            (Some(json!({"roles": [role, role]})), "not unique (indexes 0 and 1)"),
            (Some(json!({"roles": too_many})), "too long (51), maximum 50"),
            (Some(json!({"roles": [role], "x": 1, "y": 2})), "Additional properties not allowed: x,y"),
        ];
        for (body, complaint) in table {
            let found = check(Kind::DeleteUserRoles, body.clone()).unwrap_err();
            assert!(found.contains(complaint), "{body:?}: {found}");
        }
        assert_eq!(check(Kind::DeleteUserRoles, Some(json!({"roles": [role]}))), Ok(vec![Item::Id(role.into())]));
    }

    #[test]
    fn what_no_document_limits_is_let_through() {
        let let_through = Switches {
            fifty_one_items: Verdict::Accepted,
            eleven_members: Verdict::Accepted,
            duplicates: Verdict::Accepted,
            ..Switches::default()
        };
        let items = |kind: Kind, body: Value| {
            body_items(ENDPOINTS[kind as usize].body.unwrap(), Some(&body), &let_through).map(|items| items.len())
        };
        let people: Vec<String> = (0..11).map(|n| format!("auth0|{n}")).collect();
        let roles: Vec<String> = (0..51).map(|n| format!("role {n}")).collect();
        let empty = json!({"resource_server_identifier": "", "permission_name": "x".repeat(700)});
        assert_eq!(items(Kind::DeleteMembers, json!({"members": people})).ok(), Some(11));
        assert_eq!(items(Kind::DeleteUserRoles, json!({"roles": roles})).ok(), Some(51));
        assert_eq!(items(Kind::DeleteUserRoles, json!({"roles": ["admin", "admin"]})).ok(), Some(2));
        assert_eq!(items(Kind::DeleteUserPermissions, json!({"permissions": [empty]})).ok(), Some(1));
        assert!(items(Kind::DeleteUserRoles, json!({"roles": [""]})).is_err());
        assert!(items(Kind::DeleteMemberRoles, json!({"roles": ["admin"]})).is_err());
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
