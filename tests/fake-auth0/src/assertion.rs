//! `private_key_jwt`: parses and verifies the assertion that an application signs with its RSA key.
//!
//! It verifies what Auth0 documents: algorithm, `iss` = `sub`, audience, a lifetime of at most five minutes. That an
//! assertion is used only once is verified in `clients.rs`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{rsa, signature};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Deserialize;

/// An RSA key (PKCS #8, PEM) for tests of `private_key_jwt`. It is public and protects nothing.
pub const TEST_RSA_KEY: &str = include_str!("test-rsa-key.pem");

/// The public half of an application's key.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey(Vec<u8>);

/// The claims of an assertion.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    pub iss: String,
    sub: String,
    aud: String,
    pub jti: String,
    exp: i64,
    #[serde(default)]
    iat: Option<i64>,
    #[serde(default)]
    nbf: Option<i64>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

fn read<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The claims, unverified.
pub(crate) fn claims(assertion: &str) -> Option<Claims> {
    read(assertion.split('.').nth(1)?)
}

/// The tolerated difference of clocks in seconds.
const SKEW: i64 = 10;
const LONGEST_LIFE: i64 = 300;

impl PublicKey {
    pub(crate) fn of_private_pem(pem: &str) -> Option<Self> {
        let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()? {
            PrivateKeyDer::Pkcs8(der) => rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?,
            PrivateKeyDer::Pkcs1(der) => rsa::KeyPair::from_der(der.secret_pkcs1_der()).ok()?,
            _ => return None,
        };
        Some(Self(pair.public().as_ref().to_vec()))
    }

    /// Verifies the assertion; an error says what is wrong. `domain` is `host:port`, `now` epoch seconds.
    pub(crate) fn verify(&self, assertion: &str, claims: &Claims, domain: &str, now: i64) -> Result<(), &'static str> {
        let (signed, signature) = assertion.rsplit_once('.').ok_or("Not a JWT")?;
        let header: Header = signed.split('.').next().and_then(read).ok_or("Unreadable header")?;
        let algorithm: &dyn signature::VerificationAlgorithm = match header.alg.as_str() {
            "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
            "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
            "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
            _ => return Err("Algorithm not supported"),
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "Unreadable signature")?;
        signature::UnparsedPublicKey::new(algorithm, &self.0)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| "Invalid signature")?;
        let checks = [
            (claims.iss == claims.sub, "iss and sub differ"),
            (claims.aud == format!("https://{domain}/"), "Wrong audience"),
            (claims.exp > now - SKEW, "Expired"),
            (claims.exp <= now + LONGEST_LIFE + SKEW, "Lives longer than five minutes"),
            (claims.iat.is_none_or(|iat| iat <= now + SKEW), "Issued in the future"),
            (claims.nbf.is_none_or(|nbf| nbf <= now + SKEW), "Not valid yet"),
        ];
        checks.iter().find(|(good, _)| !good).map_or(Ok(()), |(_, why)| Err(why))
    }
}
