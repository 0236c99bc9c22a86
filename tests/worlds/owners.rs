//! For whom calls are made: nothing is sent for an object that its own fields, its tenant or its verdict keep it from.

use rescind::dispatch::Owner;

use crate::auth0::Millis;
use crate::clock::Wall;
use crate::cluster::{Cluster, Object, State};
use crate::invariants::{BEHIND, Books};
use crate::restraints::{forbidden, is_finished};
use crate::versions::Version;

/// An answer that took longer than this says nothing about its owners: the states of that time are forgotten.
const REMEMBERED: Millis = 5000;

impl Books {
    /// A call of this process is checked, for this owner among others.
    pub fn call_starts(&mut self, cluster: &Cluster, process: usize, owner: &Owner, (at, wall): (Millis, &Wall)) {
        // What Auth0 has accepted for this process it proves, also if another one that led at that time has only observed
        // the object since then.
        let proves = self.processes[process].unproved.contains(&*owner.uid);
        let is_over = |object: &Object| !(proves && object.status["finished"]["mode"] == "Observe");
        let finished = |state: &State| {
            let own = state.iter().find(|(_, object)| object.uid == *owner.uid);
            own.is_some_and(|(key, object)| is_finished(state, key, object) && is_over(object))
        };
        if cluster.since(at.saturating_sub(BEHIND)).all(finished) {
            let who = format!("{}/{}", owner.namespace, owner.name);
            self.violated(12, at, format!("{who} is finished, and a call is about to be made for it"));
        }
        self.processes[process].call_starts(cluster, wall, owner, at);
    }

    /// A DELETE of this task leaves.
    pub fn remember_when_it_left(&mut self, at: Millis) {
        self.left.insert(tokio::task::id(), at);
    }

    /// The DELETE of this task, which was answered now, was for these objects.
    pub fn delete_was_for(&mut self, cluster: &Cluster, version: Version, uids: &[&str], (at, wall): (Millis, &Wall)) {
        let Some(left) = self.left.remove(&tokio::task::id()).filter(|left| left + REMEMBERED >= at) else { return };
        for uid in uids {
            self.check_owner(cluster, uid, true, version, (left, wall.at(left)));
        }
    }

    /// Checks that a call that left at this time may be made for this object.
    pub fn check_owner(
        &mut self,
        cluster: &Cluster,
        uid: &str,
        is_delete: bool,
        version: Version,
        (at, wall): (Millis, jiff::Timestamp),
    ) {
        let why = |state: &State| {
            let object = state.iter().find(|(_, object)| object.uid == uid);
            object.map_or(Some("gone"), |(key, object)| forbidden((state, key, object), is_delete, version, wall))
        };
        let mut reasons = cluster.between(at.saturating_sub(BEHIND), at).map(why);
        let first = reasons.next().flatten();
        if let Some(first) = first.filter(|_| reasons.all(|why| why.is_some())) {
            let what = if is_delete { "DELETE" } else { "read" };
            self.violated(5, at, format!("{uid} is {first}, and a {what} is sent for it"));
        }
    }
}
