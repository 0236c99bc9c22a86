//! What the answers of Auth0 have told a process about its buckets.

use std::collections::{HashMap, HashSet};
use std::mem::{Discriminant, discriminant};

use rescind::auth0::{Endpoint, Read};

use crate::auth0::{Millis, Wire};

/// A domain, a method and a kind of list; `None` is the list of a user's organizations. Calls on one route draw from
/// the same buckets.
type Route = (String, &'static str, Option<Discriminant<Endpoint>>);

/// What one process has been told.
#[derive(Debug, Default)]
pub struct Reports {
    routes: HashSet<Route>,
    /// When the call was made that the last report is about, by domain.
    last: HashMap<String, Millis>,
    /// The calls on routes that had no report, and those of other processes, by domain.
    others: HashMap<String, Vec<Millis>>,
}

impl Reports {
    /// A call was answered. The answer reports the limit as it was at this time, if it does.
    pub fn received(&mut self, domain: &str, wire: &Wire, reports: Option<Millis>) {
        let Some(arrived) = reports else { return };
        self.routes.insert(route(domain, wire));
        let last = self.last.entry(domain.to_owned()).or_default();
        *last = arrived.max(*last);
    }

    /// The time of the last report, if there was one of this route.
    pub fn of(&self, domain: &str, wire: &Wire) -> Option<Millis> {
        self.routes.get(&route(domain, wire)).and_then(|_| self.last.get(domain)).copied()
    }

    /// A call of another process drew from the bucket at this time.
    pub fn other_drew(&mut self, domain: &str, at: Millis) {
        self.others.entry(domain.to_owned()).or_default().push(at);
    }

    /// How many calls the process could not count when it sent this one. `None` if it knew nothing of its route.
    pub fn unknown(&mut self, domain: &str, reported: Option<Millis>, at: Millis) -> Option<usize> {
        let others = self.others.entry(domain.to_owned()).or_default();
        match reported {
            Some(reported) => Some(others.iter().filter(|other| **other >= reported).count()),
            None => {
                others.push(at);
                None
            }
        }
    }
}

fn route(domain: &str, wire: &Wire) -> Route {
    let (method, at) = match wire {
        Wire::Delete(endpoint, _) => ("DELETE", Some(discriminant(endpoint))),
        Wire::Get(Read::List(endpoint), _) => ("GET", Some(discriminant(endpoint))),
        Wire::Get(Read::UserOrganizations { .. }, _) => ("GET", None),
    };
    (domain.to_owned(), method, at)
}
