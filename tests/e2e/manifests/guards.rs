//! The fields that restrain: instants, durations, modes, holds, brakes, protected ids.

use serde_json::json;

use super::options::word;
use super::targets::{not_text, null_is_missed};
use super::tenants::numbers;
use super::*;

const INSTANT: &str =
    "must be an instant in RFC 3339 with its offset, such as 2026-12-31T17:00:00Z or 2026-12-31T18:00:00+01:00";
const REASON: &str = "must give the reason in one line, with no white space around it";
const MODE: &str = r#"supported values: "Remove", "Observe""#;
const TOGETHER: &str = "must have at most 20000 characters in all its ids together";

fn instants() -> Vec<Case> {
    let mut cases = vec![
        kept("in UTC", "2026-12-31T17:00:00Z"),
        kept("with an offset", "2026-12-31T18:00:00+01:00"),
        kept("west of Greenwich, by half an hour", "2026-12-31T18:00:00-09:30"),
        kept("of no offset, in digits", "2026-12-31T18:00:00+00:00"),
        kept("a fraction", "2026-12-31T17:00:00.123456789Z"),
        kept("a leap day", "2028-02-29T00:00:00Z"),
        kept("a leap day of a century", "2400-02-29T00:00:00Z"),
        kept("long ago", "2000-01-01T00:00:00Z"),
        kept("far away", "2999-12-31T23:59:59Z"),
        refused("empty", "", INSTANT),
        refused("a day", "2026-12-31", INSTANT),
        refused("a day and a time without offset", "2026-12-31T17:00:00", INSTANT),
        refused("a space for the T", "2026-12-31 17:00:00Z", INSTANT),
        refused("lower case", "2026-12-31t17:00:00z", INSTANT),
        refused("without seconds", "2026-12-31T17:00Z", INSTANT),
        refused("without punctuation", "20261231T170000Z", INSTANT),
        refused("an offset without colon", "2026-12-31T17:00:00+0100", INSTANT),
        refused("a zone's name", "2026-12-31T17:00:00 Europe/Berlin", INSTANT),
        refused("a comma before the fraction", "2026-12-31T17:00:00,5Z", INSTANT),
        refused("more than nanoseconds", "2026-12-31T17:00:00.1234567890Z", INSTANT),
        refused("in words", "tomorrow", INSTANT),
        refused("in days", "30d", INSTANT),
        refused("the day after the last of April", "2027-04-31T00:00:00Z", INSTANT),
        refused("no leap year", "2027-02-29T00:00:00Z", INSTANT),
        refused("a century that is no leap year", "2100-02-29T00:00:00Z", INSTANT),
        refused("the 30th of February", "2028-02-30T00:00:00Z", INSTANT),
        refused("the 32nd", "2026-12-32T00:00:00Z", INSTANT),
        refused("day 0", "2026-12-00T00:00:00Z", INSTANT),
        refused("month 0", "2026-00-01T00:00:00Z", INSTANT),
        refused("month 13", "2026-13-01T00:00:00Z", INSTANT),
        refused("hour 24", "2026-12-31T24:00:00Z", INSTANT),
        refused("minute 60", "2026-12-31T17:60:00Z", INSTANT),
        refused("a leap second", "2026-12-31T23:59:60Z", INSTANT),
        refused("an offset of a day", "2026-12-31T17:00:00+24:00", INSTANT),
        refused("an old year", "1999-12-31T17:00:00Z", INSTANT),
        refused("a year of two digits", "26-12-31T17:00:00Z", INSTANT),
        refused("a space before", " 2026-12-31T17:00:00Z", INSTANT),
        refused("a line end after", "2026-12-31T17:00:00Z\n", INSTANT),
        refused("other digits", "\u{662}026-12-31T17:00:00Z", INSTANT),
        refused("much too long", format!("2026-12-31T17:00:00.{}Z", "0".repeat(40)), "may not be more than 40"),
    ];
    cases.extend(not_text());
    cases
}

fn times() -> Vec<Row> {
    let mut cases = instants();
    // The type is an Option, so null means the same as leaving it out.
    cases.extend([left_out_is(()), kept("null", ())]);
    let at = |place| REMOVALS.map(|kind| (kind, place));
    let mut all = rows(&at("spec.notBefore"), None, &cases);
    all.extend(rows(&at("spec.notAfter"), None, &cases));

    // With both instants set, only the wrong one is blamed.
    let early = "must not be earlier than notBefore";
    let cases = [
        kept("the same", "2027-01-01T00:00:00Z"),
        kept("later", "2027-01-01T00:00:00.1Z"),
        kept("later, by its offset", "2026-12-31T23:00:00-02:00"),
        refused("earlier", "2026-12-31T23:59:59Z", early),
        refused("earlier, by its offset", "2027-01-01T00:59:59+01:00", early),
        refused("none", "2027-02-30T00:00:00Z", INSTANT),
    ];
    let not_before = json!({"notBefore": "2027-01-01T00:00:00Z"});
    all.extend(beside(rows(&at("spec.notAfter"), None, &cases), &not_before));
    let none = [refused("none", "2027-02-30T00:00:00Z", INSTANT)];
    all.extend(beside(rows(&at("spec.notBefore"), None, &none), &json!({"notAfter": "2027-01-01T00:00:00Z"})));
    all
}

/// Durations; one minute less than `least` and one more than `most` are refused.
fn durations(says: &'static str, least: &'static str, most: &'static str) -> Vec<Case> {
    let mut cases = vec![
        kept("the least", least),
        kept("the most", most),
        kept("an hour", "1h"),
        kept("minutes", "90m"),
        kept("hours and minutes", "1h30m"),
        kept("seconds", "3600s"),
        kept("all three", "1h0m1s"),
        kept("leading zeros", "01h"),
        refused("empty", "", says),
        refused("nothing", "0s", says),
        refused("one second less than a minute", "59s", says),
        refused("much more", "999999h", says),
        refused("negative", "-1h", says),
        refused("with a sign", "+1h", says),
        refused("a fraction", "1.5h", says),
        refused("days", "1d", says),
        refused("milliseconds", "3600000ms", says),
        refused("no unit", "60", says),
        refused("a unit alone", "h", says),
        refused("the wrong way round", "30m1h", says),
        refused("twice the same unit", "1h1h", says),
        refused("upper case", "1H", says),
        refused("a space inside", "1h 30m", says),
        refused("a space before", " 1h", says),
        refused("a line end after", "1h\n", says),
        refused("in ISO 8601", "PT1H", says),
        refused("in words", "one hour", says),
        refused("other digits", "\u{661}h", says),
        refused("much too long", "1".repeat(21), "may not be more than 20"),
    ];
    cases.extend(not_text());
    cases
}

fn intervals() -> Vec<Row> {
    let at = REMOVALS.map(|kind| (kind, "spec.interval"));
    let says = "must be a duration from 5m to 8760h, such as 1h, 90m or 24h30m";
    let mut cases = durations(says, "5m", "8760h");
    cases.extend([
        kept("a day and a bit", "24h30m"),
        kept("5 minutes in seconds", "300s"),
        refused("a second less", "4m59s", says),
        refused("a second more", "8760h1s", says),
        left_out_is(()),
        kept("null", ()),
    ]);
    let mut all = beside(rows(&at, None, &cases), &json!({"policy": "Continuous"}));
    let once = "must be left out with policy Once: write policy: Continuous";
    let cases = [refused("with Once", "1h", once), kept("null with Once", ())];
    all.extend(rows(&at, None, &cases));
    all.extend(beside(rows(&at, None, &cases[..1]), &json!({"policy": "Once"})));
    all
}

fn holds() -> Vec<Row> {
    let at = |place| KINDS.map(|kind| (kind, place));
    let (until, reason) = ("2026-12-24T00:00:00Z", "handover, asked by IT");
    let cases = [
        kept("until and why", json!({"until": until, "reason": reason})),
        left_out_is(()),
        kept("null", ()),
        refused_at("no end", json!({ "reason": reason }), ".until", "Required value"),
        refused_at("no reason", json!({ "until": until }), ".reason", "Required value"),
        refused("a truth value", true, "must be of type object"),
        refused("an instant alone", until, "must be of type object"),
    ];
    let mut all = rows(&at("spec.hold"), None, &cases);
    let held = json!({"hold": {"until": until, "reason": reason}});
    let mut cases = instants();
    cases.extend([left_out_is_refused(), null_is_missed()]);
    all.extend(beside(rows(&at("spec.hold.until"), None, &cases), &held));
    let mut cases = vec![
        kept("the longest", "x".repeat(256)),
        kept("letters beyond ASCII", "Übergabe bis Weihnachten – 田中"),
        kept("one letter", "x"),
        refused("one character too long", "x".repeat(257), "may not be more than 256"),
        refused("empty", "", REASON),
        refused("white space", "  ", REASON),
        refused("a space before", " handover", REASON),
        refused("a line end after", "handover\n", REASON),
        refused("two lines", "handover\nReady=True", REASON),
        refused("escape inside", "hand\u{1b}[2Jover", REASON),
        left_out_is_refused(),
        null_is_missed(),
    ];
    cases.extend(not_text());
    all.extend(beside(rows(&at("spec.hold.reason"), None, &cases), &held));
    all
}

fn brakes() -> Vec<Row> {
    let default = json!({"maxRemovals": 1000, "window": "1h", "maxShareOfOrganization": 25});
    let five = json!({"maxRemovals": 5, "window": "1h", "maxShareOfOrganization": 25});
    let cases = [
        left_out_is(default.clone()),
        becomes("null", (), default.clone()),
        becomes("empty", json!({}), default),
        becomes("one of three", json!({"maxRemovals": 5}), five),
        refused("a number", 1000, "must be of type object"),
        refused("a list", json!([]), "must be of type object"),
    ];
    let mut all = rows(&tenants("spec.brake"), None, &cases);
    all.extend(numbers("spec.brake.maxRemovals", 1, 1_000_000, 1000));
    all.extend(numbers("spec.brake.maxShareOfOrganization", 1, 100, 25));
    let says = "must be a duration from 1m to 24h, such as 1h, 90m or 24h30m";
    let mut windows = durations(says, "1m", "24h");
    windows.extend([
        refused("a second more", "24h1s", says),
        kept("a minute in seconds", "60s"),
        left_out_is("1h"),
        becomes("null", (), "1h"),
    ]);
    all.extend(rows(&tenants("spec.brake.window"), None, &windows));
    all
}

/// Lists of at most `most` different items, which may be empty.
fn sets(place: &'static str, most: usize, item: fn(usize) -> Value, many: &'static str) -> Vec<Row> {
    let list = |count| (0..count).map(item).collect::<Vec<_>>();
    let cases = [
        kept("none", list(0)),
        kept("one", list(1)),
        kept("the most", list(most)),
        refused("one too many", list(most + 1), many),
        left_out_is(json!([])),
        becomes("null", (), json!([])),
        refused("a text", "x", "must be of type array"),
        refused_at("twice the same", json!([item(0), item(1), item(0)]), "[2]", "Duplicate value"),
        refused_at("null in it", json!([item(0), null]), "[1]", "must be of type"),
    ];
    rows(&tenants(place), None, &cases)
}

fn protected() -> Vec<Row> {
    let none = json!({"userIds": [], "roleIds": [], "organizationIds": [], "keepHolders": []});
    let one = json!({"userIds": [USER], "roleIds": [], "organizationIds": [], "keepHolders": []});
    let cases = [
        left_out_is(none.clone()),
        becomes("null", (), none.clone()),
        becomes("empty", json!({}), none),
        becomes("one of four", json!({"userIds": [USER]}), one),
        refused("a list", json!([USER]), "must be of type object"),
    ];
    let mut all = rows(&tenants("spec.protected"), None, &cases);
    let of_100 = "must have at most 100 items";
    all.extend(sets("spec.protected.userIds", 100, |i| json!(format!("auth0|{i}")), of_100));
    all.extend(sets("spec.protected.roleIds", 100, |i| json!(format!("rol_{i:016}")), of_100));
    all.extend(sets("spec.protected.organizationIds", 100, |i| json!(format!("org_{i:016}")), of_100));
    let holders = |i| json!({"roleId": format!("rol_{i:016}"), "atLeast": 2});
    all.extend(sets("spec.protected.keepHolders", 20, holders, "must have at most 20 items"));
    let ids = [
        ("spec.protected.userIds", "must be an Auth0 user id such as auth0|5f7c8ec7c33c6c004bbafe82"),
        ("spec.protected.roleIds", "must be an Auth0 role id such as rol_bN1a2b3c4d5e6f7g"),
        ("spec.protected.organizationIds", "must be an Auth0 organization id such as org_9ybsU1dN2dKfDkBi"),
    ];
    for (place, says) in ids {
        all.extend(rows(&tenants(place), None, &[refused_at("a name", json!(["Admin"]), "[0]", says)]));
    }
    let long = |count: usize| (0..count).map(|i| format!("a|{i:0>498}")).collect::<Vec<_>>();
    let cases = [kept("20,000 characters", long(40)), refused("more characters", long(41), TOGETHER)];
    all.extend(rows(&tenants("spec.protected.userIds"), None, &cases));

    let one = json!({"protected": {"keepHolders": [{"roleId": ROLE, "atLeast": 2}]}});
    let says = "must be an Auth0 role id such as rol_bN1a2b3c4d5e6f7g";
    let mut cases = vec![kept("as Auth0 shows it", OTHER_ROLE), refused("a name", "Admin", says)];
    cases.extend([left_out_is_refused(), null_is_missed()]);
    all.extend(beside(rows(&tenants("spec.protected.keepHolders[0].roleId"), None, &cases), &one));
    let cases = [
        kept("the least", 1),
        kept("the most", 1000),
        refused("none", 0, "should be greater than or equal to"),
        refused("one more", 1001, "should be less than or equal to"),
        refused("a text", "2", "must be of type int"),
        left_out_is_refused(),
        null_is_missed(),
    ];
    all.extend(beside(rows(&tenants("spec.protected.keepHolders[0].atLeast"), None, &cases), &one));
    all
}

/// Lists that are too large as a whole although no item is.
fn heavy() -> Vec<Row> {
    let members = |count: usize| (0..count).map(|i| format!("a|{i:0>498}")).collect::<Vec<_>>();
    let cases = [kept("20,000 characters", members(40)), refused("more characters", members(41), TOGETHER)];
    let mut all = rows(&[(&OMR, "spec.members")], None, &cases);
    let permission = |i| json!({"resourceServerIdentifier": "x".repeat(200), "permissionName": format!("{i:0>200}")});
    let permissions = |count: usize| (0..count).map(permission).collect::<Vec<_>>();
    let cases = [kept("20,000 characters", permissions(50)), refused("more characters", permissions(51), TOGETHER)];
    all.extend(rows(&[(&UPR, "spec.permissions")], None, &cases));
    all
}

fn more_reads() -> Vec<Row> {
    let words = r#"supported values: "Never", "After", "BeforeAndAfter""#;
    let never = "must be After or BeforeAndAfter: an object can ask for more than its tenant, never for less";
    let cases = [
        kept("after", "After"),
        kept("before and after", "BeforeAndAfter"),
        left_out_is(()),
        kept("null", ()),
        refused("fewer", "Never", never),
        refused("another word", "Perhaps", words),
        refused("empty", "", words),
        refused("a truth value", false, "must be of type string"),
    ];
    rows(&REMOVALS.map(|kind| (kind, "spec.verification")), None, &cases)
}

pub fn table() -> Vec<Row> {
    let mut all = rows(&KINDS.map(|kind| (kind, "spec.mode")), None, &word(&["Remove", "Observe"], "Remove", MODE));
    all.extend(times());
    all.extend(intervals());
    all.extend(more_reads());
    all.extend(holds());
    all.extend(brakes());
    all.extend(protected());
    all.extend(heavy());
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_restrains_is_checked_as_strictly_as_what_removes() {
    run(table()).await;
}
