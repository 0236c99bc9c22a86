//! The token endpoint: which applications may get a Management API token, and how they authenticate.
//!
//! Its errors have another form than those of the Management API. Tokens are in `tokens.rs`, authentication by private
//! key in `assertion.rs`.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    answers::{Answer, oauth, oauth_error},
    assertion::PublicKey,
    tokens::{TokenSpec, Tokens},
};

/// An application (machine to machine) of the tenant.
#[derive(Clone, Debug)]
pub struct Client {
    id: String,
    secret: Option<String>,
    key: Option<PublicKey>,
    grant: Option<Vec<String>>,
    expires_in: i64,
    canary: Option<String>,
}

impl Client {
    /// An application that authenticates by a secret, without a grant for the Management API yet.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        let (id, secret) = (id.into(), Some(secret.into()));
        Self { id, secret, key: None, grant: None, expires_in: 86_400, canary: None }
    }

    /// An application that authenticates by a private RSA key (PEM, PKCS #8 or PKCS #1), of which the tenant keeps the
    /// public half. `None` when the text is no such key.
    #[must_use]
    pub fn with_private_key(id: impl Into<String>, pem: &str) -> Option<Self> {
        let key = PublicKey::of_private_pem(pem)?;
        Some(Self { secret: None, key: Some(key), ..Self::new(id, "") })
    }

    /// Grants it the Management API with these scopes.
    #[must_use]
    pub fn scopes<S: Into<String>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        Self { grant: Some(scopes.into_iter().map(Into::into).collect()), ..self }
    }

    /// The lifetime of its tokens in seconds.
    #[must_use]
    pub fn expires_in(self, seconds: i64) -> Self {
        Self { expires_in: seconds, ..self }
    }

    /// The text with which the signatures of its tokens begin.
    #[must_use]
    pub fn canary(self, canary: impl Into<String>) -> Self {
        Self { canary: Some(canary.into()), ..self }
    }
}

/// The applications of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    clients: BTreeMap<String, Client>,
    /// The `jti` of every assertion that was used.
    used: BTreeSet<String>,
}

/// The circumstances of a token request.
#[derive(Clone, Copy)]
pub(crate) struct Desk<'a> {
    pub tokens: &'a Tokens,
    pub domain: &'a str,
    /// Epoch seconds.
    pub now: i64,
}

type Refusal = (StatusCode, &'static str, String);

fn refuse(status: StatusCode, error: &'static str, description: impl Into<String>) -> Refusal {
    (status, error, description.into())
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Clients {
    pub(crate) fn set(&mut self, client: Client) {
        self.clients.insert(client.id.clone(), client);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.clients.remove(id);
    }

    pub(crate) fn answer(&mut self, request: Option<&Value>, desk: Desk<'_>) -> Answer {
        let outcome = self.token(request.unwrap_or(&Value::Null), desk);
        outcome.unwrap_or_else(|(status, error, description)| oauth_error(status, error, &description))
    }

    fn token(&mut self, request: &Value, desk: Desk<'_>) -> Result<Answer, Refusal> {
        let field = |name: &str| request.get(name).and_then(Value::as_str);
        let missing = |name: &str| {
            refuse(StatusCode::BAD_REQUEST, "invalid_request", format!("Missing required parameter: {name}"))
        };
        let grant_type = field("grant_type").ok_or_else(|| missing("grant_type"))?;
        if grant_type != "client_credentials" {
            let description = format!("Unsupported grant type: {grant_type}");
            return Err(refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type", description));
        }
        let client = self.authenticate(request, desk)?;
        let audience = field("audience").ok_or_else(|| missing("audience"))?;
        if audience != format!("https://{}/api/v2/", desk.domain) {
            return Err(refuse(StatusCode::FORBIDDEN, "access_denied", format!("Service not found: {audience}")));
        }
        let Some(scopes) = client.grant else {
            let description = format!(
                "Client is not authorized to access \"{audience}\". You need to create a \"client-grant\" associated \
                 to this API."
            );
            return Err(refuse(StatusCode::FORBIDDEN, "access_denied", description));
        };
        let scope = scopes.join(" ");
        let mut spec = TokenSpec::new(scopes).expires_in(client.expires_in).client_id(client.id);
        if let Some(canary) = client.canary {
            spec = spec.canary(canary);
        }
        let token = desk.tokens.issue(&spec, desk.domain, desk.now);
        let reply = json!({
            "access_token": token, "token_type": "Bearer", "expires_in": client.expires_in, "scope": scope,
        });
        Ok(oauth(StatusCode::OK, &reply))
    }

    fn authenticate(&mut self, request: &Value, desk: Desk<'_>) -> Result<Client, Refusal> {
        let field = |name: &str| request.get(name).and_then(Value::as_str);
        let denied = || refuse(StatusCode::UNAUTHORIZED, "access_denied", "Unauthorized");
        if let Some(assertion) = field("client_assertion") {
            let invalid = |why: &str| refuse(StatusCode::UNAUTHORIZED, "invalid_client", why);
            if field("client_assertion_type") != Some(ASSERTION_TYPE) {
                return Err(invalid("Unknown client_assertion_type"));
            }
            let claims = crate::assertion::claims(assertion).ok_or_else(|| invalid("Unreadable assertion"))?;
            let client = self.clients.get(&claims.iss).cloned().ok_or_else(denied)?;
            let key = client.key.as_ref().ok_or_else(denied)?;
            key.verify(assertion, &claims, desk.domain, desk.now).map_err(invalid)?;
            if !self.used.insert(claims.jti) {
                return Err(invalid("The assertion was used before"));
            }
            return Ok(client);
        }
        let client = field("client_id").and_then(|id| self.clients.get(id)).ok_or_else(denied)?;
        let right = client.secret.as_deref().is_some_and(|secret| field("client_secret") == Some(secret));
        if right { Ok(client.clone()) } else { Err(denied()) }
    }
}

/// The same request with its secrets blanked, for the log of calls.
pub(crate) fn without_secrets(request: &Value) -> Value {
    let mut shown = request.clone();
    for secret in ["client_secret", "client_assertion"] {
        if let Some(value) = shown.get_mut(secret) {
            *value = json!(format!("fingerprint {}", crate::fingerprint(value.as_str().unwrap_or_default())));
        }
    }
    shown
}
