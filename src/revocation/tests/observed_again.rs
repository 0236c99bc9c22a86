//! Objects that are observed again and again: each look counts what is there at that time.

use super::*;
use crate::api::Policy;

const ITEMS: usize = 3;

/// What an observation reports that shows these of three items.
fn observation(case: &Case, left: &[usize]) -> Report {
    let shown = |item: &&Item| left.iter().any(|n| role(*n) == **item);
    let (present, absent): (Vec<&Item>, Vec<&Item>) = case.removal.items.iter().partition(shown);
    let absent = absent.into_iter().cloned().collect();
    let end = if present.is_empty() { End::Gone } else { End::Remaining(present.into_iter().cloned().collect()) };
    Report { task: Task::Observe, already_absent: absent, seen: true, ..case.report(end) }
}

fn observed() -> Case {
    let mut object = case();
    object.removal.items = (0..ITEMS).map(role).collect();
    object.options.mode = Mode::Observe;
    object
}

/// Whatever earlier observations showed, and whether or not the process has started since.
#[test]
fn an_observation_counts_what_it_shows() {
    let looks = [&[0, 1][..], &[0], &[0, 1, 2], &[], &[2], &[1, 2]];
    for restarts in [false, true] {
        let mut object = observed();
        for left in looks {
            if restarts {
                object.restart();
            }
            object.apply_report(&observation(&object, left));
            let result = object.status.as_ref().unwrap().result.clone().unwrap();
            let counts = (result.requested, result.accepted, result.already_absent, result.remaining);
            let left = i32::try_from(left.len()).unwrap();
            assert_eq!(counts, (3, 0, 3 - left, left), "{restarts} {left:?}");
        }
    }
}

/// What Auth0 accepted before the mode changed stays accepted; what an observation shows does not become so.
#[test]
fn an_observation_accepts_nothing() {
    for restarts in [false, true] {
        let mut object = Case { options: RemovalOptions::default(), ..observed() };
        let partly = Report { accepted: vec![role(0)], ..object.accepted(End::Failed(unavailable())) };
        object.apply_report(&partly);
        object.options.mode = Mode::Observe;
        object.generation += 1;
        if restarts {
            object.restart();
        }
        object.apply_report(&observation(&object, &[1, 2]));
        let status = object.status.clone().unwrap();
        let result = status.result.clone().unwrap();
        assert_eq!((status.reason_text(), result.remaining), (Some("WouldRemove"), 2));
        assert_eq!(result.accepted + result.already_absent, 1, "{restarts}: {result:?}");
        assert!(status.last_removal_time.is_some());
        object.options.mode = Mode::Remove;
        object.generation += 1;
        let Decision::Submit { task, history, .. } = object.decide() else { panic!("{:?}", object.decide()) };
        assert!(matches!(task, Task::Remove { .. }) && !history.accepted.contains(&role(1)), "{history:?}");
    }
}

/// Promise 4: where lists lag, nothing that an observation shows spares a DELETE: neither when it decided, nor when the
/// mode changed before it did.
#[test]
fn an_observation_spares_no_delete() {
    for (accepted, is_edited, restarts) in [0, 1, 2].into_iter().flat_map(|accepted| {
        [(false, false), (false, true), (true, false), (true, true)]
            .map(|(edited, restarts)| (accepted, edited, restarts))
    }) {
        let mut object = Case { options: RemovalOptions::default(), ..observed() };
        object.removal.endpoint =
            Endpoint::OrganizationMemberRoles { organization: "org_9ybsU1dN2dKfDkBi".into(), user: "auth0|a".into() };
        object.options.policy = Policy::Continuous;
        if accepted > 0 {
            let accepted = (0..accepted).map(role).collect();
            let partly = Report { accepted, ..object.accepted(End::Failed(unavailable())) };
            object.apply_report(&partly);
        }
        object.options.mode = Mode::Observe;
        object.generation += 1;
        let gone = observation(&object, &[]);
        if is_edited {
            object.options.mode = Mode::Remove;
            let applied = object.with(|inputs| apply_report(inputs, object.generation, &gone));
            (object.status, object.items) = (Some(applied.status), applied.items);
        } else {
            object.apply_report(&gone);
            assert_eq!(object.status.as_ref().unwrap().finished.as_ref().unwrap().mode, Mode::Observe);
            object.options.mode = Mode::Remove;
        }
        object.generation += 1;
        object.options.suspend = true;
        object.status = object.shown();
        object.options.suspend = false;
        if restarts {
            object.restart();
        }
        let Decision::Submit { task, history, .. } = object.decide() else { panic!("{:?}", object.decide()) };
        let row = format!("{accepted} {is_edited} {restarts}: {task:?} {history:?}");
        assert!(matches!(task, Task::Remove { .. }) && history.absent.is_empty(), "{row}");
        assert!(history.accepted.len() <= accepted, "{row}");
    }
}
