//! Management API tokens. A token is checked as far as that is possible without a call to Auth0.
//!
//! A token never appears in `Debug` output or in an error.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use thiserror::Error;

/// The longest token that is accepted, in bytes. Auth0's own are shorter than 8 kB.
const MAX_LEN: usize = 16 * 1024;
/// A token counts as expired only this long after its `exp`, because our clock may be wrong.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// A bearer token that is valid in an HTTP header.
#[derive(Clone, Debug)]
pub struct Token {
    secret: SecretString,
    fingerprint: u64,
    expires_at: Option<Timestamp>,
}

/// Why a Secret's value is not a usable token. No variant and no message contains any part of the value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The value is empty.
    #[error("is empty")]
    Empty,
    /// The value contains characters that a bearer token cannot have.
    #[error("is not a token: it has white space or characters that a token cannot have (only one line end is trimmed)")]
    NotAToken,
    /// The value is longer than any token of Auth0.
    #[error("is longer than {MAX_LEN} bytes, so it is not a token")]
    TooLong,
    /// The value is the base64 encoding of a token: it was encoded once too often.
    #[error("is base64-encoded twice: put the token itself under stringData, or its base64 under data")]
    EncodedTwice,
    /// The token has expired, at this time.
    #[error("expired at {0}: put a fresh token into the Secret")]
    Expired(Timestamp),
    /// The token has another audience than this one, which is required.
    #[error("was issued for another audience than {0}: get a token for the Management API of this tenant")]
    WrongAudience(String),
}

/// The claims that are checked. A claim that is absent or has an unexpected type is not checked.
#[derive(Default, Deserialize)]
struct Claims {
    exp: Option<i64>,
    aud: Option<serde_json::Value>,
}

impl Token {
    /// Reads a token from the value of a Secret. One trailing line end is trimmed; any other white space is an error.
    /// If the token is a JWT with readable claims, it must not have expired and must be for `audience`. Other tokens
    /// are left to Auth0 to judge.
    pub fn read(bytes: &[u8], audience: &str, now: Timestamp) -> Result<Self, TokenError> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if bytes.is_empty() {
            return Err(TokenError::Empty);
        }
        if bytes.len() > MAX_LEN {
            return Err(TokenError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TokenError::NotAToken)?;
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)) {
            return Err(TokenError::NotAToken);
        }
        let claims = claims(text);
        if claims.is_none() && decoded_is_token(text) {
            return Err(TokenError::EncodedTwice);
        }
        let claims = claims.unwrap_or_default();
        check_audience(&claims, audience)?;
        let expires_at = claims.exp.and_then(|exp| Timestamp::from_second(exp).ok());
        let token = Self { secret: SecretString::from(text), fingerprint: fingerprint(text), expires_at };
        token.check_expiry(now)?;
        Ok(token)
    }

    /// The token itself. Only the code that builds the Authorization header may use it.
    pub(super) fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    /// A hash that distinguishes tokens without revealing them. It differs from process to process.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// When the token expires, if it is a JWT that says so.
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Returns an error if the token has expired by now.
    pub fn check_expiry(&self, now: Timestamp) -> Result<(), TokenError> {
        match self.expires_at {
            Some(end) if end.as_second().saturating_add(CLOCK_SKEW_SECONDS) < now.as_second() => {
                Err(TokenError::Expired(end))
            }
            _ => Ok(()),
        }
    }
}

fn check_audience(claims: &Claims, audience: &str) -> Result<(), TokenError> {
    let fits = match &claims.aud {
        Some(serde_json::Value::String(one)) => one == audience,
        Some(serde_json::Value::Array(many)) => many.iter().any(|aud| aud == audience),
        _ => true,
    };
    if fits { Ok(()) } else { Err(TokenError::WrongAudience(audience.to_owned())) }
}

fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    // A claim of an unexpected type is treated as absent.
    serde_json::from_slice::<serde_json::Value>(&json).ok().map(|value| Claims {
        exp: value.get("exp").and_then(serde_json::Value::as_i64),
        aud: value.get("aud").cloned(),
    })
}

fn decoded_is_token(text: &str) -> bool {
    let decoded = base64::engine::general_purpose::STANDARD.decode(text).ok();
    decoded.and_then(|bytes| String::from_utf8(bytes).ok()).is_some_and(|inner| claims(inner.trim_end()).is_some())
}

fn fingerprint(text: &str) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // The random state is private to this process, so the hash reveals nothing about the token to others.
    static STATE: std::sync::OnceLock<RandomState> = std::sync::OnceLock::new();
    STATE.get_or_init(RandomState::new).hash_one(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIENCE: &str = "https://acme.auth0.com/api/v2/";

    fn jwt(claims: &str) -> String {
        format!("eyJh.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn read(bytes: impl AsRef<[u8]>) -> Result<Token, TokenError> {
        Token::read(bytes.as_ref(), AUDIENCE, Timestamp::from_second(1_000_000).unwrap())
    }

    #[test]
    fn only_the_line_end_is_trimmed() {
        for good in ["abc.def", "opaque-token", "abc\n", "abc\r\n"] {
            assert_eq!(read(good).unwrap().expose(), good.trim_end());
        }
        assert_eq!(read("").unwrap_err(), TokenError::Empty);
        assert_eq!(read("\n").unwrap_err(), TokenError::Empty);
        for bad in [" abc", "abc ", "a\nb", "abc\n\n", "Bearer abc", "\u{feff}abc", "\"abc\"", "a\0"] {
            assert_eq!(read(bad).unwrap_err(), TokenError::NotAToken, "{bad:?}");
        }
        assert_eq!(read([0xff, 0xfe]).unwrap_err(), TokenError::NotAToken);
        assert_eq!(read(vec![b'a'; 1 << 20]).unwrap_err(), TokenError::TooLong);
    }

    #[test]
    fn readable_claims_are_checked_and_unreadable_ones_are_not() {
        let good = jwt(&format!(r#"{{"exp": 1000001, "aud": "{AUDIENCE}"}}"#));
        assert!(read(&good).is_ok());
        assert!(read(jwt(&format!(r#"{{"aud": ["x", "{AUDIENCE}"]}}"#))).is_ok());
        assert!(read(jwt(r#"{"exp": "soon", "aud": 7, "scopes": {}}"#)).is_ok(), "an old-style token");
        assert!(read(jwt("not json")).is_ok());
        assert!(matches!(read(jwt(r#"{"exp": 999000}"#)), Err(TokenError::Expired(_))));
        let ending = read(jwt(r#"{"exp": 999970}"#)).unwrap();
        assert_eq!(ending.expires_at(), Timestamp::from_second(999_970).ok(), "within the clock skew");
        assert!(ending.check_expiry(Timestamp::from_second(1_000_030).unwrap()).is_ok());
        assert!(ending.check_expiry(Timestamp::from_second(1_000_031).unwrap()).is_err());
        assert_eq!(read("opaque").unwrap().expires_at(), None);
        assert!(matches!(read(jwt(r#"{"aud": "https://other/api/v2/"}"#)), Err(TokenError::WrongAudience(_))));
        let twice = base64::engine::general_purpose::STANDARD.encode(&good);
        assert_eq!(read(twice).unwrap_err(), TokenError::EncodedTwice);
    }

    #[test]
    fn debug_shows_nothing() {
        assert!(!format!("{:?}", read("canary-token").unwrap()).contains("canary"));
    }
}
