//! The client against servers that each do one thing wrong, over real TLS.

use std::sync::{Arc, LazyLock};

use futures::future::BoxFuture;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::auth0::Unavailable;

mod odd_answers;

type Stream = TlsStream<TcpStream>;
type Authority = CertifiedIssuer<'static, KeyPair>;

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| authority("ours"));
const H1: &[u8] = b"http/1.1";
const H2: &[u8] = b"h2";

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn config(authority: &Authority, protocol: &[u8], change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    change(&mut params);
    let leaf = params.signed_by(&key, authority).unwrap().der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![leaf], key).unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// A server that handles each connection with `each`. It ends with the runtime of the test.
async fn listen<F>(each: F) -> Domain
where
    F: Fn(TcpStream) -> BoxFuture<'static, ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    format!("localhost:{port}").parse().unwrap()
}

/// The same, behind a valid TLS handshake.
async fn listen_tls<F>(protocol: &'static [u8], each: F) -> Domain
where
    F: Fn(Stream) -> BoxFuture<'static, ()> + Send + Sync + 'static,
{
    let (acceptor, each) = (config(&AUTHORITY, protocol, |_| {}), Arc::new(each));
    listen(move |stream| {
        let (acceptor, each) = (acceptor.clone(), each.clone());
        Box::pin(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                each(stream).await;
            }
        })
    })
    .await
}

fn client(domain: &Domain, ca: Option<&Authority>) -> Client {
    let timeouts =
        Timeouts { connect: Duration::from_secs(2), read: Duration::from_secs(2), total: Duration::from_secs(5) };
    with(domain, ca, timeouts)
}

fn with(domain: &Domain, ca: Option<&Authority>, timeouts: Timeouts) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pem = ca.map(|ca| ca.pem());
    Client::new(domain, pem.as_deref().map(str::as_bytes), timeouts).unwrap()
}

async fn remove(client: &Client) -> Result<(), CallError> {
    let token = Token::read(b"e30.e30.token", "", crate::clock::wall()).unwrap();
    let endpoint = Endpoint::UserRoles { user: "auth0|canary".into() };
    client.remove(&token, &endpoint, &[Item::Id("rol_canary".into())], "rescind-1").await.outcome
}

fn not_sent(outcome: Result<(), CallError>) -> &'static str {
    match outcome {
        Err(CallError::NotSent(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn no_answer(outcome: Result<(), CallError>) -> Unavailable {
    match outcome {
        Err(CallError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Each TLS failure has its own text that says what to do, and counts as not sent.
#[tokio::test]
async fn each_cause_of_tls_has_its_own_words() {
    type Change = fn(&mut CertificateParams);
    let (stranger, namesake) = (authority("stranger"), authority("ours"));
    let ours = Some(&*AUTHORITY);
    let rows: [(&Authority, Change, Option<&Authority>, &str); 8] = [
        (&stranger, |_| {}, ours, "not in spec.caBundle"),
        (&namesake, |_| {}, ours, "replaced"),
        (&AUTHORITY, |_| {}, None, "set spec.caBundle"),
        (&AUTHORITY, |leaf| leaf.subject_alt_names.clear(), ours, "another host name"),
        (&AUTHORITY, |leaf| leaf.not_after = date_time_ymd(2020, 1, 1), ours, "has expired"),
        (&AUTHORITY, |leaf| leaf.not_before = date_time_ymd(2200, 1, 1), ours, "not valid yet"),
        (
            &AUTHORITY,
            |leaf| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            ours,
            "not one for servers",
        ),
        (&AUTHORITY, |leaf| leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), ours, "not acceptable"),
    ];
    for (signer, change, trusted, words) in rows {
        let acceptor = config(signer, H2, change);
        let domain = listen(move |stream| {
            let acceptor = acceptor.clone();
            Box::pin(async move { drop(acceptor.accept(stream).await) })
        })
        .await;
        let why = not_sent(remove(&client(&domain, trusted)).await);
        assert!(why.contains(words), "{words}: {why}");
    }
}

#[tokio::test]
async fn what_cannot_be_reached_was_not_sent() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused: Domain = format!("localhost:{free}").parse().unwrap();
    let closing = listen(|stream| Box::pin(async move { drop(stream) })).await;
    let plain = listen(|mut stream| {
        Box::pin(async move {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read(&mut [0; 1024]).await;
        })
    })
    .await;
    for (domain, words) in [(refused, "refused"), (closing, "during the TLS handshake"), (plain, "does not speak TLS")]
    {
        let why = not_sent(remove(&client(&domain, Some(&AUTHORITY))).await);
        assert!(why.contains(words), "{words}: {why}");
    }
    let silent = listen(|stream| {
        Box::pin(async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
    })
    .await;
    let timeouts = Timeouts { connect: Duration::from_millis(200), ..Timeouts::default() };
    let why = not_sent(remove(&with(&silent, Some(&AUTHORITY), timeouts)).await);
    assert!(why.contains("no connection in time"), "{why}");
}

/// Writes this and closes. It reads what still arrives, because unread bytes would reset the connection before the peer
/// has read everything.
async fn last_words(mut stream: Stream, words: &[u8]) {
    let _ = stream.write_all(words).await;
    let _ = stream.shutdown().await;
    while stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
}

/// An HTTP/1.1 server that reads the head of a request, writes this, and closes.
async fn answering(answer: &'static [u8]) -> Domain {
    listen_tls(H1, move |mut stream| {
        Box::pin(async move {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap_or(0) > 0 {}
            last_words(stream, answer).await;
        })
    })
    .await
}

#[tokio::test]
async fn half_an_answer_is_none_but_for_a_429() {
    let own: &[u8] = br#"{"statusCode":404,"errorCode":"inexistent_user"}"#;
    let rows: [(&[u8], Option<u16>); 4] = [
        (b"", None),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 400\r\n\r\n{\"statusCode\":404}", Some(404)),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{", Some(200)),
        (b"HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{", Some(401)),
    ];
    for (answer, status) in rows {
        let why = no_answer(remove(&client(&answering(answer).await, Some(&AUTHORITY))).await);
        assert_eq!(why.status, status, "{why}");
    }
    let limited = answering(b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 400\r\n\r\n<html>").await;
    match remove(&client(&limited, Some(&AUTHORITY))).await {
        Err(CallError::RateLimited(wait)) => assert!((7..=8).contains(&wait.as_secs()), "{wait:?}"),
        other => panic!("{other:?}"),
    }
    let whole = [b"HTTP/1.1 404 Not Found\r\ncontent-length: 48\r\n\r\n", own].concat();
    let missing = remove(&client(&answering(whole.leak()).await, Some(&AUTHORITY))).await;
    assert_eq!(missing, Err(CallError::NotFound(crate::auth0::Missing::Subject)));
    let portal =
        answering(b"HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(no_answer(remove(&client(&portal, Some(&AUTHORITY))).await).status, Some(200));
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    flagged(kind, 0, stream, payload)
}

fn flagged(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn goaway(last_stream: u32, reason: h2::Reason) -> Vec<u8> {
    frame(GOAWAY, 0, &[last_stream.to_be_bytes(), u32::from(reason).to_be_bytes()].concat())
}

fn reset(reason: h2::Reason) -> Vec<u8> {
    frame(RST_STREAM, 1, &u32::from(reason).to_be_bytes())
}

/// Performs the server's part of the HTTP/2 handshake, and reads up to the end of a request's headers.
async fn read_headers(stream: &mut Stream) {
    let _ = stream.write_all(&frame(SETTINGS, 0, &[])).await;
    let _ = stream.read_exact(&mut [0; 24]).await;
    while next_frame(stream).await.is_some_and(|(kind, _)| kind != HEADERS) {}
}

async fn next_frame(stream: &mut Stream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], payload))
}

/// An HTTP/2 server that reads a request's headers, writes these frames, and closes.
async fn framing(frames: Vec<u8>) -> Domain {
    listen_tls(H2, move |mut stream| {
        let frames = frames.clone();
        Box::pin(async move {
            read_headers(&mut stream).await;
            last_words(stream, &frames).await;
        })
    })
    .await
}

/// A dead connection is noticed even while no call uses it.
#[tokio::test]
async fn an_idle_connection_is_asked_whether_it_is_there() {
    let (heard, mut pings) = tokio::sync::mpsc::unbounded_channel();
    let domain = listen_tls(H2, move |mut stream| {
        let heard = heard.clone();
        Box::pin(async move {
            read_headers(&mut stream).await;
            // 0x89 is the status 204 in the static table; the flags end the headers and the stream.
            let _ = stream.write_all(&flagged(HEADERS, 0x5, 1, &[0x89])).await;
            while let Some((kind, payload)) = next_frame(&mut stream).await {
                if kind == PING {
                    let _ = heard.send(());
                    let _ = stream.write_all(&flagged(PING, 0x1, 0, &payload)).await;
                }
            }
        })
    })
    .await;
    let pem = AUTHORITY.pem();
    let often = Duration::from_millis(20);
    let client = Client::build(&domain, Some(pem.as_bytes()), Timeouts::default(), often).unwrap();
    assert_eq!(remove(&client).await, Ok(()));
    while pings.try_recv().is_ok() {}
    tokio::time::timeout(Duration::from_secs(20), pings.recv()).await.unwrap().unwrap();
}

/// A request counts as not processed only if the peer's frame covers its stream.
#[tokio::test]
async fn what_the_peer_did_not_process_is_told_apart() {
    use h2::Reason;
    let graceful = [goaway(0x7fff_ffff, Reason::NO_ERROR), goaway(0, Reason::NO_ERROR)].concat();
    for frames in
        [goaway(0, Reason::NO_ERROR), goaway(0, Reason::ENHANCE_YOUR_CALM), graceful, reset(Reason::REFUSED_STREAM)]
    {
        let outcome = remove(&client(&framing(frames.clone()).await, Some(&AUTHORITY))).await;
        assert_eq!(outcome, Err(CallError::NotProcessed), "{frames:?}");
    }
    for frames in [
        Vec::new(),
        goaway(1, Reason::NO_ERROR),
        goaway(1, Reason::INTERNAL_ERROR),
        goaway(0x7fff_ffff, Reason::NO_ERROR),
        reset(Reason::CANCEL),
        reset(Reason::INTERNAL_ERROR),
    ] {
        let why = no_answer(remove(&client(&framing(frames.clone()).await, Some(&AUTHORITY))).await);
        assert_eq!(why.status, None, "{frames:?}");
    }
}

/// As many calls at once as the dispatcher ever has in flight, over one connection and over many.
#[tokio::test]
async fn sixty_four_calls_are_in_flight_at_once() {
    let h2 = {
        let all = Arc::new(Barrier::new(64));
        listen_tls(H2, move |stream| {
            let all = all.clone();
            Box::pin(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let all = all.clone();
                    tokio::spawn(async move {
                        all.wait().await;
                        let _ = respond.send_response(http::Response::builder().status(204).body(()).unwrap(), true);
                    });
                }
            })
        })
        .await
    };
    let h1 = {
        let all = Arc::new(Barrier::new(64));
        listen_tls(H1, move |mut stream| {
            let all = all.clone();
            Box::pin(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                all.wait().await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                let _ = stream.shutdown().await;
            })
        })
        .await
    };
    for domain in [h2, h1] {
        let client = with(&domain, Some(&AUTHORITY), Timeouts::default());
        let outcomes = futures::future::join_all((0..64).map(|_| remove(&client))).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
}

/// What is shown of a failed call contains no ids.
#[tokio::test]
async fn errors_hold_no_ids() {
    let domain = framing(reset(h2::Reason::CANCEL)).await;
    let error = remove(&client(&domain, Some(&AUTHORITY))).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}

#[test]
fn a_bundle_without_a_certificate_is_refused() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let domain: Domain = "localhost:1".parse().unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for pem in ["", "no PEM", broken] {
        let client = Client::new(&domain, Some(pem.as_bytes()), Timeouts::default());
        assert_eq!(client.map(drop).unwrap_err(), ClientError::CaBundle, "{pem:?}");
    }
}
