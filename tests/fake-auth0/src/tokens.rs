//! Management API tokens: issuing them, and checking the `Authorization` header of a call.
//!
//! The tokens look like Auth0's (JWT with readable claims), but their signature is only random text: a token is valid
//! because it is in the register. The token endpoint is in `clients.rs`.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, PoisonError, RwLock, atomic::AtomicU64, atomic::Ordering::Relaxed},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{answers::Problem, switches::OtherScheme};

/// The beginning of every token's signature by default, so that tests can search for leaked tokens.
pub const TOKEN_CANARY: &str = "canary-of-a-management-token";

/// The properties of a token.
#[derive(Clone, Debug)]
pub struct TokenSpec {
    scopes: Vec<String>,
    expires_in: i64,
    audience: Option<String>,
    canary: String,
    client_id: String,
}

impl TokenSpec {
    /// A token with these scopes, for this tenant, good for a day.
    pub fn new<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        Self {
            scopes: scopes.into_iter().map(Into::into).collect(),
            expires_in: 86_400,
            audience: None,
            canary: TOKEN_CANARY.into(),
            client_id: "fakeClient0000000000000000000000".into(),
        }
    }

    /// Seconds until it expires; negative for one that has expired.
    #[must_use]
    pub fn expires_in(self, seconds: i64) -> Self {
        Self { expires_in: seconds, ..self }
    }

    /// Another audience than this tenant's Management API.
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> Self {
        Self { audience: Some(audience.into()), ..self }
    }

    /// Another text (letters, digits, `-`, `_`) to begin the signature with.
    #[must_use]
    pub fn canary(self, canary: impl Into<String>) -> Self {
        Self { canary: canary.into(), ..self }
    }

    /// The client the token is for.
    #[must_use]
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), ..self }
    }
}

/// A token in the register.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub scopes: Vec<String>,
    pub audience: String,
    /// Epoch seconds.
    pub expires: i64,
    pub fingerprint: String,
}

impl Issued {
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| own == scope)
    }
}

/// A short, stable fingerprint of a token or secret, as the log of calls shows it.
#[must_use]
pub fn fingerprint(secret: &str) -> String {
    // FNV-1a: the same in every process, and enough to distinguish the tokens of a test.
    let hash = secret
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issued: RwLock<HashMap<String, Arc<Issued>>>,
    made: AtomicU64,
    random: RandomState,
}

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

impl Tokens {
    /// Issues a token and registers it. `domain` is `host:port`, `now` epoch seconds.
    pub(crate) fn issue(&self, spec: &TokenSpec, domain: &str, now: i64) -> String {
        let audience = spec.audience.clone().unwrap_or_else(|| format!("https://{domain}/api/v2/"));
        let expires = now.saturating_add(spec.expires_in);
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": "fake-auth0"});
        let claims = json!({
            "iss": format!("https://{domain}/"),
            "sub": format!("{}@clients", spec.client_id),
            "aud": audience,
            "iat": now.min(expires),
            "exp": expires,
            "azp": spec.client_id,
            "gty": "client-credentials",
            "scope": spec.scopes.join(" "),
        });
        let number = self.made.fetch_add(1, Relaxed);
        let random = self.random.hash_one(number);
        let token = format!("{}.{}.{}{number:06}{random:016x}", part(&header), part(&claims), spec.canary);
        let fingerprint = fingerprint(&token);
        self.enter(token.clone(), Issued { scopes: spec.scopes.clone(), audience, expires, fingerprint });
        token
    }

    fn enter(&self, token: String, issued: Issued) {
        self.issued.write().unwrap_or_else(PoisonError::into_inner).insert(token, Arc::new(issued));
    }

    pub(crate) fn revoke(&self, token: &str) -> bool {
        self.issued.write().unwrap_or_else(PoisonError::into_inner).remove(token).is_some()
    }

    pub(crate) fn revoke_all(&self) {
        self.issued.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn find(&self, token: &str) -> Option<Arc<Issued>> {
        self.issued.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Checks the `Authorization` header of a call.
    pub(crate) fn admit(
        &self,
        header: Option<&str>,
        audience: &str,
        now: i64,
        other_scheme: OtherScheme,
    ) -> Result<Arc<Issued>, Problem> {
        let header = header.ok_or(Problem::MISSING_TOKEN)?;
        let bearer_scheme = header.split(' ').next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"));
        if !bearer_scheme && other_scheme == OtherScheme::Unauthorized {
            return Err(Problem::MISSING_TOKEN);
        }
        let token = bearer(header).filter(|token| token.split('.').count() == 3).ok_or(Problem::OPAQUE_TOKEN)?;
        let Some(issued) = self.find(token) else { return Err(stranger(token)) };
        if issued.audience != audience {
            return Err(Problem::unauthorized(format!("Bad audience: {}", issued.audience)));
        }
        if issued.expires <= now {
            return Err(Problem::unauthorized("Expired token received for JSON Web Token validation"));
        }
        Ok(issued)
    }
}

/// The token of an `Authorization` header.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ')).then_some(token)
}

/// The refusal of a token that was never issued here, or was revoked.
fn stranger(token: &str) -> Problem {
    let readable = token.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    match readable.and_then(|claims| serde_json::from_slice::<Value>(&claims).ok()) {
        Some(_) => Problem::unauthorized("Invalid signature received for JSON Web Token validation"),
        None => Problem::unauthorized("Invalid token"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const AUDIENCE: &str = "https://localhost:1/api/v2/";

    #[test]
    fn a_token_reads_like_auth0s() {
        let tokens = Tokens::default();
        let token = tokens.issue(&TokenSpec::new(["read:users", "update:users"]).expires_in(60), "localhost:1", 1000);
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["aud"], AUDIENCE);
        assert_eq!(claims["exp"], 1060);
        assert_eq!(claims["scope"], "read:users update:users");
        assert!(token.contains(TOKEN_CANARY));
        assert!(URL_SAFE_NO_PAD.decode(token.split('.').nth(2).unwrap().get(..48).unwrap()).is_ok());
    }

    #[test]
    fn headers_are_judged_as_documented() {
        let tokens = Tokens::default();
        let issue = |spec: TokenSpec| format!("Bearer {}", tokens.issue(&spec, "localhost:1", 1000));
        let judge = |header: &str| {
            let verdict = tokens.admit(Some(header), AUDIENCE, 1000, OtherScheme::BadRequest);
            verdict.map(|_| ()).map_err(|problem| (problem.status.as_u16(), problem.message.into_owned()))
        };
        let spec = || TokenSpec::new(["a"]);
        let good = issue(spec());
        assert_eq!(judge(&good), Ok(()));
        assert_eq!(judge("Bearer opaque").unwrap_err().0, 400);
        assert_eq!(judge("Basic a.b.c").unwrap_err().0, 400);
        assert_eq!(judge("Bearer a.b.c"), Err((401, "Invalid token".into())));
        assert!(judge(&issue(spec().expires_in(-1))).unwrap_err().1.starts_with("Expired token"));
        assert!(judge(&issue(spec().audience("https://x/api/v2/"))).unwrap_err().1.starts_with("Bad audience"));
        tokens.revoke(good.trim_start_matches("Bearer "));
        assert!(judge(&good).unwrap_err().1.starts_with("Invalid signature"));
        let admit = |header| tokens.admit(header, AUDIENCE, 0, OtherScheme::Unauthorized).unwrap_err();
        assert_eq!([admit(None), admit(Some("Basic a.b.c"))], [Problem::MISSING_TOKEN, Problem::MISSING_TOKEN]);
    }
}
