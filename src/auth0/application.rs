//! The credentials of an application (client credentials), as they stand in a Secret, and what people put there
//! instead. Pure. A secret or a key never appears in `Debug` output or in an error.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::Domain;
use super::private_key::{Algorithm, KeyMistake, PrivateKey};
use super::secret_text::{self, Defect, defect};
use super::token::fingerprint;

/// The keys of a Secret that are read.
const CLIENT_ID: &str = "clientId";
const CLIENT_SECRET: &str = "clientSecret";
const PRIVATE_KEY: &str = "privateKey";
const ALGORITHM: &str = "algorithm";
const KEY_ID: &str = "keyId";

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An application that gets tokens with its own credentials: a client id with a secret or with a private key.
#[derive(Clone, Debug)]
pub struct Application {
    client_id: String,
    proof: Proof,
    fingerprint: u64,
}

/// How the application proves who it is.
#[derive(Clone, Debug)]
enum Proof {
    Secret(SecretString),
    Key { key: PrivateKey, algorithm: Algorithm, key_id: Option<String> },
}

/// Why a Secret does not hold the credentials of an application. The message names the key and no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("key {key:?}: the value {mistake}")]
pub struct ApplicationError {
    /// The key of the Secret.
    pub key: &'static str,
    /// What is wrong with it.
    pub mistake: Mistake,
}

/// What is wrong with the value of a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Mistake {
    /// The form of the value is wrong.
    #[error(transparent)]
    Form(#[from] Defect),
    /// It is no usable private key.
    #[error(transparent)]
    Key(#[from] KeyMistake),
    /// There is no such key.
    #[error("is missing: put {0} there")]
    Missing(&'static str),
    /// There is another key that excludes it.
    #[error("is there beside clientSecret: keep the one by which the application authenticates in Auth0")]
    TwoProofs,
    /// The client id has the form of a client secret.
    #[error("has the form of a client secret: put the application's client id there; were the two swapped?")]
    SecretAsId,
    /// The client secret has the form of a client id.
    #[error("has the form of a client id: put the application's client secret there; were the two swapped?")]
    IdAsSecret,
    /// The client secret is a key.
    #[error("is a key or a certificate in PEM: put a private key under privateKey")]
    KeyAsSecret,
    /// The client secret is a token.
    #[error("is a token: put the application's client secret there, or name the token in tokenSecretRef")]
    Token,
    /// The algorithm is none that Auth0 accepts.
    #[error("is none of RS256, RS384 and PS256: write the one that the application's credential has in Auth0")]
    Algorithm,
}

impl Application {
    /// Reads the credentials from the values of a Secret: `clientId`, and `clientSecret` or `privateKey`; beside a
    /// `privateKey` optionally `algorithm` (RS256 by default) and `keyId`.
    pub fn read<'a>(value: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, ApplicationError> {
        let at = |key: &'static str| move |mistake: Mistake| ApplicationError { key, mistake };
        let id = value(CLIENT_ID).ok_or(Mistake::Missing("the application's client id")).and_then(client_id);
        let id = id.map_err(at(CLIENT_ID))?;
        let (proof, secret) = match (value(CLIENT_SECRET), value(PRIVATE_KEY)) {
            (Some(_), Some(_)) => return Err(at(PRIVATE_KEY)(Mistake::TwoProofs)),
            (None, None) => {
                let what = "the application's client secret, or its private key under privateKey,";
                return Err(at(CLIENT_SECRET)(Mistake::Missing(what)));
            }
            (Some(secret), None) => {
                (Proof::Secret(client_secret(secret).map_err(at(CLIENT_SECRET))?.to_owned().into()), secret)
            }
            (None, Some(pem)) => {
                let key = PrivateKey::read(pem).map_err(|mistake| at(PRIVATE_KEY)(mistake.into()))?;
                let algorithm = value(ALGORITHM).map(algorithm).transpose().map_err(at(ALGORITHM))?;
                let key_id = value(KEY_ID).map(plain).transpose().map_err(at(KEY_ID))?.map(str::to_owned);
                (Proof::Key { key, algorithm: algorithm.unwrap_or(Algorithm::Rs256), key_id }, pem)
            }
        };
        let settings = match &proof {
            Proof::Secret(_) => None,
            Proof::Key { algorithm, key_id, .. } => Some((algorithm, key_id)),
        };
        let fingerprint = fingerprint(&(id, secret, settings));
        Ok(Self { client_id: id.to_owned(), proof, fingerprint })
    }

    /// A hash that distinguishes applications and their credentials without revealing them. It differs from process to
    /// process.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The client id, which is no secret.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The fields of a token request. `now` is the time by Auth0's clock. `None` if the system has no random numbers
    /// for a signature.
    pub(super) fn fields(&self, domain: &Domain, now: Timestamp) -> Option<Vec<(&'static str, String)>> {
        let mut fields = vec![("grant_type", "client_credentials".to_owned()), ("client_id", self.client_id.clone())];
        match &self.proof {
            Proof::Secret(secret) => fields.push(("client_secret", secret.expose_secret().to_owned())),
            Proof::Key { key, algorithm, key_id } => {
                let audience = format!("https://{}/", domain.authority());
                let assertion = key.assertion(&self.client_id, &audience, (*algorithm, key_id.as_deref()), now)?;
                fields.extend([("client_assertion_type", ASSERTION_TYPE.to_owned()), ("client_assertion", assertion)]);
            }
        }
        Some(fields)
    }

    /// Whether its proof is an assertion, for which the clocks have to agree.
    pub const fn signs(&self) -> bool {
        matches!(self.proof, Proof::Key { .. })
    }
}

/// A value that is one word.
fn plain(bytes: &[u8]) -> Result<&str, Mistake> {
    let text = secret_text::text(bytes)?;
    match defect(text) {
        Some(defect) => Err(defect.into()),
        None => Ok(text),
    }
}

fn client_id(bytes: &[u8]) -> Result<&str, Mistake> {
    let id = plain(bytes)?;
    if is_of(id, 64) { Err(Mistake::SecretAsId) } else { Ok(id) }
}

/// Auth0's own secrets have 64 letters, digits, `-` and `_`, but others can be set, so only what cannot be one is
/// refused.
fn client_secret(bytes: &[u8]) -> Result<&str, Mistake> {
    let text = secret_text::text(bytes)?;
    let is_token = text.starts_with("eyJ") && text.split('.').count() == 3;
    match defect(text) {
        Some(Defect::Pem) => Err(Mistake::KeyAsSecret),
        Some(Defect::Characters) if text.bytes().all(|b| b.is_ascii_graphic()) => Ok(text),
        Some(Defect::Assignment) if !names_a_secret(text) && text.bytes().all(|b| b.is_ascii_graphic()) => Ok(text),
        Some(defect) => Err(defect.into()),
        None if is_of(text, 32) => Err(Mistake::IdAsSecret),
        None if is_token => Err(Mistake::Token),
        None => Ok(text),
    }
}

/// Whether this is a line such as `AUTH0_CLIENT_SECRET=…`, and not a secret that contains a sign like that.
fn names_a_secret(text: &str) -> bool {
    text.split_once(['=', ':']).is_some_and(|(name, _)| name.to_ascii_lowercase().contains("secret"))
}

fn algorithm(bytes: &[u8]) -> Result<Algorithm, Mistake> {
    Algorithm::named(plain(bytes)?).ok_or(Mistake::Algorithm)
}

fn is_of(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use fake_auth0::TEST_RSA_KEY;

    use super::*;

    const ID: &str = "aB3dEaB3dEaB3dEaB3dEaB3dEaB3dE12";

    fn secret() -> String {
        "canaryB3-_".repeat(7)[..64].to_owned()
    }

    fn read(data: &[(&str, &str)]) -> Result<Application, ApplicationError> {
        Application::read(|key| data.iter().find(|(of, _)| *of == key).map(|(_, value)| value.as_bytes()))
    }

    #[test]
    fn each_mistake_names_its_key() {
        use {Defect as D, Mistake as M};
        let secret = secret();
        let line = format!("AUTH0_CLIENT_SECRET={secret}");
        for (data, key, mistake) in [
            (vec![], CLIENT_ID, M::Missing("the application's client id")),
            (vec![(CLIENT_ID, " x")], CLIENT_ID, M::Form(D::WhiteSpaceAround)),
            (vec![(CLIENT_ID, "\u{feff}x")], CLIENT_ID, M::Form(D::ByteOrderMark)),
            (vec![(CLIENT_ID, &*secret), (CLIENT_SECRET, ID)], CLIENT_ID, M::SecretAsId),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, ID)], CLIENT_SECRET, M::IdAsSecret),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, &*line)], CLIENT_SECRET, M::Form(D::Assignment)),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, "\"x\"")], CLIENT_SECRET, M::Form(D::Quoted)),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, "replace-me")], CLIENT_SECRET, M::Form(D::Placeholder)),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, "YOUR_CLIENT_SECRET")], CLIENT_SECRET, M::Form(D::Placeholder)),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, "••••••••")], CLIENT_SECRET, M::Form(D::Placeholder)),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, "********")], CLIENT_SECRET, M::Form(D::Placeholder)),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, "vault:kv/auth0#secret")], CLIENT_SECRET, M::Form(D::Reference)),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, "ENC[AES256_GCM,data:x=]")], CLIENT_SECRET, M::Form(D::Encrypted)),
            (vec![(CLIENT_ID, "{yourClientId}")], CLIENT_ID, M::Form(D::Placeholder)),
            (vec![(CLIENT_ID, "null"), (CLIENT_SECRET, &*secret)], CLIENT_ID, M::Form(D::NoValue)),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, "a b")], CLIENT_SECRET, M::Form(D::WhiteSpaceInside)),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, "eyJh.b.c")], CLIENT_SECRET, M::Token),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, TEST_RSA_KEY)], CLIENT_SECRET, M::KeyAsSecret),
            (vec![(CLIENT_ID, ID), (PRIVATE_KEY, &*secret)], PRIVATE_KEY, M::Key(KeyMistake::NotPem)),
            (vec![(CLIENT_ID, ID), (CLIENT_SECRET, &*secret), (PRIVATE_KEY, "x")], PRIVATE_KEY, M::TwoProofs),
            (vec![(CLIENT_ID, ID), (PRIVATE_KEY, TEST_RSA_KEY), (ALGORITHM, "ES256")], ALGORITHM, M::Algorithm),
        ] {
            let error = read(&data).unwrap_err();
            assert_eq!((error.key, &error.mistake), (key, &mistake), "{data:?}");
            assert!(error.to_string().contains(key) && !error.to_string().contains("canary"), "{error}");
        }
        let missing = read(&[(CLIENT_ID, ID)]).unwrap_err();
        assert!(missing.key == CLIENT_SECRET && missing.to_string().contains("privateKey"), "{missing}");
    }

    #[test]
    fn any_change_is_another_credential_and_nothing_shows_it() {
        let secret = secret();
        let one = read(&[(CLIENT_ID, ID), (CLIENT_SECRET, &*secret)]).unwrap();
        let line_end = format!("{secret}\n");
        let with_line_end = read(&[(CLIENT_ID, ID), (CLIENT_SECRET, &*line_end)]).unwrap();
        let unusual = read(&[(CLIENT_ID, ID), (CLIENT_SECRET, "p=ss:w!rd")]).unwrap();
        let key = read(&[(CLIENT_ID, ID), (PRIVATE_KEY, TEST_RSA_KEY)]).unwrap();
        let other = read(&[(CLIENT_ID, ID), (PRIVATE_KEY, TEST_RSA_KEY), (ALGORITHM, "PS256\n")]).unwrap();
        let all = [&one, &with_line_end, &unusual, &key, &other];
        let mut prints: Vec<u64> = all.iter().map(|application| application.fingerprint()).collect();
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), all.len());
        assert!(all.iter().all(|application| !format!("{application:?}").contains("canary")));
        let sent = with_line_end.fields(&"acme.auth0.com".parse().unwrap(), Timestamp::UNIX_EPOCH).unwrap();
        assert!(sent.contains(&("client_secret", secret)));
        assert!(key.signs() && !one.signs());
    }
}
