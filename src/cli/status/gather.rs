//! The objects that a command line means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::{TenantObject, is_user_id};
use crate::cli::access::access;
use crate::cli::cluster::{Cluster, Listing, Selected};
use crate::cli::error::CliError;
use crate::cli::flags::Auth0Flags;
use crate::cli::object::{Named, named};
use crate::cli::people::{self, Accounts};
use crate::cli::session::Session;
use crate::cli::tenants::TenantList;
use crate::cli::texts::shown;
use crate::tenant::TenantKey;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All objects in the namespaces, with these labels.
    All(Option<String>),
    /// These objects.
    Objects(Vec<Named>),
    /// All objects about the person with these accounts: each user id, and what else is known of it.
    Person(Vec<Account>),
    /// All objects about the person with this address, whose accounts are to be looked up.
    Email(String),
}

/// An account of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user id.
    pub id: String,
    /// Name and domain, as Auth0 shows them; empty if it was not asked.
    pub about: String,
}

impl Asked {
    /// Tells people from objects: a name of an object has no `|` and no `@`, and no kind is called like a connection.
    pub fn parse(what: &[String], selector: Option<&str>) -> Result<Self, CliError> {
        let Some(first) = what.first() else { return Ok(Self::All(selector.map(str::to_owned))) };
        if let Some(objects) = what.iter().map(|text| named(text)).collect() {
            return Ok(Self::Objects(objects));
        }
        if what.len() > 1 {
            return Err(CliError::usage("name either objects, such as urr/jane-admin, or one person"));
        }
        if is_user_id(first) {
            return Ok(Self::Person(vec![Account { id: first.clone(), about: String::new() }]));
        }
        if first.contains('@') && !first.contains(char::is_whitespace) {
            return Ok(Self::Email(first.clone()));
        }
        Err(CliError::usage(format!(
            "{} names neither an object nor a person: write KIND/NAME such as urr/jane-admin, a user id such as \
             'auth0|5f7c', or an e-mail address",
            shown(first)
        )))
    }
}

/// Reads the objects.
pub async fn gather(cluster: &Cluster, asked: &Asked) -> Result<Listing, CliError> {
    match asked {
        Asked::All(labels) => cluster.objects(&Selected { labels: labels.as_deref(), ..Selected::default() }).await,
        Asked::Objects(names) => {
            let mut listing = Listing::default();
            for name in names {
                listing.objects.push(cluster.object(name).await?);
            }
            Ok(listing)
        }
        Asked::Person(accounts) => {
            let mut listing = Listing::default();
            for Account { id, .. } in accounts {
                let found = cluster.objects(&Selected { user: Some(id), ..Selected::default() }).await?;
                let known: BTreeSet<_> = listing.objects.iter().map(|object| object.meta.uid.clone()).collect();
                let new = found.objects.into_iter().filter(|object| !known.contains(&object.meta.uid));
                listing.objects.extend(new);
                listing.unread.extend(found.unread);
            }
            listing.unread.dedup();
            Ok(listing)
        }
        Asked::Email(address) => Err(CliError::failed(format!("the accounts of {} are not known", shown(address)))),
    }
}

/// Looks up the accounts of this address at every Auth0 tenant that the namespaces use: one call each.
pub async fn accounts(
    session: &Session,
    cluster: &Cluster,
    address: &str,
    flags: &Auth0Flags,
    operator_namespace: &str,
) -> Result<Asked, CliError> {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for (domain, (key, tenant)) in by_domain(cluster, session).await? {
        let of_domain = async {
            let mut access = access(cluster, (&key, &*tenant), flags, operator_namespace, &session.screen).await?;
            people::accounts(&mut access.reads, address).await
        };
        let account = |one: people::Account| Account {
            id: one.id.to_string(),
            about: format!("{}{domain}", one.name.map(|name| format!("{}, ", shown(&name))).unwrap_or_default()),
        };
        match of_domain.await {
            Ok(Accounts::One(one)) => found.push(account(one)),
            Ok(Accounts::Several(several)) => found.extend(several.into_iter().map(account)),
            Ok(Accounts::Unknown(why)) => errors.push(format!("{domain}: {why}")),
            Err(error) => errors.push(format!("{domain}: {error}")),
        }
    }
    session.screen.progress_done();
    if found.is_empty() {
        return Err(CliError::failed(errors.join("; ")));
    }
    errors.iter().for_each(|error| session.screen.note(format!("rescind: {error}")));
    Ok(Asked::Person(found))
}

type ByDomain = BTreeMap<String, (TenantKey, Arc<dyn TenantObject>)>;

/// A tenant object for each domain.
async fn by_domain(cluster: &Cluster, session: &Session) -> Result<ByDomain, CliError> {
    let listing = cluster.objects(&Selected::default()).await?;
    let used: BTreeSet<TenantKey> = listing.objects.iter().map(crate::cli::object::Object::tenant).collect();
    let list = TenantList::read(cluster, &used).await;
    let mut tenants = ByDomain::new();
    for (key, tenant) in list.found {
        tenants.entry(tenant.tenant_spec().domain.clone()).or_insert((key, tenant));
    }
    list.unread.iter().for_each(|why| session.screen.note(format!("rescind: {why}")));
    if tenants.is_empty() {
        let place = cluster.place();
        return Err(CliError::failed(format!("there is no tenant {place} to ask; name the person by the user id")));
    }
    Ok(tenants)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(what: &[&str]) -> Result<Asked, CliError> {
        Asked::parse(&what.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), None)
    }

    #[test]
    fn people_and_objects_are_told_apart() {
        assert_eq!(parse(&[]).unwrap(), Asked::All(None));
        assert!(matches!(parse(&["urr/a", "omr/b"]).unwrap(), Asked::Objects(names) if names.len() == 2));
        for id in ["auth0|5f7c", "google-oauth2|1/2", "email|jane@acme.com"] {
            assert!(matches!(parse(&[id]).unwrap(), Asked::Person(accounts) if accounts[0].id == id), "{id}");
        }
        assert_eq!(parse(&["jane@acme.com"]).unwrap(), Asked::Email("jane@acme.com".to_owned()));
        for wrong in [&["jane"][..], &["pod/x"], &["auth0|a", "auth0|b"], &["urr/a", "auth0|b"]] {
            assert!(matches!(parse(wrong), Err(CliError::Usage(_))), "{wrong:?}");
        }
    }
}
