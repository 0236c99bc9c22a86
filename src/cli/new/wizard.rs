//! The questions of `new` at a terminal: which tenant, who, what, and where it is to be written.

use std::path::PathBuf;

use kube::{Api, ResourceExt};

use crate::api::{Auth0Tenant, ClusterAuth0Tenant, TenantKind, TenantRef};
use crate::cli::cluster::Cluster;
use crate::cli::error::CliError;
use crate::cli::people::{Account, Accounts, accounts};
use crate::cli::reads::Reads;

use super::choice::{Chosen, name_of};
use super::output::Place;
use super::{holdings, picker};

fn left() -> CliError {
    CliError::failed("you left")
}

/// The tenant object to use: the only one, or the one that is chosen.
pub async fn tenant(cluster: &Cluster, named: TenantRef) -> Result<TenantRef, CliError> {
    if named != TenantRef::default() {
        return Ok(named);
    }
    let own: Api<Auth0Tenant> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let own = cluster.list(&format!("list auth0tenants in namespace {}", cluster.namespace), &own, None).await?;
    let of_cluster: Api<ClusterAuth0Tenant> = Api::all(cluster.client.clone());
    // A person who may not list them uses the others.
    let of_cluster = cluster.list("list clusterauth0tenants", &of_cluster, None).await.unwrap_or_default();
    let mut choices: Vec<(TenantRef, String)> = Vec::new();
    for tenant in &own {
        let reference = TenantRef { kind: TenantKind::Auth0Tenant, name: tenant.name_any() };
        choices.push((reference, format!("{}  {}", tenant.name_any(), tenant.spec.tenant.domain)));
    }
    for tenant in &of_cluster {
        let reference = TenantRef { kind: TenantKind::ClusterAuth0Tenant, name: tenant.name_any() };
        let line = format!("{}  {}  for many namespaces", tenant.name_any(), tenant.spec.tenant.domain);
        choices.push((reference, line));
    }
    if choices.len() < 2 {
        return Ok(choices.pop().map_or(named, |(reference, _)| reference));
    }
    let lines: Vec<String> = choices.iter().map(|(_, line)| line.clone()).collect();
    let at = picker::choose("Which tenant?", &lines)?.ok_or_else(left)?;
    Ok(choices.swap_remove(at).0)
}

/// Who, and what they lose.
pub async fn ask(reads: &mut Reads<'_>) -> Result<Vec<Chosen>, CliError> {
    let account = loop {
        let text = picker::ask("Who? An e-mail address, a name or a user id")?;
        if text.is_empty() {
            return Err(left());
        }
        if let Some(account) = one(accounts(reads, &text).await?)? {
            break account;
        }
    };
    let held = holdings::read(reads, &account.id).await;
    let who = format!("{} {}", name_of(&account), account.id);
    let unread = held.unread.join("; ");
    let prompt = if unread.is_empty() { who } else { format!("{who} (not read: {unread})") };
    if held.is_empty() {
        return Err(CliError::failed(format!("{prompt} holds nothing that could be taken away")));
    }
    let lost = picker::tick_holdings(&prompt, &held)?.ok_or_else(left)?;
    let removals = lost.removals(&account.id);
    if removals.is_empty() {
        return Err(CliError::failed("nothing was ticked"));
    }
    Ok(vec![Chosen { account, removals }])
}

/// The account that is meant; none if there is none.
fn one(found: Accounts) -> Result<Option<Account>, CliError> {
    match found {
        Accounts::One(account) => Ok(Some(account)),
        Accounts::Several(mut several) => {
            let lines: Vec<String> = several.iter().map(|one| format!("{}  {}", one.id, one.about())).collect();
            let at = picker::choose("Several accounts. Which one?", &lines)?.ok_or_else(left)?;
            Ok(Some(several.swap_remove(at)))
        }
        Accounts::Unknown(_) => Ok(None),
    }
}

/// Where the manifests go.
pub fn place() -> Result<Place, CliError> {
    let choices = ["write them into a folder", "print them", "apply them in the cluster"].map(str::to_owned);
    match picker::choose("And then?", &choices)?.ok_or_else(left)? {
        0 => {
            let folder = picker::ask("Which folder?")?;
            if folder.is_empty() { Err(left()) } else { Ok(Place::Folder(PathBuf::from(folder))) }
        }
        1 => Ok(Place::Print),
        _ => Ok(Place::Cluster),
    }
}
