//! Certificates: one authority and one leaf per process, shared by all tenants, so that starting a tenant is cheap.

use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::{StartError, quirks::Network};

/// What the process presents to its clients.
pub(crate) struct Tls {
    pub ca_pem: String,
    good: Arc<ServerConfig>,
    untrusted: Arc<ServerConfig>,
    wrong_host: Arc<ServerConfig>,
    http1: Arc<ServerConfig>,
}

static TLS: OnceLock<Result<Tls, String>> = OnceLock::new();

/// The certificates of this process, made on first use.
pub(crate) fn tls() -> Result<&'static Tls, StartError> {
    TLS.get_or_init(|| Tls::make().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|error| StartError::Certificates(error.clone()))
}

impl Tls {
    fn make() -> Result<Self, Box<dyn std::error::Error>> {
        let (authority, stranger) = (authority("fake-auth0")?, authority("nobody")?);
        let here = ["localhost", "127.0.0.1"];
        let good = server(&authority, &here)?;
        let mut http1 = ServerConfig::clone(&good);
        http1.alpn_protocols.retain(|protocol| protocol != b"h2");
        Ok(Self {
            ca_pem: authority.pem(),
            http1: Arc::new(http1),
            good,
            untrusted: server(&stranger, &here)?,
            wrong_host: server(&authority, &["elsewhere.example"])?,
        })
    }

    pub(crate) fn config(&self, network: Network) -> Arc<ServerConfig> {
        Arc::clone(match network {
            Network::Untrusted => &self.untrusted,
            Network::WrongHost => &self.wrong_host,
            Network::OneAnswer => &self.http1,
            _ => &self.good,
        })
    }
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn server(
    authority: &CertifiedIssuer<'static, KeyPair>,
    names: &[&str],
) -> Result<Arc<ServerConfig>, Box<dyn std::error::Error>> {
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let leaf: CertificateDer<'static> = params.signed_by(&key, authority)?.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // Named explicitly, because tests may install any default provider.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
