//! What an object can have behind it, each made by the real code.

use std::time::Duration;

use rescind::api::{Mode, Policy, Reason};
use rescind::auth0::{CallError, Missing, Rejection};
use rescind::dispatch::{End, Report, Task, Unverified};

use super::object::{INTERVAL, Object, REMOVE, TenantIs, at, written};

/// A name, and an object that has this behind it. The situation, the policy and the modes come afterwards.
pub type State = (&'static str, Object);

fn unavailable() -> CallError {
    CallError::no_answer("the connection broke off")
}

fn left() -> End {
    End::Remaining(Object::removal().items)
}

fn failed(error: CallError) -> Object {
    let object = Object::new();
    let report = object.report(REMOVE, End::Failed(error));
    let key = object.key();
    Object { refused_with: Some(key), ..object.after(&report) }
}

pub fn accepted(end: End) -> Object {
    let object = Object::new();
    let report = object.accepted(end);
    object.after(&report)
}

fn with(change: impl FnOnce(&mut Object)) -> Object {
    let mut object = Object::new();
    change(&mut object);
    object
}

pub fn continuous(mut object: Object) -> Object {
    object.options.policy = Policy::Continuous;
    object
}

pub fn observing(mut object: Object) -> Object {
    object.options.mode = Mode::Observe;
    object
}

fn observed(object: Object) -> Object {
    let report = Report { seen: true, ..object.report(Task::Observe, left()) };
    object.after(&report)
}

fn twice_sent() -> Object {
    let object = accepted(left()).later(130);
    let again = object.accepted(left());
    object.after(&again)
}

/// An object that is `StillPresent` since a moment ago.
fn still_present() -> Object {
    let object = twice_sent().later(500);
    let read = Report { first_accepted_at: Some(at(0)), accepted_at: Some(at(130)), ..object.accepted(left()) };
    object.after(&read)
}

/// A finished object whose next check could not be made for so long that its status says so.
fn blind() -> Object {
    let mut object = continuous(accepted(End::Gone)).later(2 * INTERVAL + 1);
    object.check_at = object.now.steady.checked_sub(Duration::from_secs(INTERVAL + 1));
    Object { tenant: TenantIs::NotReady, ..object }.told()
}

fn came_back() -> Object {
    let object = continuous(accepted(End::Gone)).later(INTERVAL);
    let report = Report { seen: true, ..object.report(Task::Observe, left()) };
    object.after(&report)
}

fn finished() -> Vec<State> {
    let by_tenant = with(|object| object.tenant_mode = Mode::Observe);
    let gone = Report { seen: true, ..Object::new().report(REMOVE, End::NotFound(Missing::Subject)) };
    let old = with(|object| object.options.not_after = written(at(-61))).told();
    vec![
        ("`Removed`", accepted(End::Gone)),
        ("`AlreadyAbsent`", Object::new().after(&Object::new().report(REMOVE, End::Gone))),
        ("`SubjectGone`", Object::new().after(&gone)),
        ("`NotReplayed`", old),
        ("`RemovedUnverified`", accepted(End::Unverified(Unverified::Never))),
        ("`WouldRemove`, because of the object's mode", observed(observing(Object::new()))),
        ("`WouldRemove`, because of the tenant's mode", observed(by_tenant)),
    ]
}

fn stopped() -> Vec<State> {
    let missing = |missing| Object::new().after(&Object::new().report(REMOVE, End::NotFound(missing)));
    let expired = with(|object| object.options.not_after = written(at(-1))).told();
    vec![
        ("`Expired`", expired),
        ("`SubjectNotFound`", missing(Missing::Subject)),
        ("`ItemNotFound`", missing(Missing::Item)),
        ("`InvalidRequest`", failed(CallError::Rejected(Rejection::Body))),
        ("`Unauthorized`, ten minutes not over", failed(CallError::Unauthorized("401"))),
        ("`InsufficientScope`, ten minutes not over", failed(CallError::InsufficientScope("update:users".into()))),
        ("`Denied`, ten minutes not over", failed(CallError::Denied("403"))),
    ]
}

fn accepted_and_unproved() -> Vec<State> {
    vec![
        ("`Auth0Unavailable`, accepted before, its pause is over", accepted(End::Failed(unavailable())).later(2)),
        ("`AwaitingConsistency`, next read is due", accepted(left()).later(2)),
        ("`AwaitingConsistency` for two minutes, sent once", accepted(left()).later(130)),
        ("`AwaitingConsistency`, sent twice, next read is due", twice_sent().later(60)),
        ("`StillPresent`, next read is not due", still_present()),
        ("`StillPresent`, next read is due", still_present().later(INTERVAL + 1)),
    ]
}

fn waiting() -> Vec<State> {
    let limited = failed(CallError::RateLimited(Duration::from_secs(60)));
    let told = |change: fn(&mut Object)| with(change).told();
    vec![
        ("New", Object::new()),
        ("`UnknownField`", told(|object| object.options.unknown = vec!["spec.fromTheFuture".into()])),
        ("`Suspended`", told(|object| object.options.suspend = true)),
        ("`OnHold`", told(|object| object.tenant = TenantIs::OnHold)),
        ("`TenantNotReady`", told(|object| object.tenant = TenantIs::NotReady)),
        ("`NamespaceNotAllowed`", told(|object| object.tenant = TenantIs::NotAllowed)),
        ("`Scheduled`", told(|object| object.options.not_before = written(at(60)))),
        ("what a check found to be back", came_back()),
        ("`RateLimited`", limited),
        ("`Auth0Unavailable`, its pause is over", failed(unavailable()).later(3)),
        ("`Auth0Unavailable`, its pause is not over", failed(unavailable())),
        ("`TenantNotReady`, because a check could not be made for an interval", blind()),
    ]
}

/// Every state. All reasons that a removal can have are among them.
pub fn states() -> Vec<State> {
    let states = [waiting(), accepted_and_unproved(), stopped(), finished()].concat();
    for (name, object) in &states {
        let reason = object.status.as_ref().and_then(|status| status.reason_text());
        let expected = name.strip_prefix('`').and_then(|name| name.split('`').next());
        assert!(expected.is_none_or(|expected| reason == Some(expected)), "{name}: {reason:?}");
        assert!(reason.is_none_or(|reason| Reason::parse(reason).is_some()));
    }
    states
}
