//! The credentials of the control plane: the administrator's token, the key for service account tokens, and
//! kubeconfigs.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use crate::Error;

/// The files for the start of the API server, in one folder.
#[derive(Debug)]
pub(crate) struct Credentials {
    admin_token: String,
    tokens: PathBuf,
    private_key: PathBuf,
    public_key: PathBuf,
    cert_dir: PathBuf,
}

impl Credentials {
    /// Creates a token and a key pair and writes them to `dir`, readable by the user only.
    pub fn create(dir: &Path) -> Result<Self, Error> {
        let credentials = Self {
            admin_token: random_token()?,
            tokens: dir.join("tokens.csv"),
            private_key: dir.join("service-accounts.key"),
            public_key: dir.join("service-accounts.pub"),
            cert_dir: dir.join("certificates"),
        };
        let key = rcgen::KeyPair::generate()?;
        let line = format!("{},admin,admin,\"system:masters\"\n", credentials.admin_token);
        write_private(&credentials.tokens, &line)?;
        write_private(&credentials.private_key, &key.serialize_pem())?;
        write_private(&credentials.public_key, &key.public_key_pem())?;
        Ok(credentials)
    }

    /// The token of the user `admin`, in `system:masters`.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// The file with the administrator's token.
    pub fn tokens(&self) -> &Path {
        &self.tokens
    }

    /// Signs service account tokens.
    pub fn private_key(&self) -> &Path {
        &self.private_key
    }

    /// Verifies service account tokens.
    pub fn public_key(&self) -> &Path {
        &self.public_key
    }

    /// The folder to which the API server writes its certificate.
    pub fn cert_dir(&self) -> &Path {
        &self.cert_dir
    }

    /// The authority of the API server's certificate: the last certificate in the file that it wrote.
    pub fn ca_pem(&self) -> Result<String, Error> {
        let path = self.cert_dir.join("apiserver.crt");
        let pem = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let start = pem.rfind("-----BEGIN CERTIFICATE-----").ok_or(Error::NoCertificate { path })?;
        Ok(pem[start..].to_owned())
    }
}

/// A self-contained kubeconfig, in JSON, which is YAML too and needs no quoting by hand.
pub(crate) fn kubeconfig(server: &str, ca_pem: &str, token: &str) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": BASE64.encode(ca_pem)}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}],
    });
    format!("{config:#}\n")
}

fn random_token() -> Result<String, Error> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(Error::io("read", path))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(Error::io("write", path))
}
