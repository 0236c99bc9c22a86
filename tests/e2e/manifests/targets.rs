//! The fields that say what to remove.

use rescind::api::{is_organization_id, is_permission_name, is_resource_server_identifier, is_role_id, is_user_id};
use serde_json::{Value, json};

use super::*;

const USER_ID: &str = "must be an Auth0 user id such as auth0|5f7c8ec7c33c6c004bbafe82 (provider, pipe, id)";
const ROLE_ID: &str = "must be an Auth0 role id such as rol_bN1a2b3c4d5e6f7g, not the role's name: copy it from";
const ORG_ID: &str =
    "must be an Auth0 organization id such as org_9ybsU1dN2dKfDkBi, not the organization's name: copy it from";
const IDENTIFIER: &str = "must be the identifier (audience) of the API exactly as Auth0 shows it";
const NAME: &str = "must be the permission's name exactly as Auth0 shows it, such as read:reports";

/// Values that are not strings.
pub fn not_text() -> Vec<Case> {
    vec![
        refused("a number", 7, "must be of type string"),
        refused("a truth value", true, "must be of type string"),
        refused("a list", json!(["x"]), "must be of type string"),
        refused_at("an object", json!({"x": "y"}), ".x", "unknown field"),
        refused("an empty object", json!({}), "must be of type string"),
    ]
}

/// The server drops a null where the schema has none, and then reports the field as missing.
pub fn null_is_missed() -> Case {
    refused("null", (), "Required value")
}

/// `id` with what copying may add to it.
fn spoiled(id: &str, says: &'static str) -> Vec<Case> {
    vec![
        refused("empty", "", says),
        refused("a space before", format!(" {id}"), says),
        refused("a space after", format!("{id} "), says),
        refused("a tab after", format!("{id}\t"), says),
        refused("a line end after", format!("{id}\n"), says),
        refused("a Windows line end after", format!("{id}\r\n"), says),
        refused("a line end inside", format!("{id}\n{id}"), says),
        refused("a no-break space after", format!("{id}\u{a0}"), says),
        refused("a no-break space before", format!("\u{a0}{id}"), says),
        refused("an ideographic space after", format!("{id}\u{3000}"), says),
        refused("a line separator after", format!("{id}\u{2028}"), says),
        refused("NUL inside", format!("{id}\0{id}"), says),
        refused("escape inside", format!("{id}\u{1b}[2J"), says),
        refused("delete inside", format!("{id}\u{7f}{id}"), says),
        refused("C1 control inside", format!("{id}\u{85}{id}"), says),
    ]
}

fn user_ids() -> Vec<Row> {
    let longest = format!("auth0|{}", "x".repeat(1018));
    let mut cases = vec![
        kept("as Auth0 shows it", USER),
        kept("the shortest", "a|b"),
        kept("the longest", longest.as_str()),
        kept("the longest, of letters of two bytes", format!("ad|{}", "ü".repeat(1021))),
        refused("one character too long", format!("{longest}x"), "may not be more than 1024"),
        kept("several pipes", "samlp|acme|jane@example.com"),
        kept("a pipe at the end", "samlp|acme|"),
        kept("a slash and a plus", OTHER_USER),
        kept("percent signs", "oauth2|a%2Fb%7Cc%"),
        kept("question mark, ampersand, hash", "oauth2|x?y=1&z#f"),
        kept("steps in a path", "auth0|../../clients"),
        kept("quotes and backslash", r#"auth0|"'\n`$(x)"#),
        kept("a comma and braces", "auth0|a,{b}[c]"),
        kept("spaces inside", "samlp|acme|jane  doe"),
        kept("an ideographic space inside", "ad|田中\u{3000}太郎"),
        kept("letters beyond ASCII", "ad|ümlaut-田中-🦀"),
        kept("letters beyond ASCII in the provider", "prövider|x"),
        kept("a phone number", "sms|+4912345"),
        refused("an e-mail address", "jane@example.com", "not an e-mail address: several accounts can have one"),
        refused("a name", "Jane Doe", "not an e-mail address or a name: copy user_id from the user's page"),
        refused(
            "the address of a page",
            "https://manage.auth0.com/dashboard/eu/acme/users/auth0%7C5f7c8ec7c33c6c004bbafe82",
            "not the address of the user's page: write the last part of it, with | for %7C",
        ),
        refused(
            "the same, decoded in part",
            "https://manage.auth0.com/users/auth0|5f7c",
            "not the address of the user's page",
        ),
        refused("quotation marks inside", "\"auth0|5f7c8ec7c33c6c004bbafe82\"", "without quotation marks"),
        refused("single ones", "'auth0|5f7c8ec7c33c6c004bbafe82'", "without quotation marks"),
        kept("a URL after the pipe", "oidc|corp|https://idp.example/u/42?x#y"),
        refused("an encoded pipe", "auth0%7C5f7c8ec7c33c6c004bbafe82", "write | for %7C, and decode the rest as well"),
        refused("an encoded pipe and at sign", "samlp%7cacme%7cjane%40example.com", "write | for %7C"),
        refused("a role's id", ROLE, "(provider, pipe, id), not the id of a role or an organization"),
        refused("an id without its provider", "5f7c8ec7c33c6c004bbafe82", "put the provider before it"),
        refused("no provider", "|5f7c8ec7c33c6c004bbafe82", USER_ID),
        refused("no id", "auth0|", USER_ID),
        refused("a space for an id", "auth0| ", USER_ID),
        refused("a space before the id", "auth0| 5f7c", USER_ID),
        refused("a space in the provider", "au th0|5f7c", USER_ID),
        refused("a no-break space in the provider", "au\u{a0}th0|5f7c", USER_ID),
    ];
    cases.extend(spoiled(USER, USER_ID));
    cases.extend(not_text());
    let places = [(&UPR, "spec.userId"), (&URR, "spec.userId"), (&OMRR, "spec.userId")];
    let mut rows = rows(&places, Some(is_user_id), &cases);
    rows.extend(super::rows(&[(&OMR, "spec.members[0]")], Some(is_user_id), &cases));
    rows.extend(super::rows(&places, None, &[left_out_is_refused(), null_is_missed()]));
    rows
}

fn role_ids() -> Vec<Row> {
    let mut cases = vec![
        kept("as Auth0 shows it", ROLE),
        kept("digits only", "rol_0123456789012345"),
        refused("a role's name", "Admin", ROLE_ID),
        refused("a role's long name", "Administrators of the billing department, Europe and Africa", ROLE_ID),
        refused("one letter short", "rol_bN1a2b3c4d5e6f7", ROLE_ID),
        refused("one letter too many", "rol_bN1a2b3c4d5e6f7gh", ROLE_ID),
        refused("an organization's id", ORG, "such as rol_bN1a2b3c4d5e6f7g, not the id of an organization"),
        refused("a user's id", USER, "such as rol_bN1a2b3c4d5e6f7g, not the id of a user"),
        refused("upper case prefix", "ROL_bN1a2b3c4d5e6f7g", ROLE_ID),
        refused("a slash", "rol_bN1a2b3c4d5e6f7/", ROLE_ID),
        refused("a letter beyond ASCII", "rol_bN1a2b3c4d5e6f7ü", ROLE_ID),
        refused("all", "*", ROLE_ID),
        refused("much too long", "x".repeat(65), "may not be more than 64"),
    ];
    cases.extend(spoiled(ROLE, ROLE_ID));
    cases.extend(not_text());
    rows(&[(&URR, "spec.roles[0]"), (&OMRR, "spec.roles[0]")], Some(is_role_id), &cases)
}

fn organization_ids() -> Vec<Row> {
    let mut cases = vec![
        kept("as Auth0 shows it", ORG),
        refused("an organization's name", "acme", ORG_ID),
        refused("an organization's longest name", "a".repeat(50), ORG_ID),
        refused("one letter short", "org_9ybsU1dN2dKfDkB", ORG_ID),
        refused("one letter too many", "org_9ybsU1dN2dKfDkBi0", ORG_ID),
        refused("a role's id", ROLE, "such as org_9ybsU1dN2dKfDkBi, not the id of a role"),
        refused("a user's id", USER, "such as org_9ybsU1dN2dKfDkBi, not the id of a user"),
        refused("a dash", "org_9ybsU1dN2dKfDkB-", ORG_ID),
        refused("much too long", "x".repeat(65), "may not be more than 64"),
        left_out_is_refused(),
        null_is_missed(),
    ];
    cases.extend(spoiled(ORG, ORG_ID));
    cases.extend(not_text());
    rows(&[(&OMR, "spec.organizationId"), (&OMRR, "spec.organizationId")], Some(is_organization_id), &cases)
}

fn permissions() -> Vec<Row> {
    let common = |good: &str, says| {
        let mut cases = vec![
            kept("one letter", "x"),
            kept("the longest", "x".repeat(600)),
            kept("spaces inside", "my  api"),
            kept("letters beyond ASCII", "büro-田中"),
            kept("a pipe, a slash, a plus, a percent sign", "a|b/c+d%2Fe"),
            kept("a star", "*"),
            left_out_is_refused(),
            null_is_missed(),
        ];
        cases.extend(spoiled(good, says));
        cases.extend(not_text());
        cases
    };
    let mut identifiers = common(API, IDENTIFIER);
    identifiers.push(kept("without the trailing slash", "https://api.example.com"));
    identifiers.push(kept("no URL", "urn:my-api"));
    let encoded = "https%3A%2F%2Fapi.example.com%2F";
    identifiers.push(refused("percent-encoded", encoded, "write : for %3A and / for %2F"));
    identifiers.push(refused(
        "the internal id",
        "5f7c8ec7c33c6c004bbafe82",
        "not the API's internal id: copy Identifier",
    ));
    identifiers.push(kept("a longer number", "5f7c8ec7c33c6c004bbafe820"));
    let mut names = common("read:x", NAME);
    names.push(refused("percent-encoded", "read%3Areports", "not percent-encoded as in a URL: write : for %3A"));
    names.push(kept("several colons", "read:reports:own"));
    let (identifier, name) = ("spec.permissions[0].resourceServerIdentifier", "spec.permissions[0].permissionName");
    let mut all = rows(&[(&UPR, identifier)], Some(is_resource_server_identifier), &identifiers);
    all.extend(rows(&[(&UPR, name)], Some(is_permission_name), &names));
    // The operator leaves the length of these two to Auth0.
    let too_long = [refused("one character too long", "x".repeat(601), "may not be more than 600")];
    all.extend(rows(&[(&UPR, identifier), (&UPR, name)], None, &too_long));
    let of_its_parts =
        [refused("a text", "read:x", "must be of type object"), refused("null", (), "must be of type object")];
    all.extend(rows(&[(&UPR, "spec.permissions[0]")], None, &of_its_parts));
    all
}

/// Lists of 1 to 100 different items; `item` makes the one with this number.
fn lists(places: &[(&'static Kind, &'static str)], item: fn(usize) -> Value) -> Vec<Row> {
    let many = |count| (0..count).map(item).collect::<Vec<_>>();
    let cases = [
        kept("one", many(1)),
        kept("the most", many(100)),
        refused("one too many", many(101), "must have at most 100 items"),
        refused("empty", many(0), "should have at least 1 items"),
        left_out_is_refused(),
        null_is_missed(),
        refused("a text", "x", "must be of type array"),
        refused("an object", json!({}), "must be of type array"),
        refused_at("twice the same", json!([item(0), item(1), item(0)]), "[2]", "Duplicate value"),
        refused_at("null alone in it", json!([null]), "[0]", "must be of type"),
        refused_at("null in it", json!([item(0), null]), "[1]", "must be of type"),
        refused_at("a list in it", json!([item(0), []]), "[1]", "must be of type"),
        refused_at("a number in it", json!([item(0), 7]), "[1]", "must be of type"),
    ];
    rows(places, None, &cases)
}

fn all_lists() -> Vec<Row> {
    let permission = |api: &str, name: &str| json!({"resourceServerIdentifier": api, "permissionName": name});
    let mut rows = lists(&[(&URR, "spec.roles"), (&OMRR, "spec.roles")], |i| json!(format!("rol_{i:016}")));
    rows.extend(lists(&[(&OMR, "spec.members")], |i| json!(format!("auth0|{i}"))));
    let numbered = |i| json!({"resourceServerIdentifier": API, "permissionName": format!("read:{i}")});
    rows.extend(lists(&[(&UPR, "spec.permissions")], numbered));
    let alike = [
        kept("two permissions of one API", json!([permission(API, "read:x"), permission(API, "write:x")])),
        kept("one name at two APIs", json!([permission(API, "read:x"), permission("urn:other", "read:x")])),
        kept("APIs that differ in a slash", json!([permission("urn:x", "a"), permission("urn:x/", "a")])),
        kept("names that differ in case", json!([permission(API, "read:x"), permission(API, "Read:x")])),
    ];
    rows.extend(super::rows(&[(&UPR, "spec.permissions")], None, &alike));
    let alike = [kept("ids that differ in case", json!(["rol_bN1a2b3c4d5e6f7g", "rol_BN1a2b3c4d5e6f7g"]))];
    rows.extend(super::rows(&[(&URR, "spec.roles")], None, &alike));
    let alike = [kept("letters that look alike", json!(["ad|\u{e9}", "ad|e\u{301}"]))];
    rows.extend(super::rows(&[(&OMR, "spec.members")], None, &alike));
    // The second item is checked as the first is.
    let second = [refused_at("a name after an id", json!([ROLE, "Admin"]), "[1]", ROLE_ID)];
    rows.extend(super::rows(&[(&URR, "spec.roles"), (&OMRR, "spec.roles")], None, &second));
    rows
}

pub fn table() -> Vec<Row> {
    let mut rows = user_ids();
    rows.extend(role_ids());
    rows.extend(organization_ids());
    rows.extend(permissions());
    rows.extend(all_lists());
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_ids_as_auth0_shows_them() {
    run(table()).await;
}
