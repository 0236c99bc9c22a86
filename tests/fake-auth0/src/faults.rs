//! Faults on demand: which calls a fault applies to, and what happens to them.
//!
//! A [`Fault`] is a matcher and a plan. The plan has four independent parts: how long the call waits, whether it acts,
//! what the reply is, and in what form it arrives. The matcher is in `faults/matching.rs`; `rules.rs` keeps the faults
//! of a tenant, `pipeline.rs` carries them out, `body.rs` makes the forms.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    answers::{HTML, JSON},
    kinds::Kind,
    log::Call,
};

mod matching;

type Predicate = Arc<dyn Fn(&Call) -> bool + Send + Sync>;

/// A fault of some calls; added by [`crate::FakeAuth0::fault`].
///
/// Of several faults that match a call, the one added first applies.
#[derive(Clone, Default)]
pub struct Fault {
    kinds: Vec<Kind>,
    method: Option<Method>,
    predicates: Vec<Predicate>,
    pub(crate) skip: u64,
    pub(crate) every: u64,
    pub(crate) times: Option<u64>,
    pub(crate) plan: Plan,
}

/// What happens to a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub delay: Duration,
    pub hold: Hold,
    pub act: Act,
    pub reply: Reply,
    pub shape: Shape,
    /// Fields to set in the body if it is a JSON object.
    pub fields: Vec<(String, Value)>,
    /// Headers to set, or, without a value, to leave out. Several values of one name make duplicates.
    pub headers: Vec<(HeaderName, Option<HeaderValue>)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    #[default]
    No,
    BeforeActing,
    AfterActing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Act {
    #[default]
    Fully,
    /// Only on this many items of the body.
    First(usize),
    /// As if the body had not arrived.
    WithoutBody,
    Not,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Reply {
    /// The answer without the fault.
    #[default]
    Natural,
    /// The usual answer of a status, see `answers::usual`.
    Status(StatusCode),
    /// This.
    Text { status: StatusCode, content_type: Option<&'static str>, body: Bytes },
    /// No answer: the connection is closed.
    Hangup,
    /// No answer: the client is told that the call was not processed, by a reset of the stream or by a GOAWAY.
    Unprocessed { go_away: bool },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    #[default]
    Whole,
    /// One byte, then a pause.
    Drip(Duration),
    /// The connection breaks after this many bytes of the body; `None`: in its middle.
    Cut(Option<usize>),
    /// This many blanks before the body; `None`: without end.
    Padded(Option<u64>),
}

/// The kinds of faults.
impl Fault {
    /// Nothing by itself: a base for headers, delays and holds on otherwise normal answers.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    fn instead(reply: Reply) -> Self {
        Self { plan: Plan { act: Act::Not, reply, ..Plan::default() }, ..Self::default() }
    }

    /// This status instead of acting, with the body Auth0 would give it; see [`Fault::body`] for another.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::instead(Reply::Status(code(status)))
    }

    /// A page of HTML with this status instead of acting, as proxies and captive portals give.
    #[must_use]
    pub fn html(status: u16) -> Self {
        let page = format!("<!DOCTYPE html><html><head><title>{status}</title></head><body>{status}</body></html>");
        Self::instead(Reply::Text { status: code(status), content_type: Some(HTML), body: page.into() })
    }

    /// An error in Auth0's own shape instead of acting, with whatever code and message.
    #[must_use]
    pub fn problem(status: u16, error_code: Option<&str>, message: &str) -> Self {
        let status = code(status);
        let mut body = json!({
            "statusCode": status.as_u16(),
            "error": status.canonical_reason().unwrap_or("Error"),
            "message": message,
        });
        if let Some(code) = error_code {
            body["errorCode"] = code.into();
        }
        Self::status(status.as_u16()).json(&body)
    }

    /// 403 because the plan does not include this, worded as recorded for another endpoint. No scope helps.
    #[must_use]
    pub fn plan_refusal() -> Self {
        let message = "Please upgrade your subscription to use organizations";
        Self::problem(403, Some("insufficient_entitlement"), message)
    }

    /// 403 because the tenant lacks a feature, as documented for endpoints in early access. No scope helps.
    #[must_use]
    pub fn feature_refusal() -> Self {
        Self::problem(403, None, "This feature is not enabled for this tenant.")
    }

    /// A redirect (302) to this URL instead of acting.
    #[must_use]
    pub fn redirect(url: &str) -> Self {
        Self::status(302).header("location", url)
    }

    /// The connection is closed without acting, before any byte of an answer.
    #[must_use]
    pub fn drop_connection() -> Self {
        Self::instead(Reply::Hangup)
    }

    /// The call is not processed, and HTTP/2 says so: its stream is refused. Over HTTP/1.1, which cannot say so, the
    /// connection is closed.
    #[must_use]
    pub fn refuse_stream() -> Self {
        Self::instead(Reply::Unprocessed { go_away: false })
    }

    /// The call is not processed, and HTTP/2 says so: a GOAWAY whose last stream is the one before it. Calls of the
    /// connection that were begun are answered, later ones are not processed either. Over HTTP/1.1 the connection is
    /// closed. For a GOAWAY without a fault, see [`crate::FakeAuth0::go_away`].
    #[must_use]
    pub fn go_away() -> Self {
        Self::instead(Reply::Unprocessed { go_away: true })
    }

    /// The call is never answered: it waits without acting until it is released (the connection is then closed) or
    /// the client gives up.
    #[must_use]
    pub fn hang() -> Self {
        Self::drop_connection().held()
    }

    /// The call is held before it acts until [`crate::FaultHandle::release`], then goes on as usual.
    #[must_use]
    pub fn hold() -> Self {
        Self::none().held()
    }

    /// The call acts, then is held before it is answered.
    #[must_use]
    pub fn hold_answer() -> Self {
        Self { plan: Plan { hold: Hold::AfterActing, ..Plan::default() }, ..Self::default() }
    }

    /// The call acts, then the connection is closed.
    #[must_use]
    pub fn act_then_drop() -> Self {
        Self { plan: Plan { reply: Reply::Hangup, ..Plan::default() }, ..Self::default() }
    }

    /// The call acts, then is never answered (until released, then the connection is closed).
    #[must_use]
    pub fn act_then_hang() -> Self {
        let mut fault = Self::act_then_drop();
        fault.plan.hold = Hold::AfterActing;
        fault
    }

    /// The call acts, then is answered with this status.
    #[must_use]
    pub fn act_then_status(status: u16) -> Self {
        Self { plan: Plan { reply: Reply::Status(code(status)), ..Plan::default() }, ..Self::default() }
    }

    /// The call acts on the first `items` of its body only; to be followed by what is replied, e.g.
    /// `Fault::act_on_first(1).then_status(500)`.
    #[must_use]
    pub fn act_on_first(items: usize) -> Self {
        Self { plan: Plan { act: Act::First(items), ..Plan::default() }, ..Self::default() }
    }

    /// The usual answer to the call without its body, as behind a filter that drops the bodies of DELETEs.
    #[must_use]
    pub fn lost_body() -> Self {
        Self { plan: Plan { act: Act::WithoutBody, ..Plan::default() }, ..Self::default() }
    }

    /// The usual answer, one byte at a time with a pause after each.
    #[must_use]
    pub fn drip(pause: Duration) -> Self {
        Self::none().shape(Shape::Drip(pause))
    }

    /// The usual answer, broken off in the middle of its body.
    #[must_use]
    pub fn truncate() -> Self {
        Self::none().shape(Shape::Cut(None))
    }

    /// The usual answer, broken off after this many bytes of its body.
    #[must_use]
    pub fn cut_after(bytes: usize) -> Self {
        Self::none().shape(Shape::Cut(Some(bytes)))
    }

    /// The usual answer after blanks without end.
    #[must_use]
    pub fn endless_body() -> Self {
        Self::none().shape(Shape::Padded(None))
    }

    /// The usual answer after `bytes` blanks, so that only its size is wrong.
    #[must_use]
    pub fn huge_body(bytes: u64) -> Self {
        Self::none().shape(Shape::Padded(Some(bytes)))
    }

    /// The usual answer after a delay.
    #[must_use]
    pub fn delay(delay: Duration) -> Self {
        Self::none().delayed(delay)
    }

    /// Also waits this long before anything else.
    #[must_use]
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.plan.delay = delay;
        self
    }

    /// Also holds the call before it acts, until it is released.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.plan.hold = Hold::BeforeActing;
        self
    }

    /// Answers with this status, whether the call acted or not.
    #[must_use]
    pub fn then_status(mut self, status: u16) -> Self {
        self.plan.reply = Reply::Status(code(status));
        self
    }

    fn shape(mut self, shape: Shape) -> Self {
        self.plan.shape = shape;
        self
    }

    /// Replaces the body of the reply by this JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    /// Replaces the body of the reply and keeps the content type JSON. Without a status, 200.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.text(Some(JSON), body.into())
    }

    fn text(mut self, content_type: Option<&'static str>, body: Bytes) -> Self {
        let status = match self.plan.reply {
            Reply::Status(status) | Reply::Text { status, .. } => status,
            Reply::Natural | Reply::Hangup | Reply::Unprocessed { .. } => StatusCode::OK,
        };
        self.plan.reply = Reply::Text { status, content_type, body };
        self
    }

    /// Replaces one field of the JSON of the reply: for example a 404 of Auth0 whose `error` is an object.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.plan.fields.push((name.to_owned(), value));
        self
    }

    /// Sets a header of the answer instead of the usual one. The same name twice makes a duplicate.
    ///
    /// # Panics
    ///
    /// When HTTP cannot carry such a name or value.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.try_header(name, Some(value)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Leaves a header out of the answer.
    ///
    /// # Panics
    ///
    /// When HTTP cannot carry such a name.
    #[must_use]
    pub fn without_header(self, name: &str) -> Self {
        self.try_header(name, None).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_header(mut self, name: &str, value: Option<&str>) -> Result<Self, http::Error> {
        let header = HeaderName::try_from(name)?;
        let value = value.map(|value| HeaderValue::from_bytes(value.as_bytes())).transpose()?;
        self.plan.headers.push((header, value));
        Ok(self)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault").field("kinds", &self.kinds).field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// 500 for a number that is no status.
fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
