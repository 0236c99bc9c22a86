//! Management API tokens. A token is checked as far as that is possible without a call to Auth0.
//!
//! A token never appears in `Debug` output or in an error.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::Domain;
use super::token_text::{TokenError, claims, plain};

/// A token counts as expired only this long after its `exp`, because our clock may be wrong.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// A bearer token that is valid in an HTTP header.
#[derive(Clone, Debug)]
pub struct Token {
    secret: SecretString,
    fingerprint: u64,
    expires_at: Option<Timestamp>,
    lifetime: Option<SignedDuration>,
    scopes: Option<Arc<[String]>>,
    issuer: Option<Domain>,
}

impl Token {
    /// Reads a token from the value of a Secret. One trailing line end is trimmed. The token must be a JWT for
    /// `audience` that has not expired; a claim that is absent or has an unexpected type is left to Auth0 to judge.
    pub fn read(bytes: &[u8], audience: &str, now: Timestamp) -> Result<Self, TokenError> {
        let text = plain(bytes)?;
        let claims = claims(text, audience)?;
        check_audience(&claims, audience)?;
        let time = |name: &str| Timestamp::from_second(claims.get(name)?.as_i64()?).ok();
        let expires_at = time("exp");
        let lifetime = expires_at.zip(time("iat")).map(|(end, begin)| end.duration_since(begin));
        let token = Self {
            secret: SecretString::from(text),
            fingerprint: fingerprint(&text),
            expires_at,
            lifetime: lifetime.filter(SignedDuration::is_positive),
            scopes: scopes(&claims),
            issuer: claims.get("iss").and_then(Value::as_str).and_then(issuer),
        };
        token.check_expiry(now)?;
        Ok(token)
    }

    /// The token in an answer of the token endpoint that was received at `now`. What it says of itself is read from the
    /// answer: nothing is decoded, and our clock counts. `None` if the text cannot be sent in a header.
    pub fn issued(answer: &Value, now: Timestamp) -> Option<Self> {
        let text = answer.get("access_token").and_then(Value::as_str)?;
        let is_sendable = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let lifetime = answer.get("expires_in").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
        // Ten years are more than any token lasts, and keep the sum within bounds.
        let lifetime = lifetime.map(|seconds| SignedDuration::from_secs(seconds.min(315_360_000)));
        is_sendable.then(|| Self {
            secret: SecretString::from(text),
            fingerprint: fingerprint(&text),
            expires_at: lifetime.map(|lifetime| now + lifetime),
            lifetime,
            scopes: answer.as_object().and_then(scopes),
            issuer: None,
        })
    }

    /// The token itself. Only the code that builds the Authorization header may use it.
    pub(super) fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    /// A hash that distinguishes tokens without revealing them. It differs from process to process.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// When the token expires, if it says so.
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// From its issue to its end, if it says so.
    pub const fn lifetime(&self) -> Option<SignedDuration> {
        self.lifetime
    }

    /// The scopes that it says it has, sorted. `None` if it names none: then they are unknown, not missing.
    pub fn scopes(&self) -> Option<&Arc<[String]>> {
        self.scopes.as_ref()
    }

    /// Returns an error if the token says that another host than that of `domain` issued it: Auth0 accepts the tokens
    /// of a custom domain only there, and those of the tenant's own domain only at that one.
    pub fn check_issuer(&self, domain: &Domain) -> Result<(), TokenError> {
        match &self.issuer {
            Some(issuer) if !issuer.is_host_of(domain) => Err(TokenError::OtherIssuer(issuer.clone(), domain.clone())),
            _ => Ok(()),
        }
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

/// The field `scope`: the names of scopes with white space between them.
fn scopes(json: &Map<String, Value>) -> Option<Arc<[String]>> {
    let text = json.get("scope").and_then(Value::as_str)?;
    let mut scopes: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    scopes.sort_unstable();
    scopes.dedup();
    (!scopes.is_empty()).then(|| scopes.into())
}

/// The host of an `iss` claim, if it has the form of Auth0's.
fn issuer(iss: &str) -> Option<Domain> {
    let host = iss.strip_prefix("https://")?;
    host.strip_suffix('/').unwrap_or(host).parse().ok()
}

fn check_audience(claims: &Map<String, Value>, audience: &str) -> Result<(), TokenError> {
    let named: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    if named.contains(&audience) {
        return Ok(());
    }
    // The audience of an ID token is a client id, which is no URL.
    let is_id_token = !claims.contains_key("scope") && !named.iter().any(|aud| aud.contains([':', '/']));
    let error = if is_id_token { TokenError::IdToken } else { TokenError::WrongAudience };
    Err(error(audience.to_owned()))
}

/// A hash with a random state, which is private to this process, so it reveals nothing about the value to others.
pub fn fingerprint(of: &impl std::hash::Hash) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    static STATE: std::sync::OnceLock<RandomState> = std::sync::OnceLock::new();
    STATE.get_or_init(RandomState::new).hash_one(of)
}

#[cfg(test)]
mod tests {
    use super::super::secret_text::Defect;
    use super::*;

    const AUDIENCE: &str = "https://acme.auth0.com/api/v2/";

    fn jwt(claims: &str) -> String {
        use base64::Engine as _;
        format!("eyJh.{}.c2ln", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims))
    }

    fn read(bytes: impl AsRef<[u8]>) -> Result<Token, TokenError> {
        Token::read(bytes.as_ref(), AUDIENCE, Timestamp::from_second(1_000_000).unwrap())
    }

    #[test]
    fn only_the_line_end_is_trimmed() {
        let token = jwt("{}");
        for good in [token.clone(), format!("{token}\n"), format!("{token}\r\n")] {
            assert_eq!(read(&good).unwrap().expose(), token);
        }
        assert_eq!(read(format!("{token}\n\n")).unwrap_err(), TokenError::Form(Defect::WhiteSpaceAround));
    }

    #[test]
    fn readable_claims_are_checked_and_unreadable_ones_are_not() {
        let good = format!(r#"{{"exp": 1000001, "iat": 999901, "aud": "{AUDIENCE}", "scope": "read:users  a:b a:b"}}"#);
        let good = read(jwt(&good)).unwrap();
        assert_eq!(
            (good.lifetime(), good.scopes()),
            (Some(SignedDuration::from_secs(100)), Some(&["a:b", "read:users"].map(String::from).into()))
        );
        assert!(read(jwt(&format!(r#"{{"aud": ["x", "{AUDIENCE}"]}}"#))).is_ok());
        let old_style = read(jwt(r#"{"exp": "soon", "aud": 7, "scopes": {}}"#)).unwrap();
        assert_eq!((old_style.expires_at(), old_style.lifetime(), old_style.scopes()), (None, None, None));
        assert_eq!(read(jwt("not json")).unwrap_err(), TokenError::Incomplete);
        assert!(matches!(read(jwt(r#"{"exp": 999000}"#)), Err(TokenError::Expired(_))));
        let ending = read(jwt(r#"{"exp": 999970}"#)).unwrap();
        assert_eq!(ending.expires_at(), Timestamp::from_second(999_970).ok(), "within the clock skew");
        assert!(ending.check_expiry(Timestamp::from_second(1_000_030).unwrap()).is_ok());
        assert!(ending.check_expiry(Timestamp::from_second(1_000_031).unwrap()).is_err());
        let audience = || AUDIENCE.to_owned();
        for (claims, error) in [
            (r#"{"aud": "https://other/api/v2/"}"#, TokenError::WrongAudience(audience())),
            (r#"{"aud": ["https://api", "https://acme.auth0.com/userinfo"]}"#, TokenError::WrongAudience(audience())),
            (r#"{"aud": "aB3dE", "scope": "x"}"#, TokenError::WrongAudience(audience())),
            (r#"{"aud": "aB3dE", "nonce": "x", "email": "canary"}"#, TokenError::IdToken(audience())),
        ] {
            assert_eq!(read(jwt(claims)).unwrap_err(), error, "{claims}");
        }
    }

    #[test]
    fn a_token_is_for_the_host_that_issued_it() {
        let issued_by = |iss: &str| read(jwt(&format!(r#"{{"iss": {iss}}}"#))).unwrap();
        let (tenant, custom) = ("acme.auth0.com".parse().unwrap(), "login.acme.example".parse().unwrap());
        let of_tenant = issued_by(r#""https://acme.auth0.com/""#);
        assert_eq!(of_tenant.check_issuer(&tenant), Ok(()));
        let message = of_tenant.check_issuer(&custom).unwrap_err().to_string();
        assert!(message.contains("acme.auth0.com") && message.contains("login.acme.example"), "{message}");
        let of_custom = issued_by(r#""https://login.acme.example/""#);
        assert_eq!(of_custom.check_issuer(&custom), Ok(()));
        assert!(of_custom.check_issuer(&tenant).is_err());
        // Of a private cloud behind another port, and what does not tell.
        for iss in [r#""https://acme.auth0.com:8443/""#, r#""https://canary|/""#, r#""acme""#, r#""""#, "7", "null"] {
            assert_eq!(issued_by(iss).check_issuer(&tenant), Ok(()), "{iss}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert!(!format!("{:?}", read(format!("{}canary", jwt("{}"))).unwrap()).contains("canary"));
    }
}
