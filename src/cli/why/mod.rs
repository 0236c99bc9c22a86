//! `why`: every way by which somebody still has a role, a permission or a membership, and the command that ends each.
//!
//! `look` reads Auth0, `facts` is what was read, and `objects` what removal objects say. `way` is one relation. From
//! these, `questions` and `permission` build the `tree`, of the lines in `parts`; `report` is the result as data, and
//! `print` as text.

mod facts;
mod look;
mod objects;
mod parts;
mod permission;
mod print;
mod questions;
mod report;
#[cfg(test)]
mod tests;
mod tree;
mod way;

use std::sync::Arc;

use crate::auth0::Domain;
use crate::clock;

use super::access::access;
use super::cluster::{Cluster, Selected};
use super::error::CliError;
use super::flags::{Auth0Flags, Format, TenantFlags, nonempty};
use super::object::Object;
use super::people::{Account, Accounts, Named, OfApi, accounts, organization, permission, role, splits};
use super::reads::Reads;
use super::session::Session;
use super::tenants::existing;
use super::texts::{count, shown};

use facts::{Asked, Facts};
use parts::{Lines, View};
use print::Style;
use report::{AccountReport, Report};

/// Say by which ways somebody still has a role, a permission or a membership, and how each is ended. Nothing is
/// changed.
///
/// Each way has one of four signs: ✓ it is there, ⨉ it is not there (by a complete read), ? it was not looked at, ! it
/// comes back at the next login or is still valid. Without a UTF-8 locale the first two are + and x.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").args(["role", "permission", "org"]))]
pub struct Args {
    /// The id of a user, an e-mail address, or the exact name.
    #[arg(value_name = "PERSON", value_parser = nonempty)]
    person: String,

    /// Only this role, by name or id.
    #[arg(long, value_name = "NAME|ID", value_parser = nonempty)]
    role: Option<String>,

    /// Only this permission.
    #[arg(long, value_name = "API:NAME", value_parser = nonempty)]
    permission: Option<String>,

    /// Only the membership in this organization, by name or id.
    #[arg(long, value_name = "NAME|ID", value_parser = nonempty)]
    org: Option<String>,

    /// All accounts of this address or name, where there are several.
    #[arg(long)]
    all_accounts: bool,

    /// Exit with 0 if no way is left, with 1 if some are left (or something comes back or is still valid), and with 2
    /// if none is known but not everything could be looked at. An error is 2 as well.
    #[arg(long)]
    pub exit_code: bool,

    /// Text for people or JSON for programs.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: Format,

    #[command(flatten)]
    tenant: TenantFlags,

    #[command(flatten)]
    auth0: Auth0Flags,
}

/// What is asked, with what Auth0 knows of it.
#[derive(Clone)]
enum Subject {
    All,
    Role(Named),
    Permission(OfApi),
    Organization(Named),
}

impl Subject {
    const fn asked(&self) -> Asked<'_> {
        match self {
            Self::All => Asked::All,
            Self::Role(named) => Asked::Role(named),
            Self::Permission(of_api) => Asked::Permission(of_api),
            Self::Organization(named) => Asked::Organization(named),
        }
    }

    /// The same, if Auth0 could not say which API a text means: then the permission that is held decides. The note says
    /// that even so it is not sure.
    fn meant(&self, text: Option<&str>, facts: &Facts) -> (Self, Option<String>) {
        let (Self::Permission(OfApi { settings: Err(why), .. }), Some(text)) = (self, text) else {
            return (self.clone(), None);
        };
        let splits = splits(text);
        let of_api = |(api, name): (Arc<str>, Arc<str>)| OfApi { api, name, settings: Err(why.clone()) };
        let held = facts.every_permission();
        let mut meant = splits.iter().cloned().map(of_api).filter(|one| held.contains(&one.item()));
        match (meant.next(), splits.len()) {
            (Some(one), _) => (Self::Permission(one), None),
            (None, 1) => (self.clone(), None),
            (None, _) => {
                let note = "Which API is meant could not be found out, and the person holds none of the permissions \
                            that it could be. Write the API and the permission with a space between them to be sure.";
                (self.clone(), Some(note.to_owned()))
            }
        }
    }
}

/// Runs the command.
pub async fn run(session: &Session, args: &Args) -> Result<u8, CliError> {
    let cluster = session.cluster()?;
    let key = args.tenant.key(&cluster.namespace);
    let tenant = existing(&cluster, &key).await?;
    let of_tenant = (&key, &*tenant);
    let mut access = access(&cluster, of_tenant, &args.auth0, &args.tenant.operator.namespace, &session.screen).await?;
    let reads = &mut access.reads;
    let accounts = found(session, reads, args).await?;
    let subject = subject(reads, args).await?;
    let mut report = Report::new(clock::wall(), matches!(subject, Subject::Permission(_)));
    let (objects, unread) = objects(&cluster, &key, &reads.domain).await;
    let flags = flags(session, args);
    for account in &accounts {
        let mut facts = look::lists(reads, &account.id, subject.asked()).await;
        let (subject, note) = subject.meant(args.permission.as_deref(), &facts);
        look::details(reads, &mut facts, subject.asked()).await;
        facts.mentions = objects::mentions(objects.iter(), &account.id);
        let view = View { facts: &facts, flags: &flags, lines: Lines::Roles };
        let mut ways = questions::ways(&view, subject.asked(), report.read_at);
        ways.notes.extend(note);
        report.accounts.push(AccountReport::new(account, ways));
    }
    report.kind = key.kind().to_string();
    report.tenant = key.to_string();
    report.domain = reads.domain.to_string();
    report.token = access.origin;
    report.objects_unread = unread;
    report.calls = access.reads.calls;
    session.screen.progress_done();
    match args.output {
        Format::Json => {
            let json = serde_json::to_string_pretty(&report).map_err(|error| CliError::failed(error.to_string()))?;
            session.screen.print(json + "\n")?;
        }
        Format::Text => session.screen.print(print::text(&session.screen, Style::detect(), &report))?,
    }
    Ok(if args.exit_code { report.exit_code() } else { 0 })
}

/// The accounts to look at: the only one, or all of several if that was asked for.
async fn found(session: &Session, reads: &mut Reads<'_>, args: &Args) -> Result<Vec<Account>, CliError> {
    match accounts(reads, &args.person).await? {
        Accounts::One(account) => Ok(vec![account]),
        Accounts::Several(accounts) if args.all_accounts => Ok(accounts),
        Accounts::Several(accounts) => {
            session.screen.progress_done();
            let (person, number) = (shown(&args.person), count(accounts.len(), "account"));
            session.screen.note(format!("{person} is the address or the name of {number}:"));
            let width = accounts.iter().map(|account| shown(&account.id).chars().count()).max().unwrap_or_default();
            for account in &accounts {
                session.screen.note(format!("  {:width$}   {}", shown(&account.id), account.about()));
            }
            let calls = count(reads.calls, "call");
            Err(CliError::failed(format!(
                "nothing else was looked at. Name the account by its id, or add --all-accounts. ({calls})"
            )))
        }
        Accounts::Unknown(why) => Err(CliError::failed(why)),
    }
}

async fn subject(reads: &mut Reads<'_>, args: &Args) -> Result<Subject, CliError> {
    Ok(match (&args.role, &args.permission, &args.org) {
        (Some(text), _, _) => Subject::Role(role(reads, text).await?),
        (_, Some(text), _) => Subject::Permission(permission(reads, text).await?),
        (_, _, Some(text)) => Subject::Organization(organization(reads, text).await?),
        (None, None, None) => Subject::All,
    })
}

/// The removal objects for this tenant, and why some are missing.
async fn objects(cluster: &Cluster, key: &crate::tenant::TenantKey, domain: &Domain) -> (Vec<Object>, Vec<String>) {
    let of_tenant = |object: &Object| {
        let read = object.status.as_ref().and_then(|status| status.domain.as_deref());
        object.tenant() == *key || read == Some(&*domain.to_string())
    };
    match cluster.objects(&Selected::default()).await {
        Ok(listing) => (listing.objects.into_iter().filter(of_tenant).collect(), listing.unread),
        Err(error) => (Vec::new(), vec![error.to_string()]),
    }
}

/// The flags of this command that a command which ends a way needs, too.
fn flags(session: &Session, args: &Args) -> Vec<String> {
    let tenant = [("--tenant", &args.tenant.tenant), ("--cluster-tenant", &args.tenant.cluster_tenant)];
    let tenant = tenant.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value.clone()?]));
    session.flags.given().into_iter().chain(tenant.flatten()).collect()
}
