//! One world from its beginning until nothing more may happen in it.

use std::time::Duration;

use fastrand::Rng;

use crate::auth0::Millis;
use crate::coverage::Coverage;
use crate::operator::Operator;
use crate::people::People;
use crate::plan::{Edit, Plan};
use crate::settled::Counts;
use crate::versions::Version;
use crate::wishes::LONGEST_INTERVAL;
use crate::world::World;

/// Within this time after the last fault, every object must have its verdict.
pub const VERDICTS: Millis = 5 * 3_600_000;
/// After that, nothing may be sent or written for this long, but for the checks of objects of policy Continuous.
const QUIET: Millis = 50 * 60_000;
/// Before that, each of these is looked at once more.
const CHECKED: Millis = LONGEST_INTERVAL * 12 / 10 + 120_000;
/// How often the silence may begin anew in a world in which two processes led at once.
const MOST_RESTARTS: u8 = 2;
/// The longest time without a look at the world.
const TICK: Millis = 60_000;

/// Lives through a world; returns what was violated and what happened.
pub async fn live(plan: Plan) -> (Vec<String>, Coverage) {
    let mut life = Life::new(plan);
    life.run().await;
    if !life.is_broken() {
        crate::again::live_again(&mut life).await;
    }
    life.operator.crash();
    let inner = life.world.inner();
    (inner.books.violations.clone(), inner.coverage.clone())
}

/// A world, its people, and the operator of the moment.
pub struct Life {
    pub world: std::sync::Arc<World>,
    people: People,
    /// Everything that happens by plan, the next last.
    agenda: Vec<(Millis, Deed)>,
    versions: std::array::IntoIter<Version, 3>,
    pub version: Version,
    pub operator: Operator,
    /// Processes that do not know yet that they lead no more, and when they end.
    before_ends: Vec<(Millis, Operator)>,
}

impl Life {
    fn new(plan: Plan) -> Self {
        let world = World::new(plan.clone(), None);
        let mut rng = Rng::with_seed(plan.seed ^ 0xabcd);
        let agenda = agenda(&plan, &mut rng);
        let people = People::new(world.clone(), rng);
        let mut versions = plan.versions.into_iter();
        let version = versions.next().unwrap_or(Version::THIS);
        let operator = Operator::start(&world, version);
        Self { world, people, agenda, versions, version, operator, before_ends: Vec::new() }
    }

    pub fn is_broken(&self) -> bool {
        !self.world.inner().books.violations.is_empty()
    }

    /// Lives on until the world has been silent for long enough.
    async fn run(&mut self) {
        let end = self.world.plan.calm + VERDICTS;
        let (mut since, mut restarts): (Option<(Millis, Counts)>, _) = (None, 0);
        // Whether all that is checked was looked at since the last change.
        let mut is_checked = false;
        while !self.is_broken() {
            let fed = self.happen();
            let now = self.world.now();
            if self.agenda.is_empty() && fed.is_none() {
                let counts = self.world.counts();
                match since {
                    None if self.world.unsettled(self.version).is_empty() => since = Some((now, counts)),
                    None => {}
                    Some((_, before)) if !is_checked && !before.is_silent(counts) && !counts.is_restless => {
                        since = None;
                    }
                    Some((at, _)) if !is_checked && (now >= at + CHECKED || !self.world.has_checks()) => {
                        (since, is_checked) = (Some((now, counts)), true);
                    }
                    Some((at, before)) if is_checked && now >= at + QUIET => {
                        // What did not rest may have come to rest.
                        if !before.is_silent(counts) && before.is_restless && !counts.is_restless {
                            (since, is_checked) = (None, false);
                            continue;
                        }
                        // What one process still waits for, the other may have brought to its end already.
                        if !before.is_silent(counts) && self.world.plan.overlap > 0 && restarts < MOST_RESTARTS {
                            (since, is_checked, restarts) = (None, false, restarts + 1);
                            continue;
                        }
                        self.check_silence(before, QUIET);
                        return;
                    }
                    Some(_) => {}
                }
                if now > end && !is_checked {
                    let unsettled = self.world.unsettled(self.version).join("; ");
                    self.world.violated(9, &format!("no verdict: {unsettled}"));
                }
            }
            self.wait(fed).await;
        }
    }

    /// Checks that nothing was sent or written since `before`, this long ago, but for checks.
    pub fn check_silence(&self, before: Counts, within: Millis) {
        let counts = self.world.counts();
        let kept = self.operator.remembers_in_vain();
        if !kept.is_empty() {
            self.world.violated(14, &format!("kept for ever: {kept:?}"));
        }
        let is_silent = before.is_silent(counts) && counts.calls <= before.calls + self.world.calls_of_checks(within);
        if !is_silent && !before.is_restless && !counts.is_restless {
            self.world.violated(9, &format!("not silent: {before:?} became {counts:?}"));
        }
    }

    /// Whatever happens by now happens. Returns when the caches receive the next change.
    fn happen(&mut self) -> Option<Millis> {
        let now = self.world.now();
        while self.agenda.last().is_some_and(|(at, _)| *at <= now) {
            match self.agenda.pop().unwrap().1 {
                Deed::Create(n) => self.people.create(n),
                Deed::Edit(edit) => self.people.edit(edit),
                Deed::Calm => self.people.calm(),
                Deed::Drift => self.people.drift(),
                Deed::Jump(seconds) => self.world.jump(seconds),
                Deed::NoticeJump => {
                    let old = self.before_ends.iter().map(|(_, old)| old);
                    old.chain([&self.operator]).for_each(Operator::follow_clock);
                }
                Deed::Crash => {
                    let next = self.versions.next().unwrap_or(Version::THIS);
                    let old = self.hand_over(next);
                    self.before_ends.push((now + self.world.plan.overlap, old));
                }
            }
            self.world.people_acted();
        }
        for (_, old) in self.before_ends.extract_if(.., |(ends, _)| *ends <= now) {
            old.crash();
        }
        let old = self.before_ends.iter_mut().flat_map(|(ends, old)| [Some(*ends), old.feed()]).flatten().min();
        [self.operator.feed(), old].into_iter().flatten().min()
    }

    /// Another process takes over; returns the one that led before.
    pub fn hand_over(&mut self, next: Version) -> Operator {
        self.world.inner().coverage.count("crash", "crash");
        self.world.crashes();
        let before = std::mem::replace(&mut self.version, next);
        if before.is_newer() != next.is_newer() {
            let what = if next.is_newer() { "upgrade" } else { "downgrade" };
            self.world.inner().coverage.count("crash", what);
        }
        std::mem::replace(&mut self.operator, Operator::start(&self.world, next))
    }

    /// Waits until something happens, or for a while.
    async fn wait(&self, fed: Option<Millis>) {
        let now = self.world.now();
        let next = self.agenda.last().map(|(at, _)| *at).into_iter().chain(fed).min().unwrap_or(now + TICK);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(next.max(now + 1) - now)) => {}
            () = self.world.news.notified() => return,
        }
        self.world.check_returns();
    }

    /// Lives on for a while in which nobody does anything.
    pub async fn live_on(&mut self, for_: Millis) {
        let end = self.world.now() + for_;
        while self.world.now() < end && !self.is_broken() {
            let fed = self.happen();
            self.wait(fed).await;
        }
    }
}

impl Counts {
    /// Whether nothing was removed or written since then.
    pub fn is_silent(self, now: Self) -> bool {
        (self.deletes, self.writes) == (now.deletes, now.writes)
    }
}

enum Deed {
    Create(usize),
    Edit(Edit),
    Crash,
    Jump(i64),
    NoticeJump,
    Calm,
    Drift,
}

/// Everything that happens by plan, the next last.
fn agenda(plan: &Plan, rng: &mut Rng) -> Vec<(Millis, Deed)> {
    let mut arrivals: Vec<(Millis, usize)> = (0..plan.objects).map(|n| (rng.u64(0..=plan.arrivals), n)).collect();
    arrivals.sort_unstable();
    let mut agenda: Vec<(Millis, Deed)> = arrivals.into_iter().map(|(at, n)| (at, Deed::Create(n))).collect();
    agenda.extend(plan.edits.iter().map(|(at, edit)| (*at, Deed::Edit(*edit))));
    agenda.extend(plan.crashes.iter().map(|at| (*at, Deed::Crash)));
    for (at, seconds) in &plan.jumps {
        agenda.push((*at, Deed::Jump(*seconds)));
        agenda.push((at + rng.u64(1..1000), Deed::NoticeJump));
    }
    agenda.push((plan.calm, Deed::Calm));
    agenda.push((plan.calm + rng.u64(5..25) * 60_000, Deed::Drift));
    agenda.sort_by_key(|(at, _)| *at);
    agenda.reverse();
    agenda
}
