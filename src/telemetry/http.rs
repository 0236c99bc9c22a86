//! The probes `/healthz` and `/readyz`, and the HTTP server for them and for metrics. A probe that fails says why in
//! its body: `/readyz` what the operator waits for, `/healthz` what only a restart can help.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket};

use super::readiness::Readiness;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindAddress {
    /// On this port of every address that the host has, IPv4 and IPv6.
    Every(u16),
    /// On this one.
    One(SocketAddr),
}

impl From<SocketAddr> for BindAddress {
    fn from(address: SocketAddr) -> Self {
        Self::One(address)
    }
}

impl FromStr for BindAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.strip_prefix(':') {
            Some(port) => port.parse().ok().map(Self::Every),
            None => text.parse().ok().map(Self::One),
        };
        parsed.ok_or("use :8081 (every address), 127.0.0.1:8081 or [::1]:8081, or 0 to disable it")
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(port) => write!(f, ":{port}"),
            Self::One(address) => address.fmt(f),
        }
    }
}

impl BindAddress {
    async fn listen(self) -> io::Result<TcpListener> {
        match self {
            Self::Every(port) => listen_everywhere(port, TcpSocket::new_v6, TcpSocket::new_v4),
            Self::One(address) => TcpListener::bind(address).await,
        }
    }
}

/// One IPv6 socket serves IPv4 as well, whatever the host's default (`bindv6only`) is. A host without IPv6 gets an IPv4
/// socket. `v6` and `v4` open the sockets.
fn listen_everywhere(
    port: u16,
    v6: impl Fn() -> io::Result<TcpSocket>,
    v4: impl Fn() -> io::Result<TcpSocket>,
) -> io::Result<TcpListener> {
    let dual = v6().and_then(|socket| {
        set_ipv6_v6only(&socket, false)?;
        listen_on(socket, (Ipv6Addr::UNSPECIFIED, port).into())
    });
    match dual {
        Err(no_v6) if lacks_family(&no_v6) => match v4() {
            Err(no_v4) => Err(io::Error::other(format!("the host has neither IPv6 ({no_v6}) nor IPv4 ({no_v4})"))),
            Ok(socket) => listen_on(socket, (Ipv4Addr::UNSPECIFIED, port).into()),
        },
        listener => listener,
    }
}

fn listen_on(socket: TcpSocket, address: SocketAddr) -> io::Result<TcpListener> {
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether the host has no IPv6: not in the kernel, not on any interface, or not permitted.
fn lacks_family(error: &io::Error) -> bool {
    let lacking = [Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT, Errno::ADDRNOTAVAIL, Errno::NOPROTOOPT];
    lacking.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Binds `address`; the returned future serves `routes` until it is dropped. `what` names them in the log.
pub(crate) async fn serve(
    address: BindAddress,
    routes: Router,
    what: &'static str,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = address.listen().await?;
    tracing::info!(address = %listener.local_addr()?, "serving {what}");
    Ok(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::warn!("the server for {what} ended: {error}");
        }
    })
}

/// The routes of the two probes.
pub(crate) fn routes(readiness: Readiness) -> Router {
    let alive = readiness.clone();
    Router::new()
        .route("/healthz", get(move || std::future::ready(healthz(&alive))))
        .route("/readyz", get(move || std::future::ready(readyz(&readiness))))
}

fn healthz(readiness: &Readiness) -> (StatusCode, String) {
    match readiness.stuck().as_slice() {
        [] => (StatusCode::OK, "ok\n".to_owned()),
        stuck => (StatusCode::INTERNAL_SERVER_ERROR, lines(stuck)),
    }
}

fn readyz(readiness: &Readiness) -> (StatusCode, String) {
    match readiness.waiting_for().as_slice() {
        [] => {
            let text = ["ok".to_owned()].into_iter().chain(readiness.role_text()).chain(readiness.left_out());
            (StatusCode::OK, lines(&text.collect::<Vec<_>>()))
        }
        waiting => (StatusCode::SERVICE_UNAVAILABLE, lines(waiting)),
    }
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> io::Result<TcpSocket> {
        Err(Errno::AFNOSUPPORT.into())
    }

    #[tokio::test]
    async fn every_address_is_what_the_host_has() {
        // The host of this test may have no IPv6 itself.
        let hosts: &[&str] =
            if TcpListener::bind("[::1]:0").await.is_ok() { &["127.0.0.1", "[::1]"] } else { &["127.0.0.1"] };
        let listener = BindAddress::Every(0).listen().await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in hosts {
            assert!(tokio::net::TcpStream::connect(format!("{host}:{port}")).await.is_ok(), "{host}");
        }
        let taken = BindAddress::Every(port).listen().await.unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse, "this is no reason to do without IPv6");
        let v4 = listen_everywhere(0, refused, TcpSocket::new_v4).unwrap();
        assert!(v4.local_addr().unwrap().is_ipv4());
        if hosts.len() == 2 {
            let v6 = listen_everywhere(0, TcpSocket::new_v6, refused).unwrap();
            assert!(v6.local_addr().unwrap().is_ipv6());
        }
        let neither = listen_everywhere(0, refused, refused).unwrap_err().to_string();
        assert!(neither.starts_with("the host has neither IPv6 ("), "{neither}");
    }

    #[test]
    fn addresses_are_parsed_and_shown() {
        for (text, address) in [
            (":8081", BindAddress::Every(8081)),
            ("127.0.0.1:80", BindAddress::One(([127, 0, 0, 1], 80).into())),
            ("[::1]:80", BindAddress::One((Ipv6Addr::LOCALHOST, 80).into())),
        ] {
            assert_eq!(text.parse(), Ok(address));
            assert_eq!(address.to_string(), text);
        }
        for text in ["", "8081", ":", ":x", ":65536", "localhost:80", "::1:80"] {
            assert!(text.parse::<BindAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn liveness_fails_when_a_restart_would_help_and_only_then() {
        let readiness = Readiness::default();
        readiness.expect("the list of a", "the list");
        readiness.problem("the list of a", "no such kind");
        readiness.heartbeat("the list of a");
        assert_eq!(healthz(&readiness), (StatusCode::OK, "ok\n".to_owned()));
        assert_eq!(readyz(&readiness).0, StatusCode::SERVICE_UNAVAILABLE);
        readiness.ready("the list of a");
        readiness.age_heartbeat("the list of a");
        let (status, text) = healthz(&readiness);
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(text, "the list of a has not moved for 451 s\n");
        assert_eq!(readyz(&readiness).0, StatusCode::OK);
    }
}
