//! A proxy for CONNECT requests: open, with a password, without a way to the target, or with a look into TLS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fake_auth0::FakeAuth0;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What a proxy does with a request.
#[derive(Clone, Default)]
pub struct Manner {
    /// Every connection goes here, wherever the client asked to be connected to.
    pub target: Option<String>,
    /// `user:password`; without it, 407.
    pub password: Option<&'static str>,
    /// It opens TLS, as proxies of companies do.
    pub inspector: Option<Inspector>,
    /// A status line instead of a connection.
    pub refusal: Option<&'static str>,
}

/// A proxy, until the test's runtime ends.
pub struct ConnectProxy {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    manner: Arc<Mutex<Manner>>,
}

impl ConnectProxy {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let manner = Arc::new(Mutex::new(manner));
        let (lines, shared) = (asked.clone(), manner.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A client that goes away ends its own connection only.
                tokio::spawn(connect(client, lines.clone(), shared.lock().unwrap().clone()));
            }
        });
        Self { address, asked, manner }
    }

    /// From now on it does this.
    pub fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// The request lines since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// The value of HTTPS_PROXY, with what stands before the `@`.
    pub fn url(&self, user: &str) -> String {
        format!("http://{user}{}", self.address)
    }
}

async fn connect(mut client: TcpStream, lines: Arc<Mutex<Vec<String>>>, manner: Manner) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let line = head.lines().next().unwrap_or_default().to_owned();
    lines.lock().unwrap().push(line.clone());
    let login = manner.password.map(|password| format!("proxy-authorization: basic {}", STANDARD.encode(password)));
    let is_known = login.is_none_or(|login| head.lines().any(|line| line.eq_ignore_ascii_case(&login)));
    if let Some(refusal) = manner.refusal.or((!is_known).then_some("407 Proxy Authentication Required")) {
        return client.write_all(format!("HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
    }
    let wanted = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut server = TcpStream::connect(manner.target.unwrap_or(wanted)).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    match manner.inspector {
        None => copy_bidirectional(&mut client, &mut server).await.map(drop),
        Some(inspector) => inspector.relay(client, server).await,
    }
}

/// What opens TLS on the way to a fake tenant, with an authority of its own.
#[derive(Clone)]
pub struct Inspector {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    ca_pem: String,
}

impl Inspector {
    pub fn of(fake: &FakeAuth0) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut server =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(fake.ca_pem().as_bytes()).unwrap()).unwrap();
        let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        // What is said is passed on as it is, so both sides have to speak the same.
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        client.alpn_protocols = server.alpn_protocols.clone();
        let (acceptor, connector) = (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)));
        Self { acceptor, connector, ca_pem: authority.pem() }
    }

    /// Its authority, for `spec.caBundle`.
    pub fn ca_base64(&self) -> String {
        STANDARD.encode(&self.ca_pem)
    }

    async fn relay(self, client: TcpStream, server: TcpStream) -> std::io::Result<()> {
        let mut client = self.acceptor.accept(client).await?;
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut server = self.connector.connect(name, server).await?;
        copy_bidirectional(&mut client, &mut server).await.map(drop)
    }
}
