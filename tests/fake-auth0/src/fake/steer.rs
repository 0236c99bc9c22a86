//! Methods that choose how the tenant misbehaves.

use std::sync::atomic::Ordering::Relaxed;

use super::FakeAuth0;
use crate::{Bucket, Fault, FaultHandle, Group, Kind, Lag, Network, PagingQuirks, Report, Switches};

/// Misbehaviour.
impl FakeAuth0 {
    /// Adds a fault, from now on.
    pub fn fault(&self, fault: Fault) -> FaultHandle {
        FaultHandle::new(self.tenant.faults.add(fault), &self.tenant.faults)
    }

    /// Removes all faults; held calls go on.
    pub fn clear_faults(&self) {
        self.tenant.faults.clear();
    }

    /// Gives a group of endpoints a full bucket, or none (unlimited, no headers).
    pub fn limit(&self, group: Group, bucket: impl Into<Option<Bucket>>) {
        self.tenant.buckets().set(group, bucket.into(), self.tenant.elapsed());
    }

    /// Takes calls out of a bucket, as another client of the tenant would. Returns how many there were to take.
    pub fn drain(&self, group: Group, calls: u32) -> u32 {
        self.tenant.buckets().drain(group, calls, self.tenant.elapsed())
    }

    /// What the headers of a bucket would say now.
    #[must_use]
    pub fn bucket(&self, group: Group) -> Option<Report> {
        self.tenant.buckets().report(group, self.tenant.elapsed())
    }

    /// Sets the lag of a list, or turns it off. At the start the members of organizations lag by [`Lag::DOCUMENTED`].
    pub fn lag(&self, list: Kind, lag: impl Into<Option<Lag>>) {
        self.tenant.lags().set(list, lag.into());
    }

    /// Turns lag off and brings all lists up to date, for tests about other subjects.
    pub fn no_lag(&self) {
        self.tenant.lags().none();
    }

    /// Brings all lagging lists up to date.
    pub fn catch_up(&self) {
        self.tenant.lags().catch_up();
    }

    /// Sets all switches.
    pub fn set_switches(&self, switches: Switches) {
        self.switch(|all| *all = switches);
    }

    /// Changes some switches.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        self.tenant.set_quirks(|all| change(&mut all.switches));
    }

    /// The switches as they are.
    #[must_use]
    pub fn switches(&self) -> Switches {
        self.tenant.quirks().switches
    }

    /// Chooses how lists misbehave.
    pub fn paging(&self, quirks: PagingQuirks) {
        self.tenant.set_quirks(|all| all.paging = quirks);
    }

    /// Chooses how new connections are received; open ones stay, see [`FakeAuth0::cut_connections`].
    pub fn network(&self, network: Network) {
        self.tenant.set_quirks(|all| all.network = network);
    }

    /// Breaks all open connections.
    pub fn cut_connections(&self) {
        self.tenant.cut.notify_waiters();
    }

    /// Sends GOAWAY on all HTTP/2 connections: calls that were begun are answered, those that the server has not looked
    /// at yet are not processed, and everything else must come over new connections.
    pub fn go_away(&self) {
        self.tenant.go_away();
    }

    /// Sets the clock of this tenant ahead (or, negative, behind): for `Date`, rate limit headers and tokens.
    pub fn clock_ahead(&self, seconds: i64) {
        self.tenant.clock_offset.store(seconds, Relaxed);
    }
}
