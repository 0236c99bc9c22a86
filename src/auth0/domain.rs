//! The domains of Auth0 tenants, and the patterns that limit which of them the operator may send credentials to.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The host name and port of a tenant, for example `acme.eu.auth0.com`. The port is 443 unless it is written out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain {
    host: String,
    port: u16,
}

/// The text is not a domain, or not a pattern of domains. It holds at most the first 80 characters of the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a bare lower-case host name such as acme.eu.auth0.com, optionally with :port")]
pub struct DomainError(String);

impl Domain {
    /// `host`, or `host:port` if the port is not 443, as users write it.
    pub fn authority(&self) -> String {
        if self.port == 443 { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Whether `other` has the same host, whatever the ports.
    pub(super) fn is_host_of(&self, other: &Self) -> bool {
        self.host == other.host
    }

    /// The audience of the tenant's Management API: `https://{domain}/api/v2/`, with the trailing slash.
    pub fn default_audience(&self) -> String {
        format!("https://{}/api/v2/", self.authority())
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let error = || DomainError(text.chars().take(80).collect());
        let (host, port) = split_port(text).ok_or_else(error)?;
        let mut labels = host.split('.').peekable();
        let valid = host.len() <= 253 && labels.all(is_label);
        // The last label must start with a letter, which rules out IPv4 addresses.
        let named = host.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_lowercase()));
        if valid && named { Ok(Self { host: host.to_owned(), port: port.unwrap_or(443) }) } else { Err(error()) }
    }
}

/// The patterns of `--allowed-domains`. A leading `*.` matches one or more labels; a port other than 443 must be
/// written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedDomains(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    any_labels: bool,
    host: String,
    port: u16,
}

impl AllowedDomains {
    /// Parses the patterns, trimming white space and skipping empty ones. The error names the first invalid pattern.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, DomainError> {
        patterns
            .into_iter()
            .map(str::trim)
            .filter(|p| !p.is_empty())
            .map(Pattern::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether the operator may send a credential to `domain`.
    pub fn allows(&self, domain: &Domain) -> bool {
        self.0.iter().any(|pattern| pattern.matches(domain))
    }
}

impl fmt::Display for AllowedDomains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, pattern) in self.0.iter().enumerate() {
            let star = if pattern.any_labels { "*." } else { "" };
            let domain = Domain { host: pattern.host.clone(), port: pattern.port };
            write!(f, "{}{star}{domain}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, DomainError> {
        let (any_labels, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let Domain { host, port } = rest.parse().map_err(|_| DomainError(text.chars().take(80).collect()))?;
        Ok(Self { any_labels, host, port })
    }

    fn matches(&self, domain: &Domain) -> bool {
        let host = if self.any_labels {
            domain.host.strip_suffix(&self.host).is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
        } else {
            domain.host == self.host
        };
        host && domain.port == self.port
    }
}

fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    match text.split_once(':') {
        None => Some((text, None)),
        Some((host, port)) if !port.starts_with(['0', '+']) => Some((host, Some(port.parse().ok()?))),
        Some(_) => None,
    }
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_host_names_are_domains() {
        for good in ["acme.eu.auth0.com", "localhost:8443", "a.b", "x1.auth0app.com"] {
            assert_eq!(good.parse::<Domain>().unwrap().to_string(), good);
        }
        assert_eq!("a.b:443".parse::<Domain>(), "a.b".parse());
        for bad in [
            "",
            "https://a.b",
            "a.b/",
            "user@a.b",
            "10.0.0.1",
            "[::1]",
            "A.b",
            "a.b.",
            ".a.b",
            "a..b",
            "a.b:0",
            "a.b:99999",
            "a.b:",
            "a.b:+1",
            "a_b.c",
            "-a.b",
            "bücher.example",
            "a b.c",
            "a.b?x",
            "*.a.b",
        ] {
            assert!(bad.parse::<Domain>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_star_stands_for_whole_labels() {
        let allowed = AllowedDomains::parse("*.auth0.com, localhost:8443 ,".split(',')).unwrap();
        let allows = |domain: &str| allowed.allows(&domain.parse().unwrap());
        assert!(allows("acme.auth0.com") && allows("acme.eu.auth0.com") && allows("localhost:8443"));
        for bad in ["auth0.com", "evilauth0.com", "acme.auth0.com.evil.example", "acme.auth0.com:444", "localhost"] {
            assert!(!allows(bad), "{bad}");
        }
        assert_eq!(allowed.to_string(), "*.auth0.com, localhost:8443");
        assert!(AllowedDomains::parse(["*"]).is_err() && AllowedDomains::parse(["a*.b"]).is_err());
    }
}
