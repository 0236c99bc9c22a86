//! Management API tokens: read from bytes somebody typed, checked as far as that is possible without asking Auth0.
//!
//! A token is never printed: neither in Debug nor in an error.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use thiserror::Error;

/// Longest token we accept; Auth0's are below 8 kB.
const MAX_LEN: usize = 16 * 1024;
/// Our clock may be wrong by this much before we call a token expired.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// A bearer token that can be put into a header.
#[derive(Clone, Debug)]
pub struct Token {
    secret: SecretString,
    fingerprint: u64,
    expires_at: Option<Timestamp>,
}

/// Why the bytes are no usable token. The texts never hold any of the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Nothing is there.
    #[error("is empty")]
    Empty,
    /// Not text that can stand in a header.
    #[error("is not a token: it has white space or characters that a token cannot have (only one line end is trimmed)")]
    NotAToken,
    /// Longer than any token.
    #[error("is longer than {MAX_LEN} bytes, so it is not a token")]
    TooLong,
    /// Base64 of a token: encoded once too often.
    #[error("is base64-encoded twice: put the token itself under stringData, or its base64 under data")]
    EncodedTwice,
    /// Past its end.
    #[error("expired at {0}: put a fresh token into the Secret")]
    Expired(Timestamp),
    /// Made for something else.
    #[error("was issued for another audience than {0}: get a token for the Management API of this tenant")]
    WrongAudience(String),
}

/// The claims we look at. Unreadable ones mean "cannot tell".
#[derive(Default, Deserialize)]
struct Claims {
    exp: Option<i64>,
    aud: Option<serde_json::Value>,
}

impl Token {
    /// Reads a token as it stands in a Secret: one line end is trimmed, anything else wrong is an error. A token whose
    /// claims can be read must not be expired and must be for `audience`; where they cannot, Auth0 will tell.
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

    /// The token itself, for the one place that builds the header.
    pub(super) fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    /// Tells two tokens apart without showing either. Not stable between processes.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// When it ends, if it can be read off it.
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Whether it is still good, so that a token that was read once need not be read again.
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
    // Claims of an unexpected type are "cannot tell", not an error.
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
    // One random state for the process, so that the number says nothing about the token to anybody else.
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
