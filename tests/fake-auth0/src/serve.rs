//! Connections: accepting them, the TLS handshake, HTTP/1.1 or HTTP/2 as the client prefers, and breaking them.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    pipeline::{Connection, Open, handle},
    quirks::Network,
    streams::{Slipped, Streams},
    tenant::Tenant,
    tls::Tls,
};

/// A pause after a connection could not be accepted, mostly for lack of file descriptors.
pub(crate) const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(10);

/// Serves until dropped; all connections end with it.
pub(crate) async fn serve(listener: TcpListener, tenant: Arc<Tenant>, tls: &'static Tls) {
    let mut connections = JoinSet::new();
    let builder = Arc::new(builder());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                    continue;
                };
                let number = tenant.accepted.fetch_add(1, Relaxed) + 1;
                tenant.open.fetch_add(1, Relaxed);
                let open = Open(Arc::clone(&tenant));
                connections.spawn(receive(stream, number, open, tls, Arc::clone(&builder)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // The pipeline sets Date itself, by the tenant's own clock.
    builder.http1().auto_date_header(false).timer(TokioTimer::new());
    builder.http2().auto_date_header(false).timer(TokioTimer::new()).max_concurrent_streams(1000);
    builder
}

async fn receive(stream: TcpStream, number: u64, open: Open, tls: &'static Tls, builder: Arc<Builder<TokioExecutor>>) {
    let tenant = Arc::clone(&open.0);
    let (cut, streams) = (Arc::new(Notify::new()), Arc::new(Streams::default()));
    tenant.remember_streams(&streams);
    let connection =
        Connection { number, cut: Arc::clone(&cut), answered: Arc::default(), streams: Arc::clone(&streams) };
    let mut conversation = std::pin::pin!(converse(stream, connection, &tenant, tls, &builder));
    let mut all_cut = std::pin::pin!(tenant.cut.notified());
    loop {
        tokio::select! {
            () = &mut conversation => break,
            () = cut.notified() => break,
            () = &mut all_cut => break,
            // The next round polls the connection, which writes what is waiting.
            () = streams.wake.notified() => {}
        }
    }
    drop(open);
}

async fn converse(
    stream: TcpStream,
    connection: Connection,
    tenant: &Arc<Tenant>,
    tls: &'static Tls,
    builder: &Builder<TokioExecutor>,
) {
    let network = tenant.quirks().network;
    match network {
        Network::Closing => return,
        Network::Silent => return std::future::pending().await,
        Network::Up | Network::Untrusted | Network::WrongHost | Network::OneAnswer => {}
    }
    // Small answers must not be delayed; if this fails, they are only slower.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = TlsAcceptor::from(tls.config(network)).accept(stream).await else { return };
    let streams = Arc::clone(&connection.streams);
    let answered = Arc::clone(&connection.answered);
    let service = service_fn(|request| handle(Arc::clone(tenant), connection.clone(), streams.arrive(), request));
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = Slipped::new(stream, Arc::clone(&streams), http2);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            // Errors that end a connection concern no other connection.
            _ = &mut served => break,
            // The head of the answer is written in the same poll, so it says nothing about the end.
            () = answered.notified(), if network == Network::OneAnswer => served.as_mut().graceful_shutdown(),
        }
    }
}
