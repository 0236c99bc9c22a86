//! Faults as JSON, for the control API: the methods of [`Fault`] as data.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::{Fault, Kind};

/// A fault as JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FaultSpec {
    effect: Effect,
    /// Sets headers of the answer; `null` leaves one out.
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    /// Replaces the body: a text as it is, anything else as JSON.
    body: Option<Value>,
    /// Replaces fields of a JSON body.
    #[serde(default)]
    fields: BTreeMap<String, Value>,
    #[serde(default, rename = "match")]
    target: Target,
    skip: Option<u64>,
    every: Option<u64>,
    times: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Effect {
    None,
    Status(u16),
    Html(u16),
    Problem(ProblemSpec),
    PlanRefusal,
    FeatureRefusal,
    Redirect(String),
    DropConnection,
    RefuseStream,
    GoAway,
    Hang,
    Hold,
    HoldAnswer,
    ActThenDrop,
    ActThenHang,
    ActThenStatus(u16),
    ActOnFirst(usize),
    LostBody,
    DripMillis(u64),
    DelayMillis(u64),
    Truncate,
    CutAfter(usize),
    EndlessBody,
    HugeBody(u64),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProblemSpec {
    status: u16,
    error_code: Option<String>,
    message: String,
}

/// The calls that the fault applies to: those that satisfy every field.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Target {
    kinds: Vec<Kind>,
    method: Option<String>,
    path_contains: Option<String>,
    body_names: Option<String>,
    user: Option<String>,
    page: Option<u64>,
}

impl From<Effect> for Fault {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::None => Self::none(),
            Effect::Status(status) => Self::status(status),
            Effect::Html(status) => Self::html(status),
            Effect::Problem(spec) => Self::problem(spec.status, spec.error_code.as_deref(), &spec.message),
            Effect::PlanRefusal => Self::plan_refusal(),
            Effect::FeatureRefusal => Self::feature_refusal(),
            Effect::RefuseStream => Self::refuse_stream(),
            Effect::GoAway => Self::go_away(),
            Effect::CutAfter(bytes) => Self::cut_after(bytes),
            Effect::Redirect(url) => Self::redirect(&url),
            Effect::DropConnection => Self::drop_connection(),
            Effect::Hang => Self::hang(),
            Effect::Hold => Self::hold(),
            Effect::HoldAnswer => Self::hold_answer(),
            Effect::ActThenDrop => Self::act_then_drop(),
            Effect::ActThenHang => Self::act_then_hang(),
            Effect::ActThenStatus(status) => Self::act_then_status(status),
            Effect::ActOnFirst(items) => Self::act_on_first(items),
            Effect::LostBody => Self::lost_body(),
            Effect::DripMillis(pause) => Self::drip(Duration::from_millis(pause)),
            Effect::DelayMillis(delay) => Self::delay(Duration::from_millis(delay)),
            Effect::Truncate => Self::truncate(),
            Effect::EndlessBody => Self::endless_body(),
            Effect::HugeBody(bytes) => Self::huge_body(bytes),
        }
    }
}

impl TryFrom<FaultSpec> for Fault {
    type Error = http::Error;

    fn try_from(spec: FaultSpec) -> Result<Self, http::Error> {
        let mut fault = Self::from(spec.effect).skip(spec.skip.unwrap_or(0)).every(spec.every.unwrap_or(1));
        fault = match spec.body {
            None => fault,
            Some(Value::String(text)) => fault.body(text),
            Some(json) => fault.json(&json),
        };
        for (name, value) in spec.fields {
            fault = fault.field(&name, value);
        }
        for (name, value) in &spec.headers {
            fault = fault.try_header(name, value.as_deref())?;
        }
        if let Some(times) = spec.times {
            fault = fault.times(times);
        }
        Ok(spec.target.narrow(fault))
    }
}

impl Target {
    fn narrow(self, fault: Fault) -> Fault {
        let mut fault = self.kinds.into_iter().fold(fault, Fault::on);
        if let Some(method) = self.method.and_then(|name| Method::from_bytes(name.as_bytes()).ok()) {
            fault = fault.method(method);
        }
        if let Some(text) = self.path_contains {
            fault = fault.path_contains(text);
        }
        if let Some(text) = self.body_names {
            fault = fault.body_names(text);
        }
        if let Some(page) = self.page {
            fault = fault.page(page);
        }
        match self.user {
            Some(user) => fault.user(user),
            None => fault,
        }
    }
}
