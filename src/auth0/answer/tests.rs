use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::auth0::Question;

const JSON: &str = "application/json; charset=utf-8";
const HTML: &str = "text/html";

fn calls() -> Vec<Call> {
    let endpoints = Endpoint::all("auth0|a", "org_9ybsU1dN2dKfDkBi");
    let removals = endpoints.iter().map(Call::removal);
    let lists = endpoints.iter().cloned().map(Read::List).chain([Read::UserOrganizations { user: "auth0|a".into() }]);
    let answer = Read::Answer(Question::ApiSettings { identifier: "https://api/".into() });
    removals.chain(lists.chain([answer]).map(|read| Call::page(&read))).collect()
}

fn removal() -> Call {
    Call::removal(&Endpoint::UserRoles { user: "auth0|a".into() })
}

fn page() -> Call {
    Call::page(&Read::List(Endpoint::UserRoles { user: "auth0|a".into() }))
}

fn answer(call: Call, status: u16, content_type: &'static str, body: &str) -> Result<Value, CallError> {
    let example = Example { status: StatusCode::from_u16(status).unwrap(), content_type, body: body.to_owned() };
    example.meaning(call)
}

fn unusable(status: u16, what: &'static str) -> CallError {
    CallError::unusable(StatusCode::from_u16(status).unwrap(), what)
}

/// The meaning of each row, written a second time independently of the code.
fn expected(call: Call, row: &AnswerRow, status: StatusCode) -> Result<Value, CallError> {
    Err(match row.meaning {
        Success if call.list_key.is_empty() => return Ok(json!({"id": "1"})),
        Success if call.method == Method::Get => return Ok(json!({ call.list_key: [] })),
        Success => return Ok(Value::Null),
        RateLimited => CallError::RateLimited(Duration::from_secs(60)),
        Rejected(rejection) => CallError::Rejected(rejection),
        RejectedOther => CallError::Rejected(Rejection::Other(status.as_u16())),
        Unauthorized(why) => CallError::Unauthorized(why),
        InsufficientScope => CallError::InsufficientScope(call.scopes.join(" and ")),
        Denied(why) => CallError::Denied(why),
        NotFound(missing) => CallError::NotFound(missing),
        Unavailable(what) => CallError::unusable(status, what),
    })
}

#[test]
fn every_row_is_reached_by_every_call_and_means_what_it_says() {
    for call in calls() {
        let mut rows = ANSWERS.iter().filter(|row| row.method.is_none_or(|method| method == call.method));
        for (row, example) in examples(call) {
            assert!(std::ptr::eq(rows.next().unwrap(), row), "{row:?} cannot be reached by {call:?}");
            assert_eq!(example.meaning(call), expected(call, row, example.status), "{call:?} {example:?}");
            if let Err(error) = example.meaning(call)
                && !matches!(row.meaning, RateLimited | NotFound(Missing::Item))
            {
                assert!(error.to_string().contains(example.status.as_str()), "the status is not told: {error}");
            }
        }
        assert!(rows.next().is_none(), "the last row cannot be reached by {call:?}");
    }
}

#[test]
fn every_documented_answer_says_what_to_do() {
    let scope = |names: &str| CallError::InsufficientScope(names.to_owned());
    let own = |status: u16, code: &str, message: &str| {
        json!({"statusCode": status, "error": "Error", "errorCode": code, "message": message}).to_string()
    };
    let insufficient = |message: &str| own(403, "insufficient_scope", message);
    let table: &[(u16, String, CallError)] = &[
        (400, own(400, "invalid_body", "Payload validation error"), CallError::Rejected(Rejection::Body)),
        (400, own(400, "invalid_uri", "Path validation error"), CallError::Rejected(Rejection::Uri)),
        (400, own(400, "invalid_query_string", "Query validation error"), CallError::Rejected(Rejection::Query)),
        (400, own(400, "invalid_paging", "Requesting page exceeds"), CallError::Rejected(Rejection::Paging)),
        (400, own(400, "else", "Words"), CallError::Rejected(Rejection::Other(400))),
        (413, own(413, "", "Request Entity Too Large"), CallError::Rejected(Rejection::Other(413))),
        (401, own(401, "", "Invalid token"), CallError::Unauthorized("401: the token is not valid")),
        (
            401,
            json!({"statusCode": 401, "error": "Unauthorized", "message": "Missing authentication"}).to_string(),
            CallError::Unauthorized("401: the token is not valid"),
        ),
        (403, insufficient("Insufficient scope, expected any of: delete:a,update:b"), scope("delete:a or update:b")),
        (403, insufficient("Insufficient scope; expected any of: read:users"), scope("read:users")),
        (403, insufficient("x: <script>"), scope("update:users")),
        (403, insufficient("x: auth0|jane"), scope("update:users")),
        (403, insufficient("x: sms:jane"), scope("update:users")),
        (403, insufficient("Please upgrade your subscription"), CallError::Denied(PLAN)),
        (
            403,
            own(403, "operation_not_supported", "no"),
            CallError::Denied("403 Forbidden, and no missing scope is named"),
        ),
        (404, own(404, "inexistent_user", "The user does not exist."), CallError::NotFound(Missing::Subject)),
        (404, own(404, "", "No organization found by that id or name"), CallError::NotFound(Missing::Unclear)),
        (404, own(404, "", "The role does not exist."), CallError::NotFound(Missing::Unclear)),
        (400, own(400, "inexistent_role", "The role does not exist."), CallError::NotFound(Missing::Item)),
        (404, own(404, "inexistent_resource_server_permission", "x"), CallError::NotFound(Missing::Item)),
        (409, own(409, "", "x"), unusable(409, "Auth0 was busy with another change")),
        (503, own(503, "", "x"), unusable(503, "Auth0 failed")),
        (
            500,
            json!({"error": "access_denied", "message": "Global limit has been reached"}).to_string(),
            CallError::RateLimited(Duration::from_secs(60)),
        ),
    ];
    for (status, body, expected) in table {
        assert_eq!(answer(removal(), *status, JSON, body), Err(expected.clone()), "{status} {body}");
    }
}

/// A field of an unexpected type makes only that field unreadable, not the whole response.
#[test]
fn an_answer_is_read_field_by_field() {
    let body = json!({"statusCode": 404, "error": {}, "message": [1], "errorCode": "inexistent_user", "attributes": 7});
    let missing = Err(CallError::NotFound(Missing::Subject));
    assert_eq!(answer(removal(), 404, JSON, &body.to_string()), missing);
    let body = json!({"statusCode": 401, "message": {"x": 1}, "errorCode": null});
    let invalid = Err(CallError::Unauthorized("401: the token is not valid"));
    assert_eq!(answer(page(), 401, JSON, &body.to_string()), invalid);
}

#[test]
fn what_is_not_auth0s_own_is_nobodys_verdict() {
    let bodies = [
        (HTML, "<html>Blocked</html>".to_owned()),
        ("text/plain", "<!doctype html>".to_owned()),
        (JSON, String::new()),
        (JSON, "{}".to_owned()),
        (JSON, "null".to_owned()),
        (JSON, "[]".to_owned()),
        (JSON, json!({"errorCode": "inexistent_user"}).to_string()),
        (JSON, json!({"statusCode": "404", "errorCode": "inexistent_user"}).to_string()),
        (JSON, json!({"statusCode": 200}).to_string()),
        (JSON, "{\"statusCode\":404".to_owned()),
        // Auth0 never sends its errors as HTML.
        (HTML, json!({"statusCode": 404, "errorCode": "inexistent_user"}).to_string()),
    ];
    for call in calls() {
        for status in
            [100, 201, 203, 206, 301, 302, 400, 401, 403, 404, 405, 407, 408, 409, 413, 423, 451, 500, 503, 524, 999]
        {
            for (content_type, body) in &bodies {
                match answer(call, status, content_type, body) {
                    Err(CallError::Unavailable(why)) => assert_eq!(why.status, Some(status)),
                    other => panic!("{status} {content_type} {body}: {other:?}"),
                }
            }
        }
    }
    let blocked = answer(removal(), 403, HTML, "<html>Blocked</html>").unwrap_err().to_string();
    assert_eq!(blocked, "403: not Auth0's own answer (HTML); a proxy or a network rule may be in between");
}

/// Promise 4 of docs/design.md: a login page with status 200 is not an accepted removal.
#[test]
fn a_page_is_no_success() {
    for status in [200, 202, 204] {
        for (content_type, body) in [(JSON, ""), ("", " "), (JSON, "{}"), (JSON, r#"{"statusCode": 204}"#)] {
            let fits = !body.contains("204") || status == 204;
            assert_eq!(answer(removal(), status, content_type, body).is_ok(), fits, "{status} {body}");
        }
        for (content_type, body) in [
            (HTML, "<html>Log in</html>"),
            ("", "<html>Log in</html>"),
            (HTML, ""),
            (HTML, "{}"),
            ("text/plain", "ok"),
            (JSON, r#"{"statusCode": 403, "error": "Forbidden"}"#),
        ] {
            assert!(matches!(answer(removal(), status, content_type, body), Err(CallError::Unavailable(_))), "{body}");
        }
    }
    for (content_type, body) in [
        (HTML, r#"{"roles": []}"#),
        (JSON, ""),
        (JSON, "{}"),
        (JSON, r#"{"roles": null}"#),
        (JSON, r#"{"members": []}"#),
        (JSON, r#"{"roles": ["#),
    ] {
        assert!(matches!(answer(page(), 200, content_type, body), Err(CallError::Unavailable(_))), "{body}");
    }
    assert_eq!(answer(page(), 200, JSON, r#"[{"id": "x"}]"#), Ok(json!([{"id": "x"}])));
    assert!(answer(page(), 204, JSON, "").is_err() && answer(page(), 202, JSON, r#"{"roles": []}"#).is_err());
}

fn any_body() -> impl Strategy<Value = String> {
    let code = prop_oneof![
        Just(Value::Null),
        Just(json!("invalid_body")),
        Just(json!("inexistent_user")),
        Just(json!("insufficient_scope")),
        Just(json!({})),
        "[a-z_]{0,12}".prop_map(Value::from),
    ];
    let message = prop_oneof![
        Just(json!("Insufficient scope, expected any of: canary:users")),
        Just(json!("Object didn't pass validation for format user-id: auth0|canary")),
        Just(json!("canary@example.com: read:canary@example.com")),
        Just(json!(["canary"])),
    ];
    let own = (prop_oneof![100u16..=999, Just(404), Just(403)], code, message).prop_map(|(status, code, message)| {
        json!({"statusCode": status, "errorCode": code, "error": "canary", "message": message}).to_string()
    });
    let rest =
        prop_oneof![Just("<html>canary</html>".to_owned()), Just(String::new()), "\\PC{0,40}", Just("{}".to_owned())];
    prop_oneof![own, rest]
}

proptest! {
    /// Whatever the response, only Auth0's own decide anything about the request, and none of their words appear in
    /// ours.
    #[test]
    fn only_auth0_judges(
        status in 100u16..=999, call in 0usize..9, body in any_body(), echo in any::<bool>(),
        content_type in prop_oneof![Just(JSON), Just(HTML), Just("")],
    ) {
        let call = calls()[call];
        // About half of the bodies with a `statusCode` get the response's status in it.
        let body = match serde_json::from_str::<Value>(&body) {
            Ok(mut json) if echo && json.is_object() => { json["statusCode"] = status.into(); json.to_string() }
            _ => body,
        };
        let json = serde_json::from_str::<Value>(&body).ok().filter(|_| content_type != HTML);
        let is_own = json.is_some_and(|json| json["statusCode"].as_u64() == Some(status.into()));
        match answer(call, status, content_type, &body) {
            Ok(_) => prop_assert!(matches!(status, 200 | 202 | 204) && content_type != HTML),
            Err(error) => {
                let shown = format!("{error} {error:?}");
                prop_assert!(!shown.contains("canary"), "{}", shown);
                match error {
                    CallError::RateLimited(wait) => prop_assert!(status == 429 && wait <= Duration::from_secs(660)),
                    CallError::Unavailable(why) => prop_assert_eq!(why.status, Some(status)),
                    _ => prop_assert!(is_own && (400..500).contains(&status)),
                }
            }
        }
    }
}
