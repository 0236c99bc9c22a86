//! One world from its beginning until nothing more may happen in it.

use std::time::Duration;

use fastrand::Rng;

use crate::auth0::Millis;
use crate::coverage::Coverage;
use crate::operator::Operator;
use crate::people::People;
use crate::plan::{Edit, Plan};
use crate::versions::Version;
use crate::world::World;

/// Within this time after the last fault, every object must have its verdict.
const VERDICTS: Millis = 3 * 3_600_000;
/// After that, nothing may be sent or written for this long.
const QUIET: Millis = 50 * 60_000;
/// How often the silence may begin anew in a world in which two processes led at once.
const MOST_RESTARTS: u8 = 2;

/// Lives through a world; returns what was violated and what happened.
pub async fn live(plan: Plan) -> (Vec<String>, Coverage) {
    let world = World::new(plan.clone(), None);
    let mut rng = Rng::with_seed(plan.seed ^ 0xabcd);
    let mut agenda = agenda(&plan, &mut rng);
    let mut people = People::new(world.clone(), rng);
    let mut versions = plan.versions.into_iter();
    let mut next = || versions.next().unwrap_or(Version::THIS);
    let mut version = next();
    let mut operator = Operator::start(&world, version);
    // Processes that do not know yet that they lead no more, and when they end.
    let mut before_ends: Vec<(Millis, Operator)> = Vec::new();
    let end = plan.calm + VERDICTS;
    let (mut quiet_since, mut restarts): (Option<(Millis, u64, u64)>, _) = (None, 0);
    loop {
        let now = world.now();
        while agenda.last().is_some_and(|(at, _)| *at <= now) {
            match agenda.pop().unwrap().1 {
                Deed::Create(n) => people.create(n),
                Deed::Edit(edit) => people.edit(edit),
                Deed::Calm => people.calm(),
                Deed::Crash => {
                    world.inner().coverage.count("crash", "crash");
                    world.crashes();
                    let before = std::mem::replace(&mut version, next());
                    if before.is_newer() != version.is_newer() {
                        let what = if version.is_newer() { "upgrade" } else { "downgrade" };
                        world.inner().coverage.count("crash", what);
                    }
                    let old = std::mem::replace(&mut operator, Operator::start(&world, version));
                    before_ends.push((now + plan.overlap, old));
                }
            }
        }
        for (_, old) in before_ends.extract_if(.., |(ends, _)| *ends <= now) {
            old.crash();
        }
        let old_fed = before_ends.iter_mut().flat_map(|(ends, old)| [Some(*ends), old.feed()]).flatten().min();
        let fed = [operator.feed(), old_fed].into_iter().flatten().min();
        if agenda.is_empty() && fed.is_none() {
            let counts = people.counts();
            match quiet_since {
                None if people.unsettled(version).is_empty() => quiet_since = Some((now, counts.0, counts.1)),
                None => {}
                Some((since, calls, writes)) if now >= since + QUIET => {
                    let kept = operator.remembers_in_vain();
                    if !kept.is_empty() {
                        world.violated(14, &format!("kept for ever: {kept:?}"));
                    }
                    // What one process still waits for, the other may have brought to its end already.
                    if counts != (calls, writes) && plan.overlap > 0 && restarts < MOST_RESTARTS {
                        (quiet_since, restarts) = (None, restarts + 1);
                        continue;
                    }
                    if counts != (calls, writes) && !people.has_late_looks() {
                        world.violated(9, &format!("not silent: {calls}, {writes} became {counts:?}"));
                    }
                    break;
                }
                Some(_) => {}
            }
            if now > end {
                let unsettled = people.unsettled(version).join("; ");
                world.violated(9, &format!("no verdict: {unsettled}"));
                break;
            }
        }
        let next = agenda.last().map(|(at, _)| *at).into_iter().chain(fed).min().unwrap_or(now + 60_000).max(now + 1);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(next - now)) => {}
            () = world.news.notified() => {}
        }
        if !world.inner().books.violations.is_empty() {
            break;
        }
    }
    operator.crash();
    let inner = world.inner();
    (inner.books.violations.clone(), inner.coverage.clone())
}

enum Deed {
    Create(usize),
    Edit(Edit),
    Crash,
    Calm,
}

/// Everything that happens by plan, the next last.
fn agenda(plan: &Plan, rng: &mut Rng) -> Vec<(Millis, Deed)> {
    let mut arrivals: Vec<(Millis, usize)> = (0..plan.objects).map(|n| (rng.u64(0..=plan.arrivals), n)).collect();
    arrivals.sort_unstable();
    let mut agenda: Vec<(Millis, Deed)> = arrivals.into_iter().map(|(at, n)| (at, Deed::Create(n))).collect();
    agenda.extend(plan.edits.iter().map(|(at, edit)| (*at, Deed::Edit(*edit))));
    agenda.extend(plan.crashes.iter().map(|at| (*at, Deed::Crash)));
    agenda.push((plan.calm, Deed::Calm));
    agenda.sort_by_key(|(at, _)| *at);
    agenda.reverse();
    agenda
}
