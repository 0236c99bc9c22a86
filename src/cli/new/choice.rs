//! Whom and what is meant. What is not clear, not known, or could not be read is an error, and then nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::{is_permission_name, is_resource_server_identifier};
use crate::auth0::{Endpoint, Item};
use crate::cli::error::CliError;
use crate::cli::people::{Account, Accounts, accounts, organization, permission, role};
use crate::cli::reads::Reads;
use crate::cli::screen::Screen;
use crate::cli::texts::{count, shown};

use super::holdings;
use super::loss::{Holdings, NamedRemoval, Permission};
use super::sources::{Person, Sourced};

/// What the flags ask for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Roles, by name or id.
    pub roles: &'a [String],
    /// Permissions, as `API:NAME`.
    pub permissions: &'a [String],
    /// Organizations, by name or id.
    pub organizations: &'a [String],
    /// Everything that is held.
    pub everything: bool,
    /// All accounts of an address or a name.
    pub all_accounts: bool,
}

/// What is taken from one account.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The account.
    pub account: Account,
    /// The removals.
    pub removals: Vec<NamedRemoval>,
}

impl Wanted<'_> {
    /// Whether nothing is asked for.
    pub const fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.permissions.is_empty() && self.organizations.is_empty() && !self.everything
    }

    /// Whether it is said whom and what is meant.
    pub fn check(&self, people: &[String], sources: &Sourced) -> Result<(), CliError> {
        if people.is_empty() && sources.people.is_empty() {
            let text = if sources.grants.is_empty() {
                "name the people: e-mail addresses, names or user ids, or a file with --from"
            } else {
                "the file says what many people hold; name the user ids from whom it is to be taken"
            };
            return Err(CliError::usage(text));
        }
        if self.is_empty() && sources.grants.is_empty() {
            return Err(CliError::usage("say what to take away: --everything, --role, --permission or --org"));
        }
        Ok(())
    }
}

/// What the flags and files ask for, by account.
pub async fn choose(
    reads: &mut Reads<'_>,
    people: &[String],
    sources: &Sourced,
    wanted: &Wanted<'_>,
    screen: &Screen,
) -> Result<Vec<Chosen>, CliError> {
    sources.skipped.iter().for_each(|why| screen.note(format!("  left out: {why}")));
    let typed = people.iter().map(|text| Person { text: text.clone(), at: 0 });
    let all: Vec<Person> = typed.chain(sources.people.iter().cloned()).collect();
    let mut found: Vec<Account> = Vec::new();
    let mut unclear = 0;
    for person in &all {
        match who(reads, person, wanted.all_accounts, screen).await? {
            Some(accounts) => found.extend(accounts),
            None => unclear += 1,
        }
    }
    if unclear > 0 {
        let of = count(all.len(), "person").replace("persons", "people");
        return Err(CliError::failed(format!(
            "{unclear} of {of} {} not clear. Name the account by its id, or add --all-accounts.",
            if unclear == 1 { "is" } else { "are" }
        )));
    }
    let mut seen = BTreeSet::new();
    found.retain(|account| seen.insert(account.id.clone()));
    let named = named(reads, wanted, &found).await?;
    let mut chosen = Vec::new();
    for account in found {
        let mut removals = grants_of(sources, &account.id);
        if !wanted.is_empty() {
            let held = if wanted.everything { everything(reads, &account).await? } else { named.clone() };
            screen.note(format!("  {}   {}   {}", shown(&account.id), name_of(&account), held.summary()));
            removals.extend(held.removals(&account.id));
        }
        if !removals.is_empty() {
            chosen.push(Chosen { account, removals });
        }
    }
    if chosen.is_empty() {
        return Err(CliError::failed("the people hold nothing that could be taken away"));
    }
    Ok(chosen)
}

/// The accounts that a text means. None: it is not clear, and the person was told.
async fn who(
    reads: &mut Reads<'_>,
    person: &Person,
    all_accounts: bool,
    screen: &Screen,
) -> Result<Option<Vec<Account>>, CliError> {
    let at = if person.at == 0 { String::new() } else { format!(" (entry {})", person.at) };
    match accounts(reads, &person.text).await? {
        Accounts::One(account) => Ok(Some(vec![account])),
        Accounts::Several(several) if all_accounts => Ok(Some(several)),
        Accounts::Several(several) => {
            let what = if person.text.contains('@') { "address" } else { "name" };
            let accounts = count(several.len(), "account");
            screen.note(format!("  {}{at}   {accounts} have this {what}:", shown(&person.text)));
            several.iter().for_each(|one| screen.note(format!("      {}   {}", shown(&one.id), one.about())));
            Ok(None)
        }
        Accounts::Unknown(why) => {
            screen.note(format!("  {}{at}   {why}", shown(&person.text)));
            Ok(None)
        }
    }
}

/// The name and the address of an account.
pub fn name_of(account: &Account) -> String {
    let name = account.name.as_deref().map(shown).unwrap_or_default();
    match account.email.as_deref().filter(|email| Some(*email) != account.name.as_deref()) {
        Some(email) if name.is_empty() => shown(email),
        Some(email) => format!("{name} <{}>", shown(email)),
        None => name,
    }
}

/// Everything that the account holds, by a complete read of everything.
async fn everything(reads: &mut Reads<'_>, account: &Account) -> Result<Holdings, CliError> {
    let held = holdings::read(reads, &account.id).await;
    if held.unread.is_empty() {
        return Ok(held);
    }
    let id = shown(&account.id);
    let unread = held.unread.join("; ");
    Err(CliError::failed(format!(
        "what {id} holds could not be read completely: {unread}. --everything needs all of it"
    )))
}

/// What the flags name, with ids.
async fn named(reads: &mut Reads<'_>, wanted: &Wanted<'_>, accounts: &[Account]) -> Result<Holdings, CliError> {
    let mut loss = Holdings::default();
    let mut roles = BTreeSet::new();
    for text in wanted.roles {
        roles.insert(role(reads, text).await?);
    }
    for text in wanted.permissions {
        loss.permissions.insert(of_api(reads, text, accounts).await?);
    }
    let mut organizations = BTreeSet::new();
    for text in wanted.organizations {
        organizations.insert(organization(reads, text).await?);
    }
    match (organizations.is_empty(), roles.is_empty()) {
        (true, _) => loss.roles = roles,
        (false, true) => loss.organizations = organizations,
        (false, false) => {
            loss.member_roles = organizations.into_iter().map(|organization| (organization, roles.clone())).collect();
        }
    }
    Ok(loss)
}

/// The permission that a flag names: one that the first account holds, else the API and the name around a space, else
/// Auth0 is asked which API there is.
async fn of_api(reads: &mut Reads<'_>, text: &str, accounts: &[Account]) -> Result<Permission, CliError> {
    let direct =
        |api: &str, name: &str| Permission { api: api.into(), name: name.into(), through: Vec::new(), is_direct: true };
    if let Some(account) = accounts.first() {
        let held = holdings::permissions(reads, &account.id).await.unwrap_or_default();
        let mut meant = held.iter().filter(|held| {
            [format!("{}:{}", held.api, held.name), format!("{} {}", held.api, held.name)].contains(&text.to_owned())
        });
        if let (Some(one), None) = (meant.next(), meant.next()) {
            return Ok(direct(&one.api, &one.name));
        }
    }
    if let Some((api, name)) = text.split_once(' ').filter(|_| text.matches(' ').count() == 1) {
        let (api, name) = (api.trim(), name.trim());
        if is_resource_server_identifier(api) && is_permission_name(name) {
            return Ok(direct(api, name));
        }
    }
    let found = permission(reads, text).await?;
    match &found.settings {
        Ok(_) => Ok(direct(&found.api, &found.name)),
        Err(why) => Err(CliError::failed(format!(
            "which API {} means could not be found out ({why}). Write the API and the permission with a space between \
             them",
            shown(text)
        ))),
    }
}

/// What a file says that this user holds.
fn grants_of(sources: &Sourced, user: &Arc<str>) -> Vec<NamedRemoval> {
    let mut removals: BTreeMap<&Endpoint, Vec<Item>> = BTreeMap::new();
    for (endpoint, item) in &sources.grants {
        let is_member = matches!(item, Item::Id(id) if id == user && endpoint.user().is_none());
        if is_member || endpoint.user() == Some(user) {
            removals.entry(endpoint).or_default().push(item.clone());
        }
    }
    removals.into_iter().flat_map(|(endpoint, items)| NamedRemoval::unnamed(endpoint, &items)).collect()
}
