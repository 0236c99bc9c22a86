//! Misbehaviour on demand: which calls a fault befalls, and what happens to them.
//!
//! A [`Fault`] is a matcher and a plan. The plan is four independent answers: how long does the call wait, does it
//! act, what is replied, in what shape does the reply arrive. `rules.rs` keeps the faults of a tenant, `pipeline.rs`
//! carries them out, `body.rs` does the shapes.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;

use crate::{
    answers::{HTML, JSON},
    endpoints::Kind,
    log::Call,
};

type Predicate = Arc<dyn Fn(&Call) -> bool + Send + Sync>;

/// Something that goes wrong with some calls; added by [`crate::FakeAuth0::fault`].
///
/// Of several faults that fit a call, the one added first befalls it.
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
    /// Only on so many items of the body.
    First(usize),
    Not,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Reply {
    /// What the call would be answered anyway.
    #[default]
    Natural,
    /// The usual answer of a status, see `answers::usual`.
    Status(StatusCode),
    /// This.
    Text { status: StatusCode, content_type: Option<&'static str>, body: Bytes },
    /// None: the connection is closed.
    Hangup,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    #[default]
    Whole,
    /// One byte, then a pause.
    Drip(Duration),
    /// The connection breaks in the middle of the body.
    Cut,
    /// Blanks before the body, without end when `None`.
    Padded(Option<u64>),
}

/// What goes wrong.
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

    /// A redirect (302) to this URL instead of acting.
    #[must_use]
    pub fn redirect(url: &str) -> Self {
        Self::status(302).header("location", url)
    }

    /// The connection is closed without acting.
    #[must_use]
    pub fn drop_connection() -> Self {
        Self::instead(Reply::Hangup)
    }

    /// The call is never answered: it waits without acting until it is released (the connection is then closed) or
    /// the client gives up.
    #[must_use]
    pub fn hang() -> Self {
        Self::drop_connection().held()
    }

    /// The call is held before acting until [`crate::FaultHandle::release`], then goes on as ever.
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

    /// The natural answer, one byte at a time with a pause after each.
    #[must_use]
    pub fn drip(pause: Duration) -> Self {
        Self::none().shape(Shape::Drip(pause))
    }

    /// The natural answer, broken off in the middle of its body.
    #[must_use]
    pub fn truncate() -> Self {
        Self::none().shape(Shape::Cut)
    }

    /// The natural answer behind a body that never ends.
    #[must_use]
    pub fn endless_body() -> Self {
        Self::none().shape(Shape::Padded(None))
    }

    /// The natural answer behind `bytes` of blanks, so that only its size is wrong.
    #[must_use]
    pub fn huge_body(bytes: u64) -> Self {
        Self::none().shape(Shape::Padded(Some(bytes)))
    }

    /// The natural answer after a delay.
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

    /// Replaces the body of the reply by JSON (or by whatever else calls itself JSON).
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    /// Replaces the body of the reply, still called JSON. Without a status, 200.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.text(Some(JSON), body.into())
    }

    fn text(mut self, content_type: Option<&'static str>, body: Bytes) -> Self {
        let status = match self.plan.reply {
            Reply::Status(status) | Reply::Text { status, .. } => status,
            Reply::Natural | Reply::Hangup => StatusCode::OK,
        };
        self.plan.reply = Reply::Text { status, content_type, body };
        self
    }

    /// Sets a header of the answer, replacing the natural one. Twice the same name makes a duplicate.
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

/// Whom it befalls. Without any of these: every call, for ever.
impl Fault {
    /// Only calls to this endpoint; several times for several endpoints.
    #[must_use]
    pub fn on(mut self, kind: Kind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Only the four removals.
    #[must_use]
    pub fn on_deletes(mut self) -> Self {
        self.kinds.extend(Kind::ALL.into_iter().filter(|kind| kind.is_delete()));
        self
    }

    /// Only reads of the Management API.
    #[must_use]
    pub fn on_reads(mut self) -> Self {
        self.kinds.extend(Kind::ALL.into_iter().filter(|kind| kind.is_read()));
        self
    }

    /// Only this method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only paths (as on the wire) that contain this.
    #[must_use]
    pub fn path_contains(self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.when(move |call| call.path.contains(&text))
    }

    /// Only calls whose body names this id or permission, see [`Call::names`].
    #[must_use]
    pub fn body_names(self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.when(move |call| call.names(&text))
    }

    /// Only calls about this user, in path or body.
    #[must_use]
    pub fn user(self, user: impl Into<String>) -> Self {
        let user = user.into();
        self.when(move |call| call.user.as_ref() == Some(&user) || call.names(&user))
    }

    /// Only calls of which this is true.
    #[must_use]
    pub fn when(mut self, predicate: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Self {
        self.predicates.push(Arc::new(predicate));
        self
    }

    /// Lets the first `calls` that fit pass.
    #[must_use]
    pub fn skip(mut self, calls: u64) -> Self {
        self.skip = calls;
        self
    }

    /// Only every n-th of the calls that fit (and were not skipped), beginning with the n-th.
    #[must_use]
    pub fn every(mut self, n: u64) -> Self {
        self.every = n;
        self
    }

    /// Only so many calls, then never again.
    #[must_use]
    pub fn times(mut self, calls: u64) -> Self {
        self.times = Some(calls);
        self
    }

    /// Only once.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    pub(crate) fn fits(&self, call: &Call) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&call.kind))
            && self.method.as_ref().is_none_or(|method| *method == call.method)
            && self.predicates.iter().all(|predicate| predicate(call))
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
