//! The streams of one HTTP/2 connection, as far as a GOAWAY must know them: which calls were begun, and the GOAWAY
//! frame itself.
//!
//! hyper can only send GOAWAY after it has served what arrived. Here the server sends it while calls are in flight and
//! says truthfully which of them it never looked at. The frame is written between frames of hyper.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

/// The streams of one connection.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    inner: Mutex<Inner>,
    /// Notified when there is something to write.
    pub wake: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// Open streams whose calls hyper has not handed over yet.
    opened: VecDeque<u32>,
    /// Calls in progress.
    begun: BTreeSet<u32>,
    /// The latest call that was begun and has ended.
    over: u32,
    /// The last stream in the GOAWAY, once it was sent.
    last: Option<u32>,
    unwritten: Vec<u8>,
}

/// One call of a connection. Over HTTP/1.1 the number means nothing.
pub(crate) struct Stream {
    streams: Arc<Streams>,
    id: u32,
}

impl Streams {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call that has just arrived: hyper hands them over in the order in which their streams were opened.
    pub(crate) fn arrive(self: &Arc<Self>) -> Stream {
        let id = self.inner().opened.pop_front().unwrap_or_default();
        Stream { streams: Arc::clone(self), id }
    }

    /// Sends GOAWAY: calls that were not begun yet never will be.
    pub(crate) fn go_away(&self) {
        let mut inner = self.inner();
        let last = inner.begun.last().copied().unwrap_or(0).max(inner.over);
        inner.say(last);
        drop(inner);
        self.wake.notify_one();
    }
}

impl Inner {
    fn say(&mut self, last: u32) {
        if self.last.is_none() {
            self.last = Some(last);
            // RFC 9113, 4.1 and 6.8: length 8, type 7, no flags, stream 0; the last stream, NO_ERROR.
            self.unwritten.extend([0, 0, 8, 7, 0, 0, 0, 0, 0]);
            self.unwritten.extend(last.to_be_bytes());
            self.unwritten.extend(0_u32.to_be_bytes());
        }
    }
}

impl Stream {
    /// Whether the call may be begun; not if the GOAWAY said that it is not processed.
    pub(crate) fn begin(&self) -> bool {
        let mut inner = self.streams.inner();
        let may = inner.last.is_none_or(|last| self.id <= last);
        if may {
            inner.begun.insert(self.id);
        }
        may
    }

    /// Sends GOAWAY with the stream before this call as the last. Returns whether it could: not if a later call was
    /// begun.
    pub(crate) fn go_away_before(&self) -> bool {
        let mut inner = self.streams.inner();
        inner.begun.remove(&self.id);
        let last = inner.begun.last().copied().unwrap_or(0).max(inner.over);
        inner.say(last);
        let before = inner.last.is_some_and(|last| last < self.id);
        drop(inner);
        self.streams.wake.notify_one();
        before
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut inner = self.streams.inner();
        if inner.begun.remove(&self.id) {
            inner.over = inner.over.max(self.id);
        }
    }
}

/// Parses the frames of a client for the streams that it opens, which hyper does not report.
#[derive(Debug)]
struct Frames {
    /// The number of bytes to skip: the preface, then the rest of a frame.
    skip: usize,
    /// The part of a frame header that has arrived.
    head: Vec<u8>,
    latest: u32,
}

/// The length of the preface of HTTP/2; `HEAD`, of a frame header.
const PREFACE: usize = 24;
const HEAD: usize = 9;
const HEADERS: u8 = 1;

impl Frames {
    /// Parses further bytes and calls `opened` for each new stream.
    fn read(&mut self, mut bytes: &[u8], mut opened: impl FnMut(u32)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            let missing = HEAD - self.head.len();
            let rest = bytes.get(skipped..).unwrap_or_default();
            let (head, after) = rest.split_at(missing.min(rest.len()));
            self.head.extend(head);
            bytes = after;
            let [a, b, c, kind, _, id @ ..] = self.head.as_slice() else { return };
            let Ok(id) = <[u8; 4]>::try_from(id) else { return };
            let id = u32::from_be_bytes(id) & (u32::MAX >> 1);
            // A second HEADERS of a stream are trailers.
            if *kind == HEADERS && id > self.latest {
                self.latest = id;
                opened(id);
            }
            self.skip = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            self.head.clear();
        }
    }
}

/// A connection into which frames can be inserted. hyper flushes only between two frames of its own.
pub(crate) struct Slipped<T> {
    io: T,
    streams: Arc<Streams>,
    /// `None` over HTTP/1.1.
    frames: Option<Frames>,
}

impl<T: AsyncWrite + Unpin> Slipped<T> {
    pub(crate) fn new(io: T, streams: Arc<Streams>, http2: bool) -> Self {
        let frames = http2.then(|| Frames { skip: PREFACE, head: Vec::with_capacity(HEAD), latest: 0 });
        Self { io, streams, frames }
    }

    /// Writes all frames that are to be inserted.
    fn poll_slip(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut inner = self.streams.inner();
            if inner.unwritten.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &inner.unwritten))?;
            inner.unwritten.drain(..written);
        }
    }

    /// Whether an inserted frame is partly written.
    fn is_slipping(&self) -> bool {
        let length = self.streams.inner().unwritten.len();
        length > 0 && length < GOAWAY
    }
}

/// The length of the frame.
const GOAWAY: usize = 17;

impl<T: AsyncRead + Unpin> AsyncRead for Slipped<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = &mut *self;
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if let Some(frames) = &mut this.frames {
            let bytes = buf.filled().get(before..).unwrap_or_default();
            frames.read(bytes, |stream| this.streams.inner().opened.push_back(stream));
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Slipped<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_slipping() {
            ready!(self.poll_slip(cx))?;
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_slipping() {
            ready!(self.poll_slip(cx))?;
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_slip(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_told_however_the_bytes_come() {
        let frame = |kind: u8, stream: u32, length: u8| {
            let mut bytes = vec![0, 0, length, kind, 0];
            bytes.extend(stream.to_be_bytes());
            bytes.extend(vec![7; length.into()]);
            bytes
        };
        // Settings, and two calls, of which the first has a body and trailers; stream 5 was abandoned before it was
        // opened.
        let bytes = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, 0, 12),
            frame(HEADERS, 1, 40),
            frame(HEADERS, 3, 0),
            frame(0, 1, 200),
            frame(HEADERS, 1, 5),
            frame(HEADERS, 7, 9),
        ]
        .concat();
        for size in [1, 2, 9, 10, 33, bytes.len()] {
            let mut frames = Frames { skip: PREFACE, head: Vec::new(), latest: 0 };
            let mut opened = Vec::new();
            bytes.chunks(size).for_each(|chunk| frames.read(chunk, |stream| opened.push(stream)));
            assert_eq!(opened, [1, 3, 7], "{size} at a time");
        }
    }
}
