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
    /// The last report of each domain.
    last: HashMap<String, Report>,
    /// The shortest round trip of late to each domain; with each answer an older one counts a hundredth more.
    round_trips: HashMap<String, f64>,
    /// The calls on routes that had no report, and those of other processes, by domain.
    others: HashMap<String, Vec<Millis>>,
}

/// A report, as far as a process knows it.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// When the call arrived at Auth0 that it is about.
    pub arrived: Millis,
    /// For how many milliseconds the process may have counted on the refill before the report was made: it takes the
    /// shortest round trip of late for the report's age.
    pub early: f64,
}

impl Reports {
    /// A call was answered that left and arrived at Auth0 at these times, and `reports` the limit.
    pub fn received(
        &mut self,
        domain: &str,
        wire: &Wire,
        (left, arrived, now): (Millis, Millis, Millis),
        reports: bool,
    ) {
        let known = self.round_trips.entry(domain.to_owned()).or_insert(f64::INFINITY);
        *known = (*known * 1.01).min((now - left) as f64);
        if reports {
            self.routes.insert(route(domain, wire));
            let report = Report { arrived, early: *known - (now - arrived) as f64 };
            let last = self.last.entry(domain.to_owned()).or_insert(report);
            *last = if arrived >= last.arrived { report } else { *last };
        }
    }

    /// The last report, if there was one of this route.
    pub fn of(&self, domain: &str, wire: &Wire) -> Option<Report> {
        self.routes.get(&route(domain, wire)).and_then(|_| self.last.get(domain)).copied()
    }

    /// A call of another process drew from the bucket at this time.
    pub fn other_drew(&mut self, domain: &str, at: Millis) {
        self.others.entry(domain.to_owned()).or_default().push(at);
    }

    /// How many calls the process could not count when it sent this one. `None` if it knew nothing of its route.
    pub fn unknown(&mut self, domain: &str, report: Option<Report>, at: Millis) -> Option<usize> {
        let others = self.others.entry(domain.to_owned()).or_default();
        match report {
            Some(report) => Some(others.iter().filter(|other| **other >= report.arrived).count()),
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
        Wire::Get(Read::Answer(question), _) => return (domain.to_owned(), question.row().template, None),
        Wire::Get(Read::Lookup(lookup), _) => return (domain.to_owned(), lookup.row().template, None),
    };
    (domain.to_owned(), method, at)
}
