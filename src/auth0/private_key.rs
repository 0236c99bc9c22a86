//! The private key of an application that authenticates by a signed assertion (`private_key_jwt`), and what people put
//! into a Secret instead of one. Pure, but for the random numbers of a signature.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{rsa, signature};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use thiserror::Error;

use super::secret_text::{self, Defect, stand_in};

/// For how long an assertion is valid, in seconds. Auth0 advises a minute or less.
const LIFETIME: i64 = 60;

/// Why a value is no private key that Auth0 accepts for assertions. No message contains any part of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyMistake {
    /// The form of the value is wrong.
    #[error(transparent)]
    Form(#[from] Defect),
    /// It is the public half of a key.
    #[error("is a public key: put the private key there; the public one belongs into Auth0")]
    Public,
    /// It is a certificate.
    #[error("is a certificate: put the private key there that belongs to it")]
    Certificate,
    /// It is protected by a passphrase.
    #[error("is encrypted with a passphrase: decrypt it first, for example with openssl pkey")]
    Encrypted,
    /// It is a key of another algorithm than RSA.
    #[error("is not an RSA key: Auth0 accepts RS256, RS384 and PS256, so make an RSA key of 2048 bits or more")]
    OtherAlgorithm,
    /// It is in the format of OpenSSH.
    #[error("is in OpenSSH's format: write it as PEM, for example with ssh-keygen -p -m PEM")]
    OpenSsh,
    /// It is a JSON Web Key.
    #[error("is JSON: write the key as PEM (PKCS#8 or PKCS#1)")]
    Jwk,
    /// It has the two characters `\n` where its lines should end.
    #[error("has \\n as two characters where its lines should end: put the key there with real line ends")]
    EscapedLineEnds,
    /// It is the base64 of a PEM file.
    #[error("is base64-encoded twice: put the PEM text under stringData, or its base64 under data")]
    EncodedTwice,
    /// It is something else.
    #[error(
        "is no private key in PEM, which begins with -----BEGIN PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY-----"
    )]
    NotPem,
    /// It is cut off or altered.
    #[error("cannot be read as a key: is it complete, with all its line ends?")]
    Broken,
    /// Its length is not accepted.
    #[error("is an RSA key of a length that is not accepted: use 2048 to 4096 bits")]
    Length,
}

/// How an assertion is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Ps256,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Rs256, Self::Rs384, Self::Ps256];

    /// The algorithm of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Ps256 => "PS256",
        }
    }

    fn padding(self) -> &'static dyn signature::RsaEncoding {
        match self {
            Self::Rs256 => &signature::RSA_PKCS1_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_SHA384,
            Self::Ps256 => &signature::RSA_PSS_SHA256,
        }
    }
}

/// An RSA key that signs assertions. `Debug` shows only its public half.
#[derive(Clone, Debug)]
pub(super) struct PrivateKey(Arc<rsa::KeyPair>);

impl PrivateKey {
    /// Reads a key in PEM, PKCS#8 or PKCS#1. Certificates and comments beside it are ignored.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, KeyMistake> {
        let text = secret_text::text(bytes)?;
        if let Some(mistake) = mistake(text) {
            return Err(mistake);
        }
        let pair = match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
            Ok(PrivateKeyDer::Pkcs8(der)) => rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            Ok(PrivateKeyDer::Pkcs1(der)) => rsa::KeyPair::from_der(der.secret_pkcs1_der()),
            Ok(_) => return Err(KeyMistake::OtherAlgorithm),
            Err(_) => return Err(KeyMistake::Broken),
        };
        // The library names its reasons only as text.
        let pair = pair.map_err(|rejected| match rejected.to_string().as_str() {
            "WrongAlgorithm" => KeyMistake::OtherAlgorithm,
            "TooSmall" | "TooLarge" => KeyMistake::Length,
            _ => KeyMistake::Broken,
        })?;
        Ok(Self(Arc::new(pair)))
    }

    /// An assertion of the application `client_id` for the token endpoint with this audience, valid for a minute from
    /// `now` by Auth0's clock. Each has its own `jti`, because Auth0 accepts an assertion once. `None` if the system
    /// has no random numbers.
    pub(super) fn assertion(
        &self,
        client_id: &str,
        audience: &str,
        (algorithm, key_id): (Algorithm, Option<&str>),
        now: Timestamp,
    ) -> Option<String> {
        let random = SystemRandom::new();
        let mut id = [0; 16];
        random.fill(&mut id).ok()?;
        let mut header = json!({"alg": algorithm.name(), "typ": "JWT"});
        if let Some(key_id) = key_id {
            header["kid"] = key_id.into();
        }
        let now = now.as_second();
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": audience, "jti": URL_SAFE_NO_PAD.encode(id),
            "iat": now, "exp": now + LIFETIME,
        });
        let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(algorithm.padding(), &random, signed.as_bytes(), &mut signature).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// What can be told without decoding the key.
fn mistake(text: &str) -> Option<KeyMistake> {
    let bare = text.trim();
    let begins = |label: &str| text.contains(&format!("-----BEGIN {label}"));
    if let Some(defect) = stand_in(bare) {
        return Some(defect.into());
    }
    let found = match bare {
        "" => Defect::Empty.into(),
        _ if bare.starts_with('{') => KeyMistake::Jwk,
        _ if bare.starts_with(['"', '\'', '`', '“']) => Defect::Quoted.into(),
        _ if encodes_pem(bare) => KeyMistake::EncodedTwice,
        _ if !bare.contains("-----BEGIN ") => KeyMistake::NotPem,
        _ if bare.contains("\\n") => KeyMistake::EscapedLineEnds,
        _ if begins("ENCRYPTED PRIVATE KEY") || bare.contains("Proc-Type: 4,ENCRYPTED") => KeyMistake::Encrypted,
        _ if begins("PRIVATE KEY-----") || begins("RSA PRIVATE KEY-----") => return None,
        _ if begins("OPENSSH PRIVATE KEY") => KeyMistake::OpenSsh,
        _ if begins("EC ") || begins("DSA PRIVATE KEY") => KeyMistake::OtherAlgorithm,
        _ if begins("PUBLIC KEY") || begins("RSA PUBLIC KEY") => KeyMistake::Public,
        _ if begins("CERTIFICATE") => KeyMistake::Certificate,
        _ => KeyMistake::NotPem,
    };
    Some(found)
}

fn encodes_pem(text: &str) -> bool {
    let lines: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(lines).is_ok_and(|decoded| decoded.starts_with(b"-----BEGIN"))
}

#[cfg(test)]
mod tests {
    use fake_auth0::TEST_RSA_KEY;

    use super::*;

    #[test]
    fn every_usual_mistake_has_its_own_words() {
        use {Defect as D, KeyMistake as K};
        let pem = |label: &str| format!("-----BEGIN {label}-----\nY2FuYXJ5\n-----END {label}-----\n");
        let cut = &TEST_RSA_KEY[..TEST_RSA_KEY.len() / 2];
        // Ed25519, from RFC 8410; it protects nothing.
        let other = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                     -----END PRIVATE KEY-----\n";
        let encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nY2FuYXJ5\n";
        for (text, mistake) in [
            (String::new(), K::Form(D::Empty)),
            ("\u{feff}".to_owned() + TEST_RSA_KEY, K::Form(D::ByteOrderMark)),
            (format!("\"{TEST_RSA_KEY}\""), K::Form(D::Quoted)),
            ("${KEY}".into(), K::Form(D::Placeholder)),
            ("ENC[AES256_GCM,data:p673w==,iv:YY=,tag:UQ==,type:str]\n".into(), K::Form(D::Encrypted)),
            ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:auth0".into(), K::Form(D::Reference)),
            (r#"{"kty":"RSA","d":"canary"}"#.into(), K::Jwk),
            (TEST_RSA_KEY.replace('\n', "\\n"), K::EscapedLineEnds),
            (STANDARD.encode(TEST_RSA_KEY), K::EncodedTwice),
            (pem("PUBLIC KEY"), K::Public),
            (pem("RSA PUBLIC KEY"), K::Public),
            (pem("CERTIFICATE"), K::Certificate),
            (pem("ENCRYPTED PRIVATE KEY"), K::Encrypted),
            (encrypted.into(), K::Encrypted),
            (pem("EC PRIVATE KEY"), K::OtherAlgorithm),
            (other.into(), K::OtherAlgorithm),
            (pem("OPENSSH PRIVATE KEY"), K::OpenSsh),
            ("aB3-_".repeat(13)[..64].into(), K::NotPem),
            (pem("PRIVATE KEY"), K::Broken),
            (cut.into(), K::Broken),
            (TEST_RSA_KEY.replace('\n', " "), K::Broken),
        ] {
            assert_eq!(PrivateKey::read(text.as_bytes()).unwrap_err(), mistake, "{text:?}");
            assert!(!mistake.to_string().contains("canary"));
        }
        let with_certificate = pem("CERTIFICATE") + TEST_RSA_KEY;
        let windows = TEST_RSA_KEY.replace('\n', "\r\n");
        for good in [TEST_RSA_KEY, &format!("\n{TEST_RSA_KEY}\n\n"), &with_certificate, &windows] {
            assert!(PrivateKey::read(good.as_bytes()).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn an_assertion_is_used_once_and_lives_a_minute() {
        let key = PrivateKey::read(TEST_RSA_KEY.as_bytes()).unwrap();
        let now = Timestamp::from_second(1_000_000).unwrap();
        let parts = |kid| {
            let made = key.assertion("id", "https://acme.auth0.com/", (Algorithm::Ps256, kid), now).unwrap();
            let mut parts = made.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
            let json = |bytes: Vec<u8>| serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
            (json(parts.next().unwrap()), json(parts.next().unwrap()))
        };
        let ((header, one), (with_kid, other)) = (parts(None), parts(Some("k1")));
        assert_eq!((&header["alg"], header.get("kid"), &with_kid["kid"]), (&"PS256".into(), None, &"k1".into()));
        assert_eq!(
            (&one["iss"], &one["sub"], &one["aud"]),
            (&"id".into(), &"id".into(), &"https://acme.auth0.com/".into())
        );
        assert_eq!((one["exp"].as_i64(), one["iat"].as_i64()), (Some(1_000_060), Some(1_000_000)));
        assert_ne!(one["jti"], other["jti"]);
    }
}
