//! `NO_PROXY` as kubectl and other Go programs read it.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// Whether `no_proxy` exempts `url` from the proxy. Its entries are host names, which stand for their subdomains, too,
/// IP addresses and networks; a port after a name or an address limits the entry to it. Empty entries count for
/// nothing, and a star stands for everything.
pub fn exempts(no_proxy: &str, url: &Uri) -> bool {
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
    let hosts: Vec<&str> = no_proxy.split(',').filter_map(|entry| host(entry.trim(), port)).collect();
    // The matcher takes a star for all names, Go also for all addresses.
    hosts.contains(&"*") || Matcher::builder().all("http://proxy").no(hosts.join(",")).build().intercept(url).is_none()
}

/// What an entry says about `port`: a host, or nothing if the entry is for another port.
fn host(entry: &str, port: u16) -> Option<&str> {
    let host = match entry.rsplit_once(':') {
        // With more than one colon it is an IPv6 address, which has a port only after brackets.
        Some((host, wanted)) if !host.contains(':') || host.ends_with(']') => {
            (wanted.parse() == Ok(port)).then_some(host)?
        }
        _ => entry,
    };
    let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
    Some(host.trim_matches(['[', ']']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_mean_what_they_mean_to_kubectl() {
        let (name, address) = ("https://api.corp.example:6443", "https://10.1.2.3:6443");
        for (no_proxy, url, exempted) in [
            ("", name, false),
            (",", name, false),
            ("*", name, true),
            ("*", address, true),
            ("a.example,*", address, true),
            ("corp.example", name, true),
            ("CORP.example", name, true),
            (".corp.example", name, true),
            ("*.corp.example", name, true),
            ("example", name, true),
            ("xample", name, false),
            (",,corp.example,", name, true),
            ("corp.example:6443", name, true),
            ("corp.example:443", name, false),
            ("corp.example:443", "https://corp.example", true),
            ("corp.example:80", "http://corp.example", true),
            ("corp.example:", name, false),
            (":6443", name, false),
            ("10.0.0.0/8", address, true),
            ("10.0.0.0/8", name, false),
            ("10.1.2.3", address, true),
            ("10.1.2.3:6443", address, true),
            ("10.1.2.3:443", address, false),
            ("fd00::1", "https://[fd00::1]:6443", true),
            ("[fd00::1]:6443", "https://[fd00::1]:6443", true),
            ("[fd00::1]:443", "https://[fd00::1]:6443", false),
            ("fd00::/8", "https://[fd00::1]:6443", true),
        ] {
            assert_eq!(exempts(no_proxy, &url.parse().unwrap()), exempted, "{no_proxy:?} {url}");
        }
    }
}
