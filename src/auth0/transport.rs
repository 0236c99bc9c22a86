//! Why a call got no response, or only a part of one. The texts are our own: those of the HTTP library contain the URL,
//! whose query can contain a user id.

use std::error::Error;
use std::io;

use rustls::CertificateError as Certificate;

use super::error::CallError;

/// Why a call got no response. `has_ca_bundle`: the tenant has its own CA bundle.
pub(super) fn no_answer(error: &reqwest::Error, has_ca_bundle: bool) -> CallError {
    if causes(error).filter_map(|cause| cause.downcast_ref()).any(is_unprocessed) {
        return CallError::NotProcessed;
    }
    // Connecting and the TLS handshake precede the first byte of a request.
    if error.is_connect() {
        return CallError::NotSent(not_connected(error, has_ca_bundle));
    }
    // hyper returns such a request unwritten. It was meant for a new connection; a request for a reused one is moved to
    // another connection by hyper itself.
    if causes(error).filter_map(|cause| cause.downcast_ref()).any(hyper::Error::is_canceled) {
        return CallError::NotSent("the connection was closed before the request was written");
    }
    if error.is_builder() {
        return CallError::NotSent("the request could not be made");
    }
    CallError::no_answer(if error.is_timeout() {
        "Auth0 did not answer in time"
    } else {
        "the connection to Auth0 broke off before an answer came"
    })
}

/// Why the body of a response is incomplete.
pub(super) fn broken_answer(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() { "the answer did not come to its end in time" } else { "the answer broke off" }
}

/// Whether the peer says that it did not process the request: a GOAWAY with a last stream before ours, or a refused
/// stream. h2 reports a GOAWAY only to the streams beyond its last one. The others continue, and fail with a connection
/// error if the connection closes.
fn is_unprocessed(error: &h2::Error) -> bool {
    let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (error.is_go_away() || is_refused)
}

fn not_connected(error: &reqwest::Error, has_ca_bundle: bool) -> &'static str {
    if let Some(why) = causes(error).find_map(|cause| not_through_proxy(&cause.to_string())) {
        return why;
    }
    if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref()) {
        return not_trusted(tls, has_ca_bundle);
    }
    if error.is_dns() {
        return "the domain's name could not be resolved; check spec.domain and the cluster's DNS";
    }
    if error.is_timeout() {
        return "no connection in time; may the operator reach the domain (NetworkPolicy, firewall, proxy)?";
    }
    match causes(error).filter_map(|cause| cause.downcast_ref()).last().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => {
            "the connection was refused; check spec.domain and its port, network policies and any proxy"
        }
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
            "no route to the domain; may the operator reach it (NetworkPolicy, firewall, proxy)?"
        }
        Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            "the connection was closed during the TLS handshake; a firewall or a proxy may be in between"
        }
        _ => "no connection could be made; check spec.domain, network policies and any proxy",
    }
}

/// Why the proxy on the way made no connection. hyper-util does not export the types of these errors, so their texts
/// have to tell them apart; none of them holds the proxy's URL, which may have a password.
fn not_through_proxy(text: &str) -> Option<&'static str> {
    let (kind, what) = text.split_once(" error: ").filter(|(kind, _)| ["tunnel", "SOCKS"].contains(kind))?;
    Some(match what {
        "proxy authorization required" => {
            "the proxy does not accept the operator's user and password (407); correct them in the URL of HTTPS_PROXY"
        }
        "failed to create underlying connection" => {
            "no connection to the proxy could be made; check the address in HTTPS_PROXY, and whether the operator may \
             reach it"
        }
        _ if kind == "SOCKS" => {
            "the SOCKS proxy of HTTPS_PROXY made no connection to the domain; check its user and password, and whether \
             it may reach the domain"
        }
        _ => {
            "the proxy of HTTPS_PROXY made no connection to the domain; check whether it lets the operator reach the \
             domain, and whether it can resolve the name"
        }
    })
}

/// Each TLS failure, with what to do about it.
#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is of another crate")]
fn not_trusted(error: &rustls::Error, has_ca_bundle: bool) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(certificate) => untrusted(certificate, has_ca_bundle),
        rustls::Error::InvalidMessage(_) => "what answers there does not speak TLS; check spec.domain and its port",
        rustls::Error::AlertReceived(_) => "the other side refused the TLS handshake; check spec.domain and any proxy",
        rustls::Error::PeerIncompatible(_) => "no version or cipher of TLS in common; the least is TLS 1.2",
        _ => "the TLS handshake failed; check spec.domain and any proxy in between",
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is of another crate")]
fn untrusted(certificate: &Certificate, has_ca_bundle: bool) -> &'static str {
    match certificate {
        Certificate::UnknownIssuer if has_ca_bundle => {
            "the TLS certificate is signed by an authority that is not in spec.caBundle; the bundle replaces the system's \
             authorities, so add the one that signs for this domain, or for a proxy that inspects TLS"
        }
        Certificate::UnknownIssuer => {
            "the TLS certificate is signed by an authority that is not trusted; if the domain, or a proxy that inspects \
             TLS, has a CA of its own, set spec.caBundle of the tenant"
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            "the TLS certificate is for another host name; check spec.domain, its DNS entry and any proxy"
        }
        Certificate::Expired | Certificate::ExpiredContext { .. } => {
            "the TLS certificate has expired; it must be renewed where it is used, or the node's clock is wrong"
        }
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            "the TLS certificate is not valid yet; check the node's clock"
        }
        Certificate::Revoked => "the TLS certificate was revoked; do not trust what answers there until it has another",
        Certificate::BadEncoding => "the TLS certificate cannot be read; it must be replaced where it is used",
        Certificate::BadSignature if has_ca_bundle => {
            "the TLS certificate is signed with another key than that of the authority of the same name in spec.caBundle; \
             was the authority replaced? Then put its new certificate there"
        }
        Certificate::BadSignature => "the signature of the TLS certificate is wrong; check what answers at the domain",
        Certificate::InvalidPurpose | Certificate::InvalidPurposeContext { .. } => {
            "the TLS certificate is not one for servers; it must be replaced where it is used"
        }
        _ => "the TLS certificate is not acceptable; a self-signed CA's own certificate, for one, is none for a server",
    }
}

/// The error and its causes. An `io::Error` does not return the error that it wraps as its source, so it is unwrapped
/// here.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}
