//! Everything that a decision rests on, as plain data, so that a test can make any decision.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::api::{Mode, Policy, Reason, RemovalOptions, RemovalStatus, Verification};
use crate::auth0::{Domain, Question};
use crate::clock;
use crate::dispatch::{ConnectionKey, KnownFacts, Refusal, Removal, Task, View};
use crate::tenant::TenantState;

use super::finished::{Modes, is_finished, target};
use super::history::{Known, Past, concerns};
use super::items::Items;
use super::refusals::Refused;
use super::schedule::until;

/// `notAfter` itself is not past it.
const AFTER_THE_END: Duration = Duration::from_millis(1);

/// One object, what is known of it, and its surroundings at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// `metadata.generation`.
    pub generation: i64,
    /// What the spec names: an endpoint and the items that must be absent there.
    pub removal: &'a Removal,
    /// The fields of the spec that all kinds share.
    pub options: &'a RemovalOptions,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// The status that the object would have if everything known had been written.
    pub status: Option<&'a RemovalStatus>,
    /// What this process has learnt item by item; a status holds only counts.
    pub items: &'a Items,
    /// The tenant that `spec.tenantRef` points to.
    pub tenant: Tenant<'a>,
    /// What Auth0 last refused to objects of this kind with the same connection.
    pub refusal: Option<&'a Refused>,
    /// The connection with which Auth0 last refused a call of this object since this process started.
    pub refused_with: Option<ConnectionKey>,
    /// The job of this object is the probe that finds out whether Auth0 still refuses.
    pub is_probe: bool,
    /// The connection of the last job since this process started.
    pub submitted_with: Option<ConnectionKey>,
    /// The domain of that connection.
    pub submitted_to: Option<&'a Domain>,
    /// The request that was pending when the last job was submitted.
    pub submitted_for: Option<&'a str>,
    /// What was learned with the connection of the tenant.
    pub facts: &'a KnownFacts,
    /// Since when the object has been learning what it needs for its next job.
    pub learning_since: Option<Instant>,
    /// What the dispatcher says of the job.
    pub view: &'a View,
    /// The value of the annotation `rescind.dev/reconcile-requested-at`, as long as the status does not answer it. It
    /// asks for one retry, or for a proof if the removal could not be verified.
    pub request: Option<&'a str>,
    /// Why the preflight check refused the last call although no other input speaks against it, and how often in a row.
    pub handed_back: Option<(Refusal, u32)>,
    /// Failures in a row, whatever the status said in between.
    pub failures: Option<Failures>,
    /// The earliest time at which to submit the next job.
    pub not_before: Option<Instant>,
    /// When to look again at what a finished object of policy Continuous names.
    pub check_at: Option<Instant>,
    /// The time.
    pub now: Now,
    /// A random number in 0..1 that spreads pauses.
    pub jitter: f64,
}

/// Failures in a row for one reason, while the spec did not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// `metadata.generation` at that time.
    pub generation: i64,
    /// The reason of each of them.
    pub reason: Reason,
    /// How many.
    pub count: i32,
}

/// One moment, read from both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The wall clock, which statuses and Auth0 use.
    pub wall: Timestamp,
    /// The monotonic clock.
    pub steady: Instant,
}

impl Now {
    /// The present.
    pub fn read() -> Self {
        Self { wall: clock::wall(), steady: clock::steady() }
    }

    /// What the wall clock shows at `at`.
    pub(super) fn wall_at(&self, at: Instant) -> Timestamp {
        match at.checked_duration_since(self.steady) {
            Some(later) => self.wall + later,
            None => self.wall - self.steady.saturating_duration_since(at),
        }
    }

    /// How long ago `at` was; zero if it is in the future.
    pub(super) fn since(&self, at: Instant) -> Duration {
        self.steady.saturating_duration_since(at)
    }
}

/// What a removal needs to know of its tenant.
#[derive(Clone, Copy, Debug)]
pub enum Tenant<'a> {
    /// There is no tenant object of that name.
    Missing,
    /// It does not let this object use it, as the text explains to users.
    NotAllowed(&'a str),
    /// Its `spec.suspend` is true.
    Suspended,
    /// Its `spec.hold` is in force.
    OnHold {
        /// Until when.
        until: Timestamp,
        /// Why, as its owner wrote it.
        why: &'a str,
    },
    /// It cannot be used.
    NotReady {
        /// The reason of its condition `Ready`.
        reason: Reason,
        /// The explanation for users.
        message: &'a str,
    },
    /// It can be used.
    Ready {
        /// Identifies the connection: domain, CA bundle and credential.
        key: ConnectionKey,
        /// Where calls go.
        domain: &'a Domain,
        /// Which reads accompany a removal.
        verification: Verification,
        /// Whether removals only say what they would remove.
        mode: Mode,
        /// What of the removal the tenant protects, so that nothing of it may be removed.
        protected: Option<&'a str>,
        /// Why the tenant's brake keeps the removal from being sent, if it does.
        brake: Option<&'a str>,
        /// What its guards have to know before something is removed, and how old that may be.
        questions: &'a [(Question, Duration)],
        /// The scopes of the token, if they are known.
        scopes: Option<&'a [String]>,
    },
}

impl<'a> From<&'a TenantState> for Tenant<'a> {
    fn from(state: &'a TenantState) -> Self {
        match state {
            TenantState::Missing => Self::Missing,
            TenantState::NotAllowed(why) => Self::NotAllowed(why),
            TenantState::Suspended => Self::Suspended,
            TenantState::OnHold { until, why } => Self::OnHold { until: *until, why },
            TenantState::NotReady(error) => Self::NotReady { reason: error.reason, message: &error.message },
            TenantState::Ready { connection, verification, mode, protected, brake, questions, scopes } => Self::Ready {
                key: connection.key,
                domain: &connection.domain,
                verification: *verification,
                mode: *mode,
                protected: protected.as_deref(),
                brake: brake.as_deref(),
                questions,
                scopes: scopes.as_deref(),
            },
        }
    }
}

impl Inputs<'_> {
    /// The reason that the status gives for this generation, if this version knows it.
    pub(super) fn reason(&self) -> Option<Reason> {
        self.status.and_then(|status| status.reason_at(self.generation))
    }

    /// The message of the status, if its reason is this one.
    pub(super) fn message_of(&self, reason: Reason) -> Option<&str> {
        self.status.filter(|_| self.reason() == Some(reason)).map(RemovalStatus::message)
    }

    /// The reason, if the status is about the domain where calls would go now. What one domain does not know, another may.
    pub(super) fn reason_here(&self) -> Option<Reason> {
        self.reason().filter(|_| self.status.is_some_and(|status| concerns(status, self.domain())))
    }

    /// Whether the status is about another domain than that where calls would go now, or the verdict on another target.
    pub(super) fn is_elsewhere(&self) -> bool {
        let is_other = |status: &RemovalStatus| {
            let of_target = status.finished.as_ref().is_some_and(|finished| finished.target != self.target());
            of_target || !concerns(status, self.domain())
        };
        self.status.is_some_and(is_other)
    }

    /// Where calls would go now, if the tenant can be used.
    pub(super) fn domain(&self) -> Option<&Domain> {
        if let Tenant::Ready { domain, .. } = self.tenant { Some(domain) } else { None }
    }

    /// Which reads accompany a removal: the object can ask for more than its tenant.
    pub(super) fn verification(&self) -> Verification {
        let of_tenant = if let Tenant::Ready { verification, .. } = self.tenant { Some(verification) } else { None };
        of_tenant.unwrap_or_default().max(self.options.verification.unwrap_or(Verification::Never))
    }

    pub(super) fn modes(&self) -> Modes {
        let tenant = if let Tenant::Ready { mode, .. } = self.tenant { Some(mode) } else { None };
        Modes { own: self.options.mode, tenant }
    }

    /// Whether the object has to say what it would remove, and may not remove it.
    pub(super) fn is_observed(&self) -> bool {
        self.modes().in_force() == Mode::Observe
    }

    /// Whether the mode, the times and the guards of the tenant let a DELETE be sent, as the preflight check asks them
    /// again.
    pub(super) fn may_remove(&self) -> bool {
        let is_guarded =
            matches!(self.tenant, Tenant::Ready { protected: Some(_), .. } | Tenant::Ready { brake: Some(_), .. });
        let (options, now) = (self.options, self.now.wall);
        !self.is_observed() && !is_guarded && options.scheduled_for(now).is_none() && !options.has_ended(now)
    }

    /// Whether nothing is left to do for the object, but for checks.
    pub(super) fn is_finished(&self) -> bool {
        let about = (self.generation, self.options.policy);
        self.status.is_some_and(|status| is_finished(status, about, self.modes(), || self.target()))
    }

    /// Identifies what the object is about, as `status.finished` does.
    pub(super) fn target(&self) -> String {
        target(&self.options.tenant_ref, self.removal)
    }

    /// Whether the object was finished at some time, with the target that its spec names.
    pub(super) fn was_finished(&self) -> Option<Mode> {
        match &self.status?.finished {
            Some(finished) => (finished.target == self.target()).then_some(finished.mode),
            // Another version said so, for this generation.
            None => self.is_finished().then_some(Mode::Remove),
        }
    }

    /// Whether the object is looked at, and what it names is removed, again and again: by its policy, until its end.
    pub(super) fn repeats(&self) -> bool {
        self.options.policy == Policy::Continuous && !self.options.has_ended(self.now.wall)
    }

    /// Whether the next look at a finished object is a check, because its policy is Continuous. It stays one until it has
    /// found something, whatever keeps it from being made, also past its end.
    pub(super) fn is_check(&self) -> bool {
        let is_observed = self.is_observed() || self.awaits_mode();
        let is_outstanding = || self.status.is_some_and(|status| !status.is_ready());
        let looks = self.repeats() || (self.options.policy == Policy::Continuous && is_outstanding());
        looks && self.was_finished().is_some_and(|mode| mode == Mode::Remove || is_observed)
    }

    /// Whether the tenant had the object observed, and what it says now is not known, because it cannot be used.
    pub(super) fn awaits_mode(&self) -> bool {
        let finished = self.status.and_then(|status| status.finished.as_ref());
        finished.is_some_and(|finished| finished.by_tenant) && self.modes().tenant.is_none()
    }

    /// Whether the next job makes a read alone, to find out what is there.
    pub(super) fn observes(&self, known: &Known) -> bool {
        self.is_check() || (self.is_observed() && !known.is_complete())
    }

    /// What is known of the object at the domain where calls would go now.
    pub(super) fn known(&self) -> Known {
        self.known_at(self.domain())
    }

    /// What is known of the object at this domain.
    pub(super) fn known_at(&self, domain: Option<&Domain>) -> Known {
        let past = match self.status {
            Some(status) if !status.is_ready() || self.is_finished() => Past::Counts,
            Some(_) if self.was_finished().is_some() => Past::Seen,
            Some(_) | None => Past::Nothing,
        };
        let mut known = Known::from_status(self.status, self.items, domain, self.removal, past);
        known.forget_the_future(self.now.wall);
        known
    }

    /// Whether the status is not about the present generation.
    pub(super) fn is_edited(&self) -> bool {
        self.status.is_some_and(|status| status.observed_generation != Some(self.generation))
    }

    /// Whether Auth0 accepted the removal and no read could prove it.
    pub(super) fn is_unverified(&self) -> bool {
        self.status.and_then(RemovalStatus::reason_text) == Some(Reason::RemovedUnverified.as_str())
    }

    /// Whether a job of this task does not fit any more: it was submitted to remove and the object is only observed now,
    /// or the other way round.
    pub(super) fn has_other_task(&self, task: &Task) -> bool {
        match task {
            Task::Remove { .. } => self.is_observed(),
            // What was accepted is proved whatever the mode says, and that may need to learn something first.
            Task::Learn(_) => self.observes(&self.known()),
            Task::Observe => !self.is_observed() && !self.is_check(),
            Task::Prove => false,
        }
    }

    /// How long the next job must still wait, if it must.
    pub(super) fn submit_after(&self) -> Option<Duration> {
        let at = self.not_before?;
        at.checked_duration_since(self.now.steady).filter(|left| !left.is_zero())
    }

    /// How long until a finished object of policy Continuous is looked at again; none for others.
    pub(super) fn check_left(&self) -> Option<Duration> {
        let due = self.check_at.filter(|_| self.is_check())?;
        let left = due.saturating_duration_since(self.now.steady);
        Some(if self.request.is_some() { Duration::ZERO } else { left })
    }

    /// How long until the clock alone may give the object something to do. A finished object has nothing to do, but for
    /// checks, and once its tenant can be used again and has it observed no more.
    pub(super) fn next_step(&self) -> Option<Duration> {
        let is_open = !self.is_finished() || self.is_check() || self.awaits_mode();
        self.next_instant().filter(|_| is_open)
    }

    /// How long until something changes by the clock alone: `notBefore`, `notAfter`, or the end of a hold.
    pub(super) fn next_instant(&self) -> Option<Duration> {
        let now = self.now.wall;
        let hold = self.options.hold.as_ref().and_then(|hold| hold.in_force(now));
        let of_tenant = if let Tenant::OnHold { until, .. } = self.tenant { Some(until) } else { None };
        let end = self.options.ends_at().filter(|end| *end >= now).and_then(|end| end.checked_add(AFTER_THE_END).ok());
        let instants = [self.options.scheduled_for(now), hold, of_tenant, end];
        instants.into_iter().flatten().min().and_then(|at| until(at, now))
    }
}
