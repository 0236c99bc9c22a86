//! Reads Auth0 again: whether what was removed is still gone, and what people are called.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::auth0::Lookup;
use crate::cli::access::{Access, access};
use crate::cli::cluster::Cluster;
use crate::cli::error::CliError;
use crate::cli::flags::Auth0Flags;
use crate::cli::look::{Presence, Wanted, look};
use crate::cli::session::Session;
use crate::cli::texts::count;
use crate::clock;
use crate::tenant::TenantKey;

use super::report::Auth0Reads;
use super::row::{Again, Recheck, Row};

/// From this many names on, what they cost is said before.
const MANY_NAMES: usize = 50;

/// What is to be read.
#[derive(Debug)]
pub struct Asked<'a> {
    /// How Auth0 is read.
    pub auth0: &'a Auth0Flags,
    /// Where the Secrets of cluster-scoped tenants are.
    pub operator_namespace: &'a str,
    /// The domains of the tenants.
    pub domains: &'a BTreeMap<TenantKey, String>,
    /// Whether what was removed is still gone.
    pub recheck: bool,
    /// What people are called.
    pub names: bool,
}

/// Reads it and writes it into the rows. Returns what it took, by domain.
pub async fn recheck(
    session: &Session,
    cluster: &Cluster,
    rows: &mut [Row],
    asked: &Asked<'_>,
) -> Result<Vec<Auth0Reads>, CliError> {
    let domains: BTreeSet<String> = rows.iter().map(|row| row.domain.clone()).collect();
    let mut reads = Vec::new();
    for domain in domains {
        let of_domain: Vec<&mut Row> = rows.iter_mut().filter(|row| row.domain == domain).collect();
        reads.push(one(session, cluster, &domain, of_domain, asked).await?);
    }
    Ok(reads)
}

async fn one(
    session: &Session,
    cluster: &Cluster,
    domain: &str,
    mut rows: Vec<&mut Row>,
    asked: &Asked<'_>,
) -> Result<Auth0Reads, CliError> {
    let mut found = Auth0Reads { domain: domain.to_owned(), ..Auth0Reads::default() };
    let mut access = match opened(session, cluster, domain, asked).await {
        Ok(access) => access,
        // A wrong flag is wrong for every tenant.
        Err(error @ CliError::Usage(_)) => return Err(error),
        Err(error) => {
            if asked.recheck {
                let (at, why) = (clock::wall(), error.to_string());
                let unknown = Recheck { at, found: Again::Unknown(why) };
                rows.iter_mut().for_each(|row| row.recheck = Some(unknown.clone()));
            }
            found.unread.push(error.to_string());
            return Ok(found);
        }
    };
    if asked.recheck {
        again(&mut access, &mut rows).await;
    }
    if asked.names {
        named(session, asked, &mut access, &mut rows, &mut found.unread).await;
    }
    (found.token, found.calls) = (Some(access.origin), access.reads.calls);
    Ok(found)
}

/// Access to a domain by the first tenant object that names it.
async fn opened<'a>(
    session: &'a Session,
    cluster: &Cluster,
    domain: &str,
    asked: &Asked<'_>,
) -> Result<Access<'a>, CliError> {
    let of_domain = asked.domains.iter().find(|(_, named)| named.eq_ignore_ascii_case(domain));
    let none = || CliError::failed(format!("no tenant object that an object uses names the domain {domain}"));
    let (key, _) = of_domain.ok_or_else(none)?;
    let tenant = cluster.tenant(key).await?.ok_or_else(none)?;
    access(cluster, (key, &*tenant), asked.auth0, asked.operator_namespace, &session.screen).await
}

async fn again(access: &mut Access<'_>, rows: &mut [&mut Row]) {
    let mut wanted = Wanted::new();
    for (endpoint, item) in rows.iter().filter_map(|row| row.target.clone()) {
        wanted.entry(endpoint).or_default().insert(item);
    }
    let seen = look(&mut access.reads, &wanted).await;
    let at = clock::wall();
    for row in rows {
        let presence = row.target.as_ref().map(|(endpoint, item)| seen.presence(endpoint, item));
        let found = match presence {
            // Who is not there holds nothing.
            Some(Presence::Absent | Presence::NoSubject) => Again::Gone,
            Some(Presence::Held) => Again::Held,
            Some(Presence::Unknown(why)) => Again::Unknown(why),
            None => Again::Unknown("what it named is not known".to_owned()),
        };
        row.recheck = Some(Recheck { at, found });
    }
}

async fn named(
    session: &Session,
    asked: &Asked<'_>,
    access: &mut Access<'_>,
    rows: &mut [&mut Row],
    unread: &mut Vec<String>,
) {
    let people: BTreeSet<String> = rows.iter().map(|row| row.user_id.clone()).filter(|id| !id.is_empty()).collect();
    if people.len() >= MANY_NAMES {
        let rate = asked.auth0.max_requests_per_second;
        let calls = count(people.len(), "call");
        session
            .screen
            .note(format!("rescind: --names takes {calls} to {}, at most {rate} a second", access.reads.domain));
    }
    let (mut names, mut failed) = (BTreeMap::new(), None);
    for id in people {
        match access.reads.look_up(Lookup::User(Arc::from(id.as_str()))).await {
            Ok(entries) => names.extend(entries.first().and_then(name).map(|name| (id, name))),
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
    }
    unread.extend(failed.map(|error| format!("the names of some people of {}: {error}", access.reads.domain)));
    for row in rows {
        row.user_name = names.get(&row.user_id).cloned();
    }
}

/// What somebody is called.
fn name(entry: &Value) -> Option<String> {
    let text = |key: &str| entry.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    text("name").or_else(|| text("email"))
}
