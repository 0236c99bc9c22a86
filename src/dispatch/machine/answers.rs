//! What the machine learns: from the last look, from Auth0's answers, from reads about DELETEs of unknown effect.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::auth0::{Answer, CallError, Endpoint, Item, Page, Read};
use crate::dispatch::Task;
use crate::dispatch::lines::Rank;
use crate::dispatch::pace::{CallEnd, Sent};

use super::jobs::Settled;
use super::list::{Asker, Who};
use super::site::{Batch, Check, EntryState, Why};
use super::{Call, CallId, Looked, Machine, Outgoing, What};

impl Machine {
    /// What the last look said about a call: what to send, or `None` if the call is not to leave. Whom it refused is
    /// dropped; the others of the call lose nothing by it.
    pub fn looked(&mut self, id: CallId, look: &Looked, now: Instant) -> Option<Outgoing> {
        for uid in &look.refused {
            if let Some(owner) = self.jobs.find(uid).and_then(|job| self.drop_job(job, now)) {
                self.ended.push((owner, None));
            }
        }
        let call = self.calls.remove(&id)?;
        let leading = look.consents.iter().flatten().next().copied();
        // The look takes a moment in which another call's 429 may have shut the gate.
        let (Some(credential), None) = (leading, self.gate.closed_for(now)) else {
            self.call_off(call, now);
            return None;
        };
        match call.what {
            What::Remove { site, batch, correlation } => {
                let call = (call.name, call.probe, call.sent);
                self.looked_at_removal(id, call, (site, batch, correlation), credential, &look.consents, now)
            }
            What::Page { list } => {
                let refused = self.lists[list].active.as_ref().and_then(|active| active.refused.clone());
                if let Some((_, error)) = refused.filter(|(refused, _)| *refused == credential) {
                    self.lists[list].out = false;
                    self.finish_walk(list, credential, Err(error), now);
                    self.not_sent(&call, now);
                    return None;
                }
                let Some(active) = self.lists[list].active.as_ref() else {
                    self.call_off(call, now);
                    return None;
                };
                let outgoing = Outgoing::Page { read: active.walk.read().clone(), query: active.walk.query() };
                self.calls.insert(id, Call { credential, ..call });
                Some(outgoing)
            }
        }
    }

    fn looked_at_removal(
        &mut self,
        id: CallId,
        (name, probe, sent): (super::CallName, bool, Sent),
        (site, mut batch, correlation): (usize, Batch, Arc<str>),
        credential: u64,
        consents: &[Option<u64>],
        now: Instant,
    ) -> Option<Outgoing> {
        let all = std::mem::take(&mut batch.items);
        let (mut items, mut others) = (Vec::with_capacity(all.len()), Vec::new());
        for (item, consent) in all.into_iter().zip(consents) {
            // Someone else's credential is never used for an item: those wait for a call of their own.
            if *consent == Some(credential) { items.push(item) } else { others.push(item) }
        }
        if batch.split {
            self.sites[site].resend(Batch { items: others, ..batch.clone() });
        } else {
            self.sites[site].wait_again(&others);
        }
        batch.items = items;
        let refused = batch.refused.clone().filter(|(refused, _)| *refused == credential);
        let what = What::Remove { site, batch, correlation };
        let mut call = Call { name, probe, sent, credential, what };
        if let (Some((_, error)), What::Remove { batch, .. }) = (refused, &mut call.what) {
            let items = std::mem::take(&mut batch.items);
            self.settle(site, &items, &Settled::Failed(error), (credential, None), now);
            self.call_off(call, now);
            return None;
        }
        let What::Remove { batch, correlation, .. } = &call.what else { return None };
        let endpoint = self.sites[site].endpoint.clone();
        let outgoing = Outgoing::Remove { endpoint, items: batch.items.clone(), correlation: correlation.clone() };
        self.calls.insert(id, call);
        self.refresh_site(site, now);
        Some(outgoing)
    }

    /// A call that was begun does not leave; what it was for waits again.
    fn call_off(&mut self, call: Call, now: Instant) {
        self.not_sent(&call, now);
        self.put_back(call.what, now);
    }

    fn not_sent(&mut self, call: &Call, now: Instant) {
        self.pace.ended(call.name, CallEnd::Lost, &Default::default(), call.sent, now);
        if call.probe {
            self.gate.probed(now, false);
        }
    }

    fn put_back(&mut self, what: What, now: Instant) {
        match what {
            What::Remove { site: key, batch, .. } => {
                let site = &mut self.sites[key];
                site.out -= 1;
                if batch.split || batch.refused.is_some() {
                    site.resend(batch);
                } else {
                    site.wait_again(&batch.items);
                }
                self.refresh_site(key, now);
            }
            What::Page { list } => {
                self.lists[list].out = false;
                self.refresh_list(list, now);
            }
        }
    }

    /// Takes the answer to a call that was sent, at `at` by the clock on the wall.
    pub fn answered(&mut self, id: CallId, answer: Answer<Page>, at: Timestamp, now: Instant) {
        let Some(Call { name, probe, sent, credential, what }) = self.calls.remove(&id) else { return };
        self.wall = at;
        let end = match &answer.outcome {
            Err(CallError::RateLimited(_)) => CallEnd::Limited,
            Err(CallError::Unavailable(_)) => CallEnd::Lost,
            _ => CallEnd::Answered,
        };
        self.pace.ended(name, end, &answer.limits, sent, now);
        if let Err(CallError::RateLimited(wait)) = &answer.outcome {
            self.close(*wait, now);
        } else if probe {
            self.gate.probed(now, !matches!(answer.outcome, Err(CallError::Unavailable(_))));
        }
        match what {
            What::Remove { site, batch, correlation } => {
                self.removal_answered(site, batch, &correlation, credential, answer.outcome, now);
            }
            What::Page { list } => self.page(list, credential, answer.outcome, now),
        }
    }

    fn removal_answered(
        &mut self,
        key: usize,
        mut batch: Batch,
        correlation: &Arc<str>,
        credential: u64,
        outcome: Result<Page, CallError>,
        now: Instant,
    ) {
        let error = match outcome {
            Err(CallError::RateLimited(_)) => {
                return self.put_back(What::Remove { site: key, batch, correlation: correlation.clone() }, now);
            }
            // If it was rotated while the call was on its way, the new one decides (reliability.md C4).
            Err(error @ CallError::Unauthorized(_)) if batch.refused.is_none() => {
                batch.refused = Some((credential, error));
                return self.put_back(What::Remove { site: key, batch, correlation: correlation.clone() }, now);
            }
            Ok(_) => None,
            Err(error) => Some(error),
        };
        let may_have_worked = error.as_ref().is_none_or(|error| matches!(error, CallError::Unavailable(_)));
        let call = (credential, may_have_worked.then_some(correlation));
        let several = batch.items.len() > 1;
        let items = batch.items.clone();
        // While this call still counts as on its way, its site stays.
        match error {
            None => {
                let endpoint = &self.sites[key].endpoint;
                self.worked.insert(super::removing::name(endpoint), now);
                self.settle(key, &items, &Settled::Accepted(self.wall), call, now);
            }
            Some(CallError::Rejected(_)) if several => self.sites[key].split(&batch, &items),
            Some(CallError::NotFound) if self.is_member_roles(key) => self.check(key, batch, Why::Membership, now),
            Some(CallError::NotFound) if several => self.check(key, batch, Why::Missing, now),
            Some(CallError::Unavailable(_)) if self.may_isolate(key, &batch) => {
                self.note_sent(key, &items, correlation);
                if self.may_read(key, &items) {
                    self.check(key, batch, Why::Unknown, now);
                } else {
                    self.sites[key].split(&batch, &items);
                }
            }
            Some(error) => self.settle(key, &items, &Settled::Failed(error), call, now),
        }
        self.sites[key].out -= 1;
        self.refresh_site(key, now);
    }

    fn is_member_roles(&self, key: usize) -> bool {
        matches!(self.sites[key].endpoint, Endpoint::OrganizationMemberRoles { .. })
    }

    /// Whether to find out which of several objects made a call fail. A call that was split already is split further only
    /// while others of its kind succeed; otherwise it is Auth0 that fails, and each object comes back in its own time.
    fn may_isolate(&self, key: usize, batch: &Batch) -> bool {
        let site = &self.sites[key];
        let worked = self.worked.get(&super::removing::name(&site.endpoint));
        batch.items.len() > 1
            && site.owners(&batch.items) > 1
            && (!batch.split || worked.is_some_and(|worked| *worked >= batch.since))
    }

    /// Whether anyone concerned wants reads at all (`verification: Off`).
    fn may_read(&self, key: usize, items: &[Item]) -> bool {
        let entries = &self.sites[key].entries;
        let owners = items.iter().filter_map(|item| entries.get(item)).flat_map(|entry| &entry.owners);
        let off = Task::Remove { before: false, after: false };
        owners.filter_map(|owner| self.jobs.get(*owner)).any(|job| job.task != off)
    }

    fn note_sent(&mut self, key: usize, items: &[Item], correlation: &Arc<str>) {
        let entries = &self.sites[key].entries;
        for owner in items.iter().filter_map(|item| entries.get(item)).flat_map(|entry| &entry.owners) {
            if let Some(job) = self.jobs.get_mut(*owner) {
                job.sent(correlation);
            }
        }
    }

    /// Reads about a batch before anything more is done with it.
    fn check(&mut self, key: usize, batch: Batch, why: Why, now: Instant) {
        let site = &mut self.sites[key];
        let (endpoint, credential) = (site.endpoint.clone(), site.credential);
        let (read, wanted, glance) = match (&why, &endpoint) {
            (Why::Unknown, _) => (Read::List(endpoint), batch.items.clone(), false),
            (Why::Membership, Endpoint::OrganizationMemberRoles { organization, user }) => {
                (Read::UserOrganizations { user: user.clone() }, vec![Item::Id(organization.clone())], false)
            }
            (Why::Organization, Endpoint::OrganizationMemberRoles { organization, .. }) => {
                let members = Endpoint::OrganizationMembers { organization: organization.clone() };
                (Read::List(members), Vec::new(), true)
            }
            (Why::Missing | Why::Membership | Why::Organization, _) => (Read::List(endpoint), Vec::new(), true),
        };
        let (namespace, arrival) = (batch.namespace, batch.arrival);
        site.mark(&batch.items, EntryState::Batched);
        self.ids += 1;
        let id = self.ids;
        let check = Check { batch, why, open: wanted.len(), present: Vec::new(), error: None };
        site.checks.insert(id, check);
        let who = Who::Check(key, id);
        let asker = Asker { who, wanted, about: None, must_walk: false, rank: Rank::Removal, namespace, arrival };
        self.ask(read, credential, glance, asker, now);
    }

    /// Nobody wants this check's items any more.
    pub(super) fn abandon_check(&mut self, who: Who, now: Instant) {
        let Who::Check(key, id) = who else { return };
        let Some(site) = self.sites.get_mut(key) else { return };
        if let Some(check) = site.checks.remove(&id) {
            for item in &check.batch.items {
                site.entries.remove(item);
            }
            self.refresh_site(key, now);
        }
    }

    pub(super) fn checked(
        &mut self,
        key: usize,
        id: u64,
        credential: u64,
        asked: usize,
        result: Result<Vec<Item>, CallError>,
        now: Instant,
    ) {
        let Some(check) = self.sites.get_mut(key).and_then(|site| site.checks.get_mut(&id)) else { return };
        match result {
            Ok(present) => check.present.extend(present),
            Err(error) => drop(check.error.get_or_insert(error)),
        }
        check.open = check.open.saturating_sub(asked);
        if check.open > 0 {
            return;
        }
        let Some(Check { batch, why, present, error, .. }) = self.sites[key].checks.remove(&id) else { return };
        self.conclude_check(key, batch, why, credential, error.map_or(Ok(present), Err), now);
        self.refresh_site(key, now);
    }

    fn conclude_check(
        &mut self,
        key: usize,
        batch: Batch,
        why: Why,
        credential: u64,
        result: Result<Vec<Item>, CallError>,
        now: Instant,
    ) {
        let all = batch.items.clone();
        let call = (credential, None);
        let fail = |machine: &mut Self, error| machine.settle(key, &all, &Settled::Failed(error), call, now);
        match (why, result) {
            (Why::Unknown, Ok(present)) => {
                let gone: Vec<Item> = all.into_iter().filter(|item| !present.contains(item)).collect();
                self.settle(key, &gone, &Settled::Proved(self.wall), call, now);
                self.sites[key].split(&batch, &present);
            }
            // What cannot be read is repeated without: a DELETE is idempotent (auth0-api.md 1.7).
            (Why::Unknown | Why::Missing, Err(CallError::InsufficientScope(_))) | (Why::Missing, Ok(_)) => {
                self.sites[key].split(&batch, &batch.items);
            }
            (Why::Membership, Ok(present)) if present.is_empty() => self.check(key, batch, Why::Organization, now),
            (Why::Membership, Ok(_)) if all.len() > 1 => self.sites[key].split(&batch, &batch.items),
            (Why::Membership, Ok(_)) => {
                fail(self, CallError::Unavailable("Auth0 contradicts itself about the membership"));
            }
            (Why::Organization, Ok(_)) => self.settle(key, &all, &Settled::NotThere, call, now),
            (Why::Membership | Why::Organization, Err(CallError::InsufficientScope(_))) => {
                fail(self, CallError::NotFound);
            }
            (_, Err(error)) => fail(self, error),
        }
    }
}
