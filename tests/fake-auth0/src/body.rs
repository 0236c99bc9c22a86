//! Bodies of answers: whole, byte by byte, cut off, or padded without end.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::{
    answers::{Answer, JSON},
    faults::Shape,
};

/// The body of an answer.
pub(crate) struct Out {
    /// The number of blanks still to come before the rest; `None` for blanks without end.
    blanks: Option<u64>,
    rest: Bytes,
    manner: Manner,
}

enum Manner {
    Whole,
    /// One byte after each pause.
    Drip(Pause),
    /// Breaks off after a pause and withholds this many bytes. Without the pause, over HTTP/2 the break would overtake
    /// the rest.
    Cut(Pause, usize),
}

struct Pause {
    length: Duration,
    end: Pin<Box<Sleep>>,
}

impl Pause {
    fn of(length: Duration) -> Self {
        Self { length, end: Box::pin(sleep(length)) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        std::task::ready!(self.end.as_mut().poll(cx));
        self.end.set(sleep(self.length));
        Poll::Ready(())
    }
}

const BEFORE_THE_CUT: Duration = Duration::from_millis(50);

static BLANKS: [u8; 64 * 1024] = [b' '; 64 * 1024];

impl Out {
    fn new(body: Bytes, shape: Shape) -> Self {
        let whole = Self { blanks: Some(0), rest: body, manner: Manner::Whole };
        match shape {
            Shape::Whole => whole,
            Shape::Drip(pause) => Self { manner: Manner::Drip(Pause::of(pause)), ..whole },
            Shape::Cut(after) => {
                let length = whole.rest.len();
                let withheld = length - after.unwrap_or(length / 2).min(length.saturating_sub(1));
                Self { manner: Manner::Cut(Pause::of(BEFORE_THE_CUT), withheld), ..whole }
            }
            Shape::Padded(blanks) => Self { blanks, ..whole },
        }
    }

    fn blank_frame(&mut self) -> Option<Bytes> {
        let size = match &mut self.blanks {
            None => BLANKS.len(),
            Some(left) => {
                let size = usize::try_from(*left).unwrap_or(usize::MAX).min(BLANKS.len());
                *left -= size as u64;
                size
            }
        };
        (size > 0).then(|| Bytes::from_static(BLANKS.get(..size).unwrap_or_default()))
    }
}

impl Body for Out {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if let Some(blanks) = this.blank_frame() {
            return Poll::Ready(Some(Ok(Frame::data(blanks))));
        }
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let part = match &mut this.manner {
            Manner::Whole => std::mem::take(&mut this.rest),
            Manner::Drip(pause) => {
                std::task::ready!(pause.poll(cx));
                this.rest.split_to(1)
            }
            Manner::Cut(_, withheld) if this.rest.len() > *withheld => this.rest.split_to(this.rest.len() - *withheld),
            Manner::Cut(pause, _) => {
                std::task::ready!(pause.poll(cx));
                return Poll::Ready(Some(Err(io::Error::other("cut off on purpose"))));
            }
        };
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.blanks == Some(0) && self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.blanks.map_or_else(SizeHint::default, |blanks| SizeHint::with_exact(blanks + self.rest.len() as u64))
    }
}

/// Puts an answer on the wire. `changes` are headers to set or, without a value, to leave out.
pub(crate) fn response(
    mut answer: Answer,
    shape: Shape,
    changes: &[(HeaderName, Option<HeaderValue>)],
    date: Option<HeaderValue>,
) -> Response<Out> {
    if shape != Shape::Whole && answer.body.is_empty() {
        // A 204 has no body that could misbehave.
        answer = Answer { status: StatusCode::OK, content_type: Some(JSON), body: lengthy(), ..answer };
    }
    let mut response = Response::new(Out::new(answer.body, shape));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.extend(date.map(|date| (header::DATE, date)));
    headers.extend(answer.content_type.map(|name| (header::CONTENT_TYPE, HeaderValue::from_static(name))));
    headers.extend(answer.headers);
    for (name, _) in changes {
        headers.remove(name);
    }
    for (name, value) in changes {
        if let Some(value) = value {
            headers.append(name, value.clone());
        }
    }
    response
}

/// JSON that takes a while to drip.
fn lengthy() -> Bytes {
    let mut body = vec![b' '; 1024];
    body.extend(b"{}");
    body.into()
}
