//! Answers that no API gives: redirects, bodies without an end, compressed ones.

use super::*;

/// A redirect decides nothing, and the credential is sent nowhere else.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (called, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let elsewhere = listen(move |stream| {
        let called = called.clone();
        Box::pin(async move {
            let _ = called.send(());
            drop(stream);
        })
    })
    .await;
    for status in [301, 302, 303, 307, 308] {
        let to = elsewhere.authority();
        let answer = format!("HTTP/1.1 {status} Elsewhere\r\nlocation: https://{to}/\r\ncontent-length: 0\r\n\r\n");
        let why = no_answer(remove(&client(&answering(answer.leak().as_bytes()).await, Some(&AUTHORITY))).await);
        assert_eq!(why.status, Some(status), "{why}");
    }
    assert!(calls.try_recv().is_err(), "the other host was called");
}

/// A body without an end is cut off before it fills the memory, and long before the timeout.
#[tokio::test]
async fn a_body_without_an_end_is_cut_off() {
    let endless = listen_tls(H1, |mut stream| {
        Box::pin(async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").await;
            while stream.write_all(&[b' '; 8192]).await.is_ok() {}
        })
    })
    .await;
    let why = no_answer(remove(&client(&endless, Some(&AUTHORITY))).await);
    assert_eq!((why.status, why.what), (Some(404), "the answer was larger than 1 MB"));
}

/// Nobody asked for a compressed answer, so it is not unpacked, however small it is.
#[tokio::test]
async fn a_compressed_answer_is_not_auth0s_own() {
    // The gzip of an empty object.
    let packed: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0, 0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0];
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
    let answer = [head.as_bytes(), packed].concat();
    let why = no_answer(remove(&client(&answering(answer.leak()).await, Some(&AUTHORITY))).await);
    assert_eq!(why.status, Some(200), "{why}");
}
