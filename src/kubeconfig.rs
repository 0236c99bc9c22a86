//! Finds the cluster as kubectl does: the files of KUBECONFIG, else `~/.kube/config`, with its exec plugins and
//! proxies; without a kubeconfig, the service account of the pod.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use kube::Config;
use kube::config::{ExecAuthCluster, Kubeconfig, KubeconfigError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use thiserror::Error;

use crate::auth0::exempts;

/// Why there is no cluster to connect to. What to do: correct what the message names, then start again.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// There is neither a kubeconfig that can be used nor a service account.
    #[error("no cluster found: set KUBECONFIG, or run in a cluster with a service account")]
    NotFound(#[source] Box<KubeconfigError>),
    /// What was chosen of a kubeconfig is not there, or cannot be used.
    #[error("the kubeconfig cannot be used")]
    Unusable(#[source] Box<KubeconfigError>),
    /// The certificate authority of the cluster cannot be read.
    #[error("the certificate authority of the kubeconfig's cluster is no certificate in PEM")]
    Authority(#[source] pem::Error),
    /// The proxy, which this setting names, cannot be used. A proxy's URL may hold a password, so it is not shown.
    #[error("{0} cannot be used: write http://, https:// or socks5:// with the host and port of the proxy")]
    Proxy(&'static str),
}

impl From<KubeconfigError> for ClusterError {
    fn from(error: KubeconfigError) -> Self {
        Self::NotFound(Box::new(error))
    }
}

/// What may be chosen in the kubeconfig instead of what it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The file to read instead of those of KUBECONFIG.
    pub file: Option<PathBuf>,
    /// The context to use instead of the current one.
    pub context: Option<String>,
    /// The cluster to use instead of that of the context.
    pub cluster: Option<String>,
    /// The user of the kubeconfig to use instead of that of the context.
    pub user: Option<String>,
    /// The user to impersonate, and the groups.
    pub impersonate: Option<String>,
    /// The groups to impersonate.
    pub impersonate_groups: Vec<String>,
}

impl Selection {
    /// Whether anything of a kubeconfig was chosen: then the service account of a pod is not what is meant.
    const fn is_explicit(&self) -> bool {
        self.file.is_some() || self.context.is_some() || self.cluster.is_some() || self.user.is_some()
    }
}

/// The cluster's address and our credentials for it. Whether the API server answers is not checked here.
pub fn cluster(selection: &Selection) -> Result<Config, ClusterError> {
    let mut config = match from_kubeconfig(selection) {
        Ok(config) => config,
        Err(ClusterError::NotFound(why)) if selection.is_explicit() => return Err(ClusterError::Unusable(why)),
        Err(why) if selection.is_explicit() => return Err(why),
        Err(why) => Config::incluster().map_err(|_| why)?,
    };
    if selection.impersonate.is_some() {
        config.auth_info.impersonate.clone_from(&selection.impersonate);
        config.auth_info.impersonate_groups = Some(selection.impersonate_groups.clone());
    }
    // kube's retry layer hides an unreachable API server for up to a quarter of an hour. We retry ourselves and report
    // it.
    config.default_retry = false;
    // kube sets no read timeout, so a list on a connection that died silently would hang for ever. A healthy watch ends
    // by itself within 225 s (`WatchTiming`), so this does not cut one off.
    config.read_timeout = Some(Duration::from_secs(240));
    config.reset_reader_on_write = true;
    Ok(config)
}

/// The cluster of the current context. kube's own loader is of no use here: it looks in NO_PROXY for the proxy instead of
/// the API server, and refuses entries that kubectl accepts.
fn from_kubeconfig(selection: &Selection) -> Result<Config, ClusterError> {
    let mut kubeconfig = match &selection.file {
        Some(file) => Kubeconfig::read_from(file)?,
        None => Kubeconfig::read()?,
    };
    let name = selection.context.clone().or_else(|| kubeconfig.current_context.take());
    let name = name.ok_or(KubeconfigError::CurrentContextNotSet)?;
    let context = kubeconfig.contexts.into_iter().find(|context| context.name == name);
    let mut context = context.and_then(|context| context.context).ok_or(KubeconfigError::LoadContext(name))?;
    if let Some(cluster) = &selection.cluster {
        context.cluster.clone_from(cluster);
    }
    context.user = selection.user.clone().or(context.user);
    let cluster = kubeconfig.clusters.into_iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.and_then(|cluster| cluster.cluster);
    let cluster = cluster.ok_or(KubeconfigError::LoadClusterOfContext(context.cluster))?;
    let user = kubeconfig.auth_infos.into_iter().find(|user| Some(&user.name) == context.user.as_ref());
    let mut user = user.and_then(|user| user.auth_info).unwrap_or_default();
    let known = ExecAuthCluster::try_from(&cluster)?;
    let authority = known.certificate_authority_data.as_deref().map(certificates).transpose()?;
    if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        exec.cluster = Some(known);
    }
    let url = cluster.server.ok_or(KubeconfigError::MissingClusterUrl)?;
    let url: Uri = url.parse().map_err(KubeconfigError::ParseClusterUrl)?;
    let own = cluster.proxy_url.filter(|url| !url.is_empty());
    let proxy_url = proxy(own.as_deref(), &url, |name| std::env::var(name).ok())?;
    let mut config = Config::new(url);
    config.proxy_url = proxy_url;
    config.default_namespace = context.namespace.unwrap_or(config.default_namespace);
    config.root_cert = authority;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name = cluster.tls_server_name;
    config.auth_info = user;
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, ClusterError> {
    let read = CertificateDer::pem_slice_iter(pem).map(|one| one.map(|one| one.to_vec()));
    let read: Vec<_> = read.collect::<Result<_, _>>().map_err(ClusterError::Authority)?;
    if read.is_empty() { Err(ClusterError::Authority(pem::Error::NoItemsFound)) } else { Ok(read) }
}

/// Where the API server is, in the words of messages: its URL, and the proxy on the way without the password that the
/// proxy's URL may hold.
pub fn whereabouts(config: &Config) -> String {
    let proxy = config.proxy_url.as_ref().and_then(Uri::authority).map(|authority| {
        let authority = authority.as_str();
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    });
    match proxy {
        Some(proxy) => format!("{} through the proxy {proxy}", config.cluster_url),
        None => config.cluster_url.to_string(),
    }
}

/// The proxy on the way to `cluster`, if there is one: `own`, the one of the kubeconfig, always; else the one of the
/// environment, unless NO_PROXY names the cluster or it is on this host.
fn proxy(
    own: Option<&str>,
    cluster: &Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Uri>, ClusterError> {
    if let Some(own) = own {
        return parse(own).map(Some).ok_or(ClusterError::Proxy("proxy-url of the kubeconfig"));
    }
    let either = |name: &str| {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        set(name).or_else(|| set(&name.to_lowercase()))
    };
    let name = if cluster.scheme_str() == Some("http") { "HTTP_PROXY" } else { "HTTPS_PROXY" };
    let Some(value) = either(name) else { return Ok(None) };
    if is_this_host(cluster) || exempts(&either("NO_PROXY").unwrap_or_default(), cluster) {
        return Ok(None);
    }
    parse(&value).map(Some).ok_or(ClusterError::Proxy(name))
}

/// A proxy's URL. Without a scheme it is an HTTP proxy. Names are always resolved by a SOCKS proxy.
fn parse(url: &str) -> Option<Uri> {
    let full = if url.contains("://") { url.replacen("socks5h://", "socks5://", 1) } else { format!("http://{url}") };
    let uri: Uri = full.parse().ok()?;
    matches!(uri.scheme_str(), Some("http" | "https" | "socks5")).then_some(uri)
}

fn is_this_host(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(own: Option<&str>, cluster: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable =
            |name: &str| variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned());
        let proxy = proxy(own, &cluster.parse().unwrap(), variable).map_err(|error| error.to_string())?;
        Ok(proxy.map(|uri| uri.to_string()))
    }

    #[test]
    fn the_proxy_is_the_one_that_kubectl_takes() {
        let through = |proxy: &str| Ok(Some(proxy.to_owned()));
        let (name, address) = ("https://api.corp.example:6443", "https://10.1.2.3:6443");
        let set = ("HTTPS_PROXY", "http://proxy.example:3128");
        assert_eq!(found(None, name, &[]), Ok(None));
        assert_eq!(found(None, name, &[set]), through("http://proxy.example:3128/"));
        assert_eq!(found(None, name, &[("https_proxy", "proxy.example:3128")]), through("http://proxy.example:3128/"));
        assert_eq!(found(None, name, &[("HTTPS_PROXY", ""), ("HTTP_PROXY", "http://x:1")]), Ok(None));
        assert_eq!(found(None, "http://10.1.2.3:80", &[("HTTP_PROXY", "http://x:1")]), through("http://x:1/"));
        assert_eq!(found(None, name, &[("HTTPS_PROXY", "socks5h://u:p@x:1")]), through("socks5://u:p@x:1/"));
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            assert_eq!(found(None, &format!("https://{host}:6443"), &[set]), Ok(None), "{host}");
        }
        for (no_proxy, exempts_name, exempts_address) in [
            ("", false, false),
            ("*", true, true),
            ("proxy.example", false, false),
            ("corp.example", true, false),
            (".corp.example, 10.0.0.0/8", true, true),
            ("10.1.2.3,other.example", false, true),
            ("example", true, false),
            ("xample", false, false),
            (",corp.example:6443,", true, false),
            ("10.1.2.3:443,corp.example:443", false, false),
        ] {
            for variable in ["NO_PROXY", "no_proxy"] {
                let set = [set, (variable, no_proxy)];
                assert_eq!(found(None, name, &set) == Ok(None), exempts_name, "{no_proxy}");
                assert_eq!(found(None, address, &set) == Ok(None), exempts_address, "{no_proxy}");
            }
        }
        let of_kubeconfig = found(Some("http://own:1"), name, &[set, ("NO_PROXY", "*")]);
        assert_eq!(of_kubeconfig, through("http://own:1/"), "it takes precedence over the environment");
    }

    #[test]
    fn messages_name_the_proxy_without_its_password() {
        let mut config = Config::new("https://api.corp.example:6443".parse().unwrap());
        assert_eq!(whereabouts(&config), "https://api.corp.example:6443/");
        config.proxy_url = Some("http://user:canary@proxy.example:3128".parse().unwrap());
        assert_eq!(whereabouts(&config), "https://api.corp.example:6443/ through the proxy proxy.example:3128");
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_password() {
        let wrong = "ftp://user:canary@proxy.example";
        let message = found(Some(wrong), "https://x", &[]).unwrap_err();
        assert!(message.starts_with("proxy-url of the kubeconfig") && !message.contains("canary"), "{message}");
        let message = found(None, "https://x", &[("HTTPS_PROXY", wrong)]).unwrap_err();
        assert!(message.starts_with("HTTPS_PROXY") && !message.contains("canary"), "{message}");
    }
}
