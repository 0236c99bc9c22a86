//! The fields of the tenant kinds.

use rescind::auth0::Domain;
use serde_json::json;

use super::options::{object_names, switch, word};
use super::targets::{not_text, null_is_missed};
use super::*;

const DOMAIN: &str = "must be a bare lower-case host name such as acme.eu.auth0.com";
const AUDIENCE: &str = "must look like https://acme.eu.auth0.com/api/v2/ with the trailing slash";
const BUNDLE: &str = "must be PEM certificates in base64";
const SECRET: &str = "must be the name of a Secret: lower-case letters, digits, '-' and '.'";
const KEY: &str = "must be a key of the Secret's data: letters, digits, '-', '_' and '.', not beginning with two dots";

fn domains() -> Vec<Row> {
    // 253 characters: three labels of 63 and one of 61.
    let label = |letters| "a".repeat(letters);
    let longest = [label(63), label(63), label(63), label(61)].join(".");
    let mut cases = vec![
        kept("as Auth0 shows it", "acme.eu.auth0.com"),
        kept("private cloud", "acme-1.us.auth0app.com"),
        kept("a port", "acme.eu.auth0.com:8443"),
        kept("the highest port", "acme.eu.auth0.com:65535"),
        kept("one label", "localhost"),
        kept("an encoded name", "xn--bcher-kva.example"),
        kept("digits first", "0.1a.example"),
        kept("the longest", longest.as_str()),
        kept("the longest with a port", format!("{longest}:65535")),
        refused("one character too long", format!("{longest}a"), "at most 253"),
        refused("one character too long with a port", format!("{}.b:443", longest), "at most 253"),
        refused("much too long", format!("{longest}.example"), "may not be more than 259"),
        refused("the longest label and one more", format!("{}.example", label(64)), DOMAIN),
        refused("empty", "", DOMAIN),
        refused("a scheme", "https://acme.eu.auth0.com", "no https://"),
        refused("a path", "acme.eu.auth0.com/api/v2/", "no path"),
        refused("a slash after", "acme.eu.auth0.com/", "no path"),
        refused("a query", "acme.eu.auth0.com?x", DOMAIN),
        refused("a fragment", "acme.eu.auth0.com#x", DOMAIN),
        refused("a user", "acme@eu.auth0.com", DOMAIN),
        refused("a user and password", "user:secret@acme.auth0.com", DOMAIN),
        refused("a dot after", "acme.eu.auth0.com.", "no trailing dot"),
        refused("a dot after, before the port", "acme.eu.auth0.com.:443", "no trailing dot"),
        refused("a dot before", ".auth0.com", DOMAIN),
        refused("two dots", "acme..auth0.com", DOMAIN),
        refused("an IPv4 address", "10.0.0.1", "no IP address"),
        refused("an IPv4 address with a port", "10.0.0.1:443", "no IP address"),
        refused("a number", "2130706433", "no IP address"),
        refused("a hexadecimal address", "0x7f000001", "no IP address"),
        refused("a short IPv4 address", "127.1", "no IP address"),
        refused("an IPv6 address", "[::1]", "no IP address"),
        refused("an IPv6 address with a port", "[::1]:443", "no IP address"),
        refused("upper case", "Acme.eu.auth0.com", "lower-case"),
        refused("letters beyond ASCII", "bücher.example", "xn--"),
        refused("letters that look alike", "\u{430}cme.eu.auth0.com", "xn--"),
        refused("an ideographic dot", "acme\u{3002}auth0.com", DOMAIN),
        refused("port 0", "acme.eu.auth0.com:0", "port"),
        refused("a port with a leading zero", "acme.eu.auth0.com:0443", "port"),
        refused("a port too high", "acme.eu.auth0.com:65536", "port"),
        refused("a port much too high", "acme.eu.auth0.com:99999", "port"),
        refused("no port after the colon", "acme.eu.auth0.com:", "port"),
        refused("a named port", "acme.eu.auth0.com:https", "port"),
        refused("two ports", "acme.eu.auth0.com:443:443", "port"),
        refused("a pattern", "*.auth0.com", DOMAIN),
        refused("an underscore", "acme_eu.auth0.com", DOMAIN),
        refused("a dash before", "-acme.auth0.com", DOMAIN),
        refused("a dash after", "acme-.auth0.com", DOMAIN),
        refused("a space after", "acme.auth0.com ", DOMAIN),
        refused("a line end after", "acme.auth0.com\n", DOMAIN),
        refused("a line end inside", "acme.auth0.com\nacme.auth0.com", DOMAIN),
        refused("a space inside", "acme .auth0.com", DOMAIN),
        left_out_is_refused(),
        null_is_missed(),
    ];
    cases.extend(not_text());
    rows(&tenants("spec.domain"), Some(|text| text.parse::<Domain>().is_ok()), &cases)
}

fn audiences() -> Vec<Row> {
    let longest = format!("https://{}/api/v2/", "a".repeat(600 - 16));
    let mut cases = vec![
        kept("as Auth0 shows it", "https://acme.eu.auth0.com/api/v2/"),
        kept("a port", "https://acme.eu.auth0.com:8443/api/v2/"),
        kept("the longest", longest.as_str()),
        refused("one character too long", longest.replacen('a', "aa", 1), "may not be more than 600"),
        left_out_is(()),
        // The type is an Option, so null means the same as leaving it out.
        kept("null", ()),
        refused("empty", "", AUDIENCE),
        refused("without the trailing slash", "https://acme.eu.auth0.com/api/v2", "with the trailing slash"),
        refused("a line end after", "https://acme.eu.auth0.com/api/v2/\n", AUDIENCE),
        refused("a space before", " https://acme.eu.auth0.com/api/v2/", AUDIENCE),
        refused("a space inside", "https://acme .eu.auth0.com/api/v2/", AUDIENCE),
        refused("a no-break space inside", "https://acme\u{a0}.eu.auth0.com/api/v2/", AUDIENCE),
        refused("a control character inside", "https://acme\0.eu.auth0.com/api/v2/", AUDIENCE),
        refused("no TLS", "http://acme.eu.auth0.com/api/v2/", AUDIENCE),
        refused("a bare host", "acme.eu.auth0.com", AUDIENCE),
        refused("no host", "https:///api/v2/", AUDIENCE),
        refused("no host but slashes", "https:////api/v2/", AUDIENCE),
        refused("another path first", "https://acme.eu.auth0.com/x/api/v2/", AUDIENCE),
        refused("a user", "https://acme@eu.auth0.com/api/v2/", AUDIENCE),
        refused("the host twice", "https://acme.eu.auth0.com/api/v2/https://acme.eu.auth0.com/api/v2/", AUDIENCE),
        refused("another API", "https://acme.eu.auth0.com/userinfo", AUDIENCE),
    ];
    cases.extend(not_text());
    rows(&tenants("spec.audience"), None, &cases)
}

fn bundles() -> Vec<Row> {
    let cases = [
        kept("base64", "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="),
        kept("the longest", "A".repeat(262_144)),
        refused("too long", "A".repeat(262_148), "may not be more than 262144"),
        left_out_is(()),
        kept("null", ()),
        refused("empty", "", BUNDLE),
        refused("plain PEM", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", BUNDLE),
        refused("broken in lines", "LS0tLS1C\nRUdJTiBD", BUNDLE),
        refused("a line end after", "LS0tLS1C\n", BUNDLE),
        refused("for URLs", "LS0tLS1C-_8=", BUNDLE),
        refused("not padded", "LS0tLS1CRU", BUNDLE),
        refused("cut", "LS0tL", BUNDLE),
        refused("padded too much", "LS0tLS1C====", BUNDLE),
        refused("padding only", "====", BUNDLE),
        refused("padding inside", "LS0=LS1C", BUNDLE),
        refused("a number", 7, "must be of type string"),
        refused("a list", json!(["LS0tLS1C"]), "must be of type string"),
    ];
    rows(&tenants("spec.caBundle"), None, &cases)
}

fn credentials() -> Vec<Row> {
    let reference = json!({"name": "auth0-management", "key": "token"});
    let mut all = rows(
        &tenants("spec.credentials"),
        None,
        &[
            left_out_is_refused(),
            null_is_missed(),
            refused("a token instead of a Secret's name", "eyJhbGciOi", "must be of type object"),
            refused("a list", json!([]), "must be of type object"),
        ],
    );
    all.extend(rows(
        &tenants("spec.credentials.tokenSecretRef"),
        None,
        &[
            kept("name and key", reference.clone()),
            becomes("a name alone", json!({"name": "auth0-management"}), reference),
            refused("a name without its field", "auth0-management", "must be of type object"),
            refused_at("empty", json!({}), ".name", "Required value"),
            refused_at("a key alone", json!({"key": "token"}), ".name", "Required value"),
        ],
    ));
    let mut names = object_names(SECRET);
    names.extend([left_out_is_refused(), null_is_missed()]);
    names.extend(not_text());
    all.extend(rows(&tenants("spec.credentials.tokenSecretRef.name"), None, &names));
    let mut keys = vec![
        kept("letters, digits, marks", "Api_Token-1.txt"),
        kept("a dot before", ".token"),
        kept("the longest", "k".repeat(253)),
        refused("one character too long", "k".repeat(254), "may not be more than 253"),
        left_out_is("token"),
        becomes("null", (), "token"),
        refused("empty", "", KEY),
        refused("a path", "../token", KEY),
        refused("one dot", ".", KEY),
        refused("two dots", "..", KEY),
        refused("two dots before", "..data", KEY),
        refused("a space", "my token", KEY),
        refused("a line end after", "token\n", KEY),
        refused("a letter beyond ASCII", "tökén", KEY),
    ];
    keys.extend(not_text());
    all.extend(rows(&tenants("spec.credentials.tokenSecretRef.key"), None, &keys));
    all
}

/// Whole numbers from `least` to `most`.
pub fn numbers(place: &'static str, least: i32, most: i32, default: i32) -> Vec<Row> {
    let cases = [
        kept("the least", least),
        kept("the most", most),
        left_out_is(default),
        becomes("null", (), default),
        refused("one less", least - 1, "should be greater than or equal to"),
        refused("one more", most + 1, "should be less than or equal to"),
        refused("negative", -1, "should be greater than or equal to"),
        refused("too large for the operator", 1_i64 << 32, "should be less than or equal to"),
        refused("a fraction", 1.5, "must be of type int"),
        refused("a text", "10", "must be of type int"),
        refused("a share", "20%", "must be of type int"),
        refused("a truth value", true, "must be of type int"),
        refused("a list", json!([10]), "must be of type int"),
    ];
    rows(&tenants(place), None, &cases)
}

/// The other way to a credential; a manifest that names both ways is refused.
fn client_credentials() -> Vec<Row> {
    let one = "must have exactly one of tokenSecretRef (a Management API token) and clientCredentialsSecretRef";
    let secret = json!({"name": "auth0-management"});
    let token = json!({"name": "auth0-management", "key": "token"});
    let alone = json!({ "clientCredentialsSecretRef": secret });
    let both = json!({"tokenSecretRef": token, "clientCredentialsSecretRef": secret});
    let cases = [
        kept("an application", alone.clone()),
        kept("a token", json!({ "tokenSecretRef": token })),
        kept("null for the other", json!({"tokenSecretRef": token, "clientCredentialsSecretRef": null})),
        refused("both", both, one),
        refused("neither", json!({}), one),
        refused("null alone", json!({"clientCredentialsSecretRef": null}), one),
    ];
    let mut all = rows(&tenants("spec.credentials"), None, &cases);
    let alone = json!({ "credentials": alone });
    let cases = [
        kept("a name", secret),
        refused("a name without its field", "auth0-management", "must be of type object"),
        refused_at("empty", json!({}), ".name", "Required value"),
        refused_at("a key", json!({"name": "x", "key": "token"}), ".key", "unknown field"),
    ];
    all.extend(beside(rows(&tenants("spec.credentials.clientCredentialsSecretRef"), None, &cases), &alone));
    let mut names = object_names(SECRET);
    names.extend([left_out_is_refused(), null_is_missed()]);
    names.extend(not_text());
    all.extend(beside(rows(&tenants("spec.credentials.clientCredentialsSecretRef.name"), None, &names), &alone));
    all
}

fn rate_limits() -> Vec<Row> {
    let default = json!({"maxRequestsPerSecond": 10, "reservePercent": 20});
    let cases = [
        left_out_is(default.clone()),
        becomes("null", (), default.clone()),
        becomes("empty", json!({}), default),
        becomes("one of two", json!({"reservePercent": 0}), json!({"maxRequestsPerSecond": 10, "reservePercent": 0})),
        refused("a number", 10, "must be of type object"),
        refused("a list", json!([]), "must be of type object"),
    ];
    let mut all = rows(&tenants("spec.rateLimit"), None, &cases);
    all.extend(numbers("spec.rateLimit.maxRequestsPerSecond", 1, 5000, 10));
    all.extend(numbers("spec.rateLimit.reservePercent", 0, 90, 20));
    all
}

pub fn table() -> Vec<Row> {
    let mut rows = domains();
    rows.extend(audiences());
    rows.extend(bundles());
    rows.extend(credentials());
    rows.extend(client_credentials());
    rows.extend(rate_limits());
    let words = ["Never", "After", "BeforeAndAfter"];
    let verification = word(&words, "After", r#"supported values: "Never", "After", "BeforeAndAfter""#);
    rows.extend(super::rows(&tenants("spec.verification"), None, &verification));
    rows.extend(super::rows(&tenants("spec.suspend"), None, &switch()));
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_a_host_and_a_secret_beside_it() {
    run(table()).await;
}
