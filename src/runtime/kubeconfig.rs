//! Finds the cluster as kubectl does: the files of KUBECONFIG, else `~/.kube/config`, with its exec plugins and
//! proxies; without a kubeconfig, the service account of the pod.

use std::net::IpAddr;
use std::time::Duration;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use thiserror::Error;

/// Why there is no cluster to connect to. What to do: correct what the message names, then start again.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// There is neither a kubeconfig that can be used nor a service account.
    #[error("no cluster found: set KUBECONFIG, or run in a cluster with a service account")]
    NotFound(#[source] Box<KubeconfigError>),
    /// `NO_PROXY` cannot be read.
    #[error(
        "NO_PROXY cannot be read: write hosts, IP addresses or networks such as 10.0.0.0/8, with one comma between"
    )]
    NoProxy(#[source] Box<KubeconfigError>),
    /// The proxy, which this setting names, cannot be used. A proxy's URL may hold a password, so it is not shown.
    #[error("{0} cannot be used: write http://, https:// or socks5:// with the host and port of the proxy")]
    Proxy(&'static str),
}

impl From<KubeconfigError> for ClusterError {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the enum is of another crate")]
    fn from(error: KubeconfigError) -> Self {
        match error {
            KubeconfigError::ParseNoProxy(_) => Self::NoProxy(Box::new(error)),
            KubeconfigError::ParseProxyUrl(_) => Self::Proxy("the proxy (proxy-url of the kubeconfig, or HTTPS_PROXY)"),
            error => Self::NotFound(Box::new(error)),
        }
    }
}

/// The cluster's address and our credentials for it. Whether the API server answers is checked later (`startup.rs`).
pub async fn cluster() -> Result<Config, ClusterError> {
    let mut config = match from_kubeconfig().await {
        Ok(config) => config,
        Err(why) => Config::incluster().map_err(|_| why)?,
    };
    // kube's retry layer hides an unreachable API server for up to a quarter of an hour. We retry ourselves and report
    // it.
    config.default_retry = false;
    // kube sets no read timeout, so a list on a connection that died silently would hang for ever. A healthy watch ends
    // by itself within 225 s (`WatchTiming`), so this does not cut one off.
    config.read_timeout = Some(Duration::from_secs(240));
    config.reset_reader_on_write = true;
    Ok(config)
}

async fn from_kubeconfig() -> Result<Config, ClusterError> {
    let kubeconfig = Kubeconfig::read()?;
    let own = proxy_url(&kubeconfig);
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // kube looks in NO_PROXY for the proxy itself, not for the API server, so it cannot be left to kube.
    config.proxy_url = proxy(own.as_deref(), &config.cluster_url, |name| std::env::var(name).ok())?;
    Ok(config)
}

/// `proxy-url` of the cluster that the current context uses.
fn proxy_url(kubeconfig: &Kubeconfig) -> Option<String> {
    let current = kubeconfig.current_context.as_deref()?;
    let context = kubeconfig.contexts.iter().find(|context| context.name == current)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == context.cluster)?.cluster.as_ref()?;
    cluster.proxy_url.clone().filter(|url| !url.is_empty())
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
    let no_proxy = either("NO_PROXY").unwrap_or_default();
    // The matcher takes a star for all names, kubectl also for all addresses.
    let exempts_all = no_proxy.split(',').any(|entry| entry.trim() == "*");
    let matcher = Matcher::builder().all("http://proxy").no(no_proxy).build();
    if exempts_all || is_this_host(cluster) || matcher.intercept(cluster).is_none() {
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
    fn a_proxy_that_cannot_be_used_is_named_without_its_password() {
        let wrong = "ftp://user:canary@proxy.example";
        let message = found(Some(wrong), "https://x", &[]).unwrap_err();
        assert!(message.starts_with("proxy-url of the kubeconfig") && !message.contains("canary"), "{message}");
        let message = found(None, "https://x", &[("HTTPS_PROXY", wrong)]).unwrap_err();
        assert!(message.starts_with("HTTPS_PROXY") && !message.contains("canary"), "{message}");
    }
}
