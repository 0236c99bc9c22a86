//! `new`: from names and e-mail addresses to manifests.
//!
//! `sources` reads the files that people have; `choice` finds out whom and what is meant; `holdings` reads what
//! somebody holds; `loss` is what is to be lost, as data; `manifest` writes it; `output` puts it where it belongs;
//! `picker` asks at a terminal.

mod choice;
mod holdings;
mod loss;
mod manifest;
mod output;
mod picker;
mod sources;
mod wizard;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::api::{Mode, Rfc3339, TenantRef};
use crate::clock;
use crate::tenant::TenantKey;

use super::access::access;
use super::confirm::{FEW, ask};
use super::error::CliError;
use super::flags::{Auth0Flags, TenantFlags, nonempty};
use super::session::Session;
use super::tenants::existing;
use super::texts::count;

use choice::{Chosen, Wanted};
use manifest::Common;
use output::Place;

/// Write manifests that take something away from people, who may be named by e-mail address, name or id.
///
/// Whatever is not clear or not known writes nothing. Without arguments, at a terminal, it asks.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The people: e-mail addresses, names or user ids.
    #[arg(value_name = "PERSON", value_parser = nonempty)]
    people: Vec<String>,

    /// A role, by name or id: tenant-wide, or with --org inside that organization. May be repeated.
    #[arg(long = "role", value_name = "ROLE", value_parser = nonempty)]
    roles: Vec<String>,

    /// A permission that is held directly, as API:NAME, or API and NAME with a space between them. May be repeated.
    #[arg(long = "permission", value_name = "API:NAME", value_parser = nonempty)]
    permissions: Vec<String>,

    /// An organization, by name or id: its membership, or with --role only those roles there. May be repeated.
    #[arg(long = "org", value_name = "ORGANIZATION", value_parser = nonempty)]
    organizations: Vec<String>,

    /// Everything that the people hold now, by id.
    #[arg(long, conflicts_with_all = ["roles", "permissions", "organizations"])]
    everything: bool,

    /// If an address or a name has several accounts, all of them.
    #[arg(long)]
    all_accounts: bool,

    /// A file with the people: CSV, an export of Auth0, an answer of its Management API, Terraform state, SCIM, Entra
    /// ID or Okta; "-" for standard input. May be repeated.
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,

    /// The column of a CSV file that holds the people.
    #[arg(long, value_name = "NAME", requires = "from")]
    column: Option<String>,

    /// Nothing is removed before this instant, such as 2026-12-31T17:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    not_before: Option<String>,

    /// Nothing is removed after this instant.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    not_after: Option<String>,

    /// Remove, or Observe: only say what would be removed.
    #[arg(long, value_name = "MODE", value_parser = mode, default_value = "Remove")]
    mode: Mode,

    /// The value of the label rescind.dev/batch, to select the objects by.
    #[arg(long, value_name = "LABEL", value_parser = label)]
    batch: Option<String>,

    /// The folder to write to, a file for each account; "-" is standard output, which is the default.
    #[arg(long, value_name = "DIR", conflicts_with = "apply")]
    dir: Option<PathBuf>,

    /// Leave the names out of the comments.
    #[arg(long)]
    no_names: bool,

    /// Apply the objects in the cluster instead of writing files.
    #[arg(long)]
    apply: bool,

    /// The domain of the tenant, to confirm that more than 25 people, or more than 25 objects that are applied, are
    /// meant. At a terminal it is asked for.
    #[arg(long, value_name = "DOMAIN")]
    confirm: Option<String>,

    #[command(flatten)]
    tenant: TenantFlags,

    #[command(flatten)]
    auth0: Auth0Flags,
}

fn instant(text: &str) -> Result<String, &'static str> {
    let time: Option<Rfc3339> = serde_json::from_value(text.into()).ok();
    let good = time.is_some_and(|time| time.timestamp().is_some()) && text.contains('T');
    if good { Ok(text.to_owned()) } else { Err("write an instant with its offset, such as 2026-12-31T17:00:00Z") }
}

/// The rule of Kubernetes for the value of a label.
fn label(text: &str) -> Result<String, &'static str> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let ends_well = |text: &str| {
        [text.chars().next(), text.chars().last()].into_iter().flatten().all(|c| c.is_ascii_alphanumeric())
    };
    let is_good = (1..=63).contains(&text.len()) && text.chars().all(is_inner) && ends_well(text);
    is_good.then(|| text.to_owned()).ok_or(
        "write at most 63 letters, digits, dashes, underscores and dots, beginning and ending with a letter or digit, \
         such as 2026-11-25",
    )
}

fn mode(text: &str) -> Result<Mode, &'static str> {
    serde_json::from_value(text.into()).map_err(|_| "write Remove or Observe")
}

impl Args {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            roles: &self.roles,
            permissions: &self.permissions,
            organizations: &self.organizations,
            everything: self.everything,
            all_accounts: self.all_accounts,
        }
    }

    /// Whether the times can be kept: what is too late when it is created is never carried out.
    fn check_times(&self) -> Result<(), CliError> {
        let at = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        let (before, after) = (at(&self.not_before), at(&self.not_after));
        match after {
            Some(after) if after <= clock::wall() => {
                Err(CliError::usage("--not-after has passed: the operator would never carry these objects out"))
            }
            Some(after) if before.is_some_and(|before| after < before) => {
                Err(CliError::usage("--not-after is before --not-before"))
            }
            _ => Ok(()),
        }
    }

    /// Whether nothing was said of whom or what: then a terminal is asked.
    fn is_bare(&self) -> bool {
        self.people.is_empty() && self.from.is_empty() && self.wanted().is_empty()
    }
}

/// Runs the command.
pub async fn run(session: &Session, args: &Args) -> Result<u8, CliError> {
    let screen = &session.screen;
    args.check_times()?;
    let is_asked = args.is_bare() && screen.can_ask;
    let sources = sources::read_files(&args.from, args.column.as_deref())?;
    if !is_asked {
        args.wanted().check(&args.people, &sources)?;
    }
    let cluster = session.cluster()?;
    cluster.one_namespace("what is written")?;
    let named = args.tenant.key(&cluster.namespace);
    let tenant = TenantRef { kind: named.kind(), name: named.name };
    let tenant = if is_asked { wizard::tenant(&cluster, tenant).await? } else { tenant };
    let key = TenantKey::of(&cluster.namespace, &tenant);
    let object = existing(&cluster, &key).await?;
    let domain = object.tenant_spec().domain.clone();
    let mut access = access(&cluster, (&key, &*object), &args.auth0, &args.tenant.operator.namespace, screen).await?;
    screen.note(format!("{} {key}  {domain}   token: {}", key.kind(), access.origin));
    let chosen = if is_asked {
        wizard::ask(&mut access.reads).await
    } else {
        choice::choose(&mut access.reads, &args.people, &sources, &args.wanted(), screen).await
    };
    screen.progress_done();
    let calls = count(access.reads.calls, "call");
    let chosen = chosen.map_err(|error| CliError::failed(format!("nothing was written: {error}   ({calls})")))?;
    let protected = &object.tenant_spec().protected.user_ids;
    if let Some(one) = chosen.iter().find(|one| protected.iter().any(|id| id.as_str() == &*one.account.id)) {
        let id = &one.account.id;
        return Err(CliError::failed(format!("nothing was written: the tenant protects {id}   ({calls})")));
    }
    let place = if is_asked { wizard::place()? } else { Place::of(args.apply, args.dir.as_deref()) };
    confirm(session, args, &domain, &chosen, &place)?;
    let common = Common {
        namespace: cluster.namespace.clone(),
        tenant,
        not_before: args.not_before.clone(),
        not_after: args.not_after.clone(),
        mode: args.mode,
        batch: args.batch.clone(),
        with_names: !args.no_names,
    };
    output::put(session, &cluster, (&chosen, &common, &domain), &place, &calls).await
}

/// Has the person type the tenant's domain, if much is to be written.
fn confirm(session: &Session, args: &Args, domain: &str, chosen: &[Chosen], place: &Place) -> Result<(), CliError> {
    let objects = chosen.iter().map(|one| one.removals.len()).sum();
    let verb = if *place == Place::Cluster { "apply" } else { "write" };
    if chosen.len() <= FEW && (verb == "write" || objects <= FEW) {
        return Ok(());
    }
    let what = format!("{verb} {} about {}", count(objects, "object"), count(chosen.len(), "account"));
    ask(&session.screen, &what, domain, &format!("--confirm {domain}"), args.confirm.as_deref())
}
