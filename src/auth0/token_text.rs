//! What people put into a Secret instead of a Management API token, each usual mistake in its own words. Pure.
//!
//! Auth0's Management API tokens are JWTs, so anything else is refused here, before it is sent anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Map, Value};
use thiserror::Error;

use super::Domain;
use super::secret_text::{self, Defect};

/// Why a Secret's value is not a usable token. No variant and no message contains any part of the value, except the host
/// that issued it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The form of the value is wrong.
    #[error(transparent)]
    Form(#[from] Defect),
    /// The value is what the token endpoint answered.
    #[error("is the whole JSON answer of /oauth/token: put only the value of its access_token there")]
    WholeAnswer,
    /// The value is what the token endpoint answered when it gave no token.
    #[error(
        "is an error that was answered in place of a token: look at it, and put the value of an access_token there"
    )]
    ErrorAnswer,
    /// The value begins with the name of the scheme or of the header.
    #[error("begins with the word Bearer or the name of the header: leave that out")]
    Bearer,
    /// The value is the base64 encoding of a token: it was encoded once too often.
    #[error("is base64-encoded twice: put the token itself under stringData, or its base64 under data")]
    EncodedTwice,
    /// The value has the form of a refresh token.
    #[error("is a refresh token: put a Management API token there, which is an access token")]
    RefreshToken,
    /// The value has the form of a client secret.
    #[error("has the form of a client secret: put a Management API token there, which /oauth/token gives for it")]
    ClientSecret,
    /// The value has the form of a client id.
    #[error("has the form of a client id: put a Management API token there, which /oauth/token gives for it")]
    ClientId,
    /// The value is a JWT of which something is missing.
    #[error("is not complete: copy all three parts of the JWT with the dots between them")]
    Incomplete,
    /// The value is no JWT. Auth0 issues such tokens if it is asked for none of the tenant's APIs.
    #[error("is opaque and no JWT, so it was issued for no API: ask /oauth/token for the audience {0}")]
    Opaque(String),
    /// The value is an ID token.
    #[error("is an ID token, which is for an application: use an access token for the audience {0}")]
    IdToken(String),
    /// The token has expired, at this time.
    #[error("expired at {0}: put a fresh token into the Secret")]
    Expired(Timestamp),
    /// The token has another audience than this one, which is required.
    #[error(
        "was issued for another audience than {0}: get a token for the Management API of this tenant; if spec.domain \
         is a custom domain, set spec.audience"
    )]
    WrongAudience(String),
    /// The token was issued by the first host, and is to be used at the second.
    #[error(
        "was issued by {0}, but spec.domain is {1}: Auth0 accepts a token only at the host that issued it, so get one \
         from {1}, or name {0} in spec.domain"
    )]
    OtherIssuer(Domain, Domain),
}

/// The value of a Secret as a token that an HTTP header can carry, with one line end trimmed.
pub(super) fn plain(bytes: &[u8]) -> Result<&str, TokenError> {
    let text = secret_text::text(bytes)?;
    match mistake(text) {
        Some(mistake) => Err(mistake),
        None => Ok(text),
    }
}

/// What is wrong with the form of `text`; the first that applies.
fn mistake(text: &str) -> Option<TokenError> {
    let defect = secret_text::defect(text)?;
    let (bare, lower) = (text.trim(), text.trim().get(..20).unwrap_or_default().to_ascii_lowercase());
    let is_header = ["bearer ", "authorization:"].iter().any(|word| lower.starts_with(word));
    // Also with the head of the answer before it, as curl -i prints it.
    if bare.contains("\"access_token\"") {
        return Some(TokenError::WholeAnswer);
    }
    if bare.contains("\"error\"") {
        return Some(TokenError::ErrorAnswer);
    }
    if matches!(defect, Defect::Assignment | Defect::WhiteSpaceInside) && is_header {
        return Some(TokenError::Bearer);
    }
    Some(defect.into())
}

/// The claims of a JWT that is to be for `audience`.
pub(super) fn claims(text: &str, audience: &str) -> Result<Map<String, Value>, TokenError> {
    if let Some(claims) = decoded(text) {
        return Ok(claims);
    }
    let is_of =
        |length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    Err(match text.split('.').count() {
        1 if encodes_a_token(text) => TokenError::EncodedTwice,
        // An encrypted token has five parts.
        5 => TokenError::Opaque(audience.to_owned()),
        _ if text.starts_with("eyJ") || text.split('.').count() == 3 => TokenError::Incomplete,
        2 if text.starts_with("v1.") => TokenError::RefreshToken,
        1 if is_of(64) => TokenError::ClientSecret,
        1 if is_of(32) => TokenError::ClientId,
        _ => TokenError::Opaque(audience.to_owned()),
    })
}

fn is_jwt(text: &str) -> bool {
    decoded(text).is_some()
}

fn decoded(text: &str) -> Option<Map<String, Value>> {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else { return None };
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims = serde_json::from_slice(&json).ok()?;
    (!header.is_empty() && !signature.is_empty()).then_some(claims)
}

/// Whether this is the base64 of a token, or of what people take for one.
fn encodes_a_token(text: &str) -> bool {
    let decoded = STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok();
    let inner = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    is_jwt(inner.trim()) || inner.contains("\"access_token\"") || inner.contains("Bearer ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIENCE: &str = "https://acme.auth0.com/api/v2/";

    fn jwt() -> String {
        format!("eyJhbGciOiJSUzI1NiJ9.{}.Y2FuYXJ5", URL_SAFE_NO_PAD.encode(r#"{"sub": "canary"}"#))
    }

    fn judged(bytes: &[u8]) -> Result<(), TokenError> {
        plain(bytes).and_then(|text| claims(text, AUDIENCE)).map(drop)
    }

    #[test]
    fn every_usual_mistake_has_its_own_words() {
        use {Defect as D, TokenError as E};
        let jwt = jwt();
        let answer = format!(r#"{{"access_token":"{jwt}","expires_in":86400,"token_type":"Bearer"}}"#);
        let twice = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let opaque = || E::Opaque(AUDIENCE.to_owned());
        let (head, rest) = jwt.split_at(40);
        for (text, error) in [
            (String::new(), E::Form(D::Empty)),
            ("\n".into(), E::Form(D::Empty)),
            (" \n\n".into(), E::Form(D::Empty)),
            (answer.clone(), E::WholeAnswer),
            (format!("\n{answer}\n\n"), E::WholeAnswer),
            (format!("HTTP/2 200\r\ncontent-type: application/json\r\n\r\n{answer}"), E::WholeAnswer),
            (r#"{"error":"access_denied","error_description":"Unauthorized"}"#.into(), E::ErrorAnswer),
            (r#"{"statusCode":401,"error":"Unauthorized"}"#.into(), E::ErrorAnswer),
            ("<!DOCTYPE html>\n<html><body>blocked</body></html>\n".into(), E::Form(D::Html)),
            ("null\n".into(), E::Form(D::NoValue)),
            ("undefined".into(), E::Form(D::NoValue)),
            ("ENC[AES256_GCM,data:p673w==,iv:YY=,tag:UQ==,type:str]".into(), E::Form(D::Encrypted)),
            ("vault:secret/data/auth0#token".into(), E::Form(D::Reference)),
            ("op://vault/auth0/token".into(), E::Form(D::Reference)),
            (r#"{"token":"x"}"#.into(), E::Form(D::Json)),
            ("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n".into(), E::Form(D::Pem)),
            ("$TOKEN".into(), E::Form(D::Placeholder)),
            ("${TOKEN}".into(), E::Form(D::Placeholder)),
            ("<token>".into(), E::Form(D::Placeholder)),
            ("{{ .token }}".into(), E::Form(D::Placeholder)),
            ("{yourMgmtApiAccessToken}".into(), E::Form(D::Placeholder)),
            ("MGMT_API_ACCESS_TOKEN".into(), opaque()),
            ("YOUR_MGMT_API_ACCESS_TOKEN".into(), E::Form(D::Placeholder)),
            ("__TOKEN__".into(), E::Form(D::Placeholder)),
            ("***".into(), E::Form(D::Placeholder)),
            (format!("Bearer {jwt}"), E::Bearer),
            (format!("bearer  {jwt}\n"), E::Bearer),
            (format!("Authorization: Bearer {jwt}"), E::Bearer),
            (format!("\"{jwt}\""), E::Form(D::Quoted)),
            (format!("'{jwt}'\n"), E::Form(D::Quoted)),
            (format!("{jwt}\""), E::Form(D::Quoted)),
            (format!("“{jwt}”"), E::Form(D::Quoted)),
            (format!("AUTH0_TOKEN={jwt}"), E::Form(D::Assignment)),
            (format!("export TOKEN = {jwt}"), E::Form(D::Assignment)),
            (format!("token: {jwt}"), E::Form(D::Assignment)),
            (format!(" {jwt}"), E::Form(D::WhiteSpaceAround)),
            (format!("{jwt} "), E::Form(D::WhiteSpaceAround)),
            (format!("{jwt}\n\n"), E::Form(D::WhiteSpaceAround)),
            (format!("{head}\n{rest}"), E::Form(D::WhiteSpaceInside)),
            (format!("{head} {rest}"), E::Form(D::WhiteSpaceInside)),
            (format!("\u{feff}{jwt}"), E::Form(D::ByteOrderMark)),
            (format!("{jwt}\0"), E::Form(D::Characters)),
            (format!("{jwt}\u{200b}"), E::Form(D::Characters)),
            (format!("{jwt}…"), E::Form(D::Characters)),
            ("https://acme.auth0.com/".into(), E::Form(D::Reference)),
            (twice(&jwt), E::EncodedTwice),
            (twice(&format!("{jwt}\n")), E::EncodedTwice),
            (twice(&answer), E::EncodedTwice),
            (twice(&format!("Bearer {jwt}")), E::EncodedTwice),
            (head.into(), E::Incomplete),
            (jwt.rsplit_once('.').unwrap().0.into(), E::Incomplete),
            (format!("{}.", jwt.rsplit_once('.').unwrap().0), E::Incomplete),
            (jwt.replacen("eyJhbGci", "eyJhbGci.", 1).replace(".Y2", "Y2"), E::Incomplete),
            ("v1.MTdjYW5hcnk".into(), E::RefreshToken),
            ("aB3-_".repeat(13)[..64].into(), E::ClientSecret),
            ("aB3dE".repeat(7)[..32].into(), E::ClientId),
            ("eyJhbGciOiJkaXIifQ..aaaa.bbbb.cccc".into(), opaque()),
            ("opaque-token".into(), opaque()),
            ("x".repeat(16 * 1024 + 2), E::Form(D::TooLong)),
        ] {
            assert_eq!(judged(text.as_bytes()), Err(error), "{text:?}");
        }
        assert_eq!(judged(b"\xff\xfea\0"), Err(E::Form(D::ByteOrderMark)), "UTF-16");
        assert_eq!(judged(b"\x80abc"), Err(E::Form(D::Characters)));
        for good in [jwt.clone(), format!("{jwt}\n"), format!("{jwt}\r\n")] {
            assert_eq!(judged(good.as_bytes()), Ok(()), "{good:?}");
        }
    }
}
