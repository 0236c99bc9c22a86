//! Finds what people name: accounts by id, e-mail address or name; roles and organizations by id or name; a permission
//! by its API and its name. What is unknown or not clear is an error that names what could be meant.

use std::sync::Arc;

use serde_json::Value;

use crate::api::{is_organization_id, is_permission_name, is_resource_server_identifier, is_role_id, is_user_id};
use crate::auth0::{ApiSettings, Fact, Item, Lookup, Question};

use super::error::CliError;
use super::reads::{ReadError, Reads};
use super::texts::{count, shown};

/// How many candidates an error names.
const CANDIDATES: usize = 8;

/// An account in Auth0. Everything but the id is text from Auth0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Auth0's id of the user.
    pub id: Arc<str>,
    /// The name, unless Auth0 shows the id in its place.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The time of the last login, as Auth0 writes it.
    pub last_login: Option<String>,
    /// The number of logins.
    pub logins: Option<u64>,
    /// Whether the account is blocked.
    pub blocked: bool,
    /// The ids of the accounts that are linked to this one. They are no users of their own any more.
    pub linked: Vec<String>,
    /// Why nothing else is known of the account, if it could not be read.
    pub unread: Option<ReadError>,
}

impl Account {
    /// The account of this id, of which nothing else is known.
    pub fn unread(id: &str, why: ReadError) -> Self {
        Self { id: id.into(), unread: Some(why), ..Self::default() }
    }

    /// Reads an entry of a list of users.
    fn read(entry: &Value) -> Option<Self> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let id = text("user_id")?;
        let linked = entry.get("identities").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let linked = linked.iter().filter_map(identity).filter(|linked| linked != id).collect();
        Some(Self {
            id: id.into(),
            name: text("name").filter(|name| *name != id).map(str::to_owned),
            email: text("email").map(str::to_owned),
            last_login: text("last_login").map(str::to_owned),
            logins: entry.get("logins_count").and_then(Value::as_u64),
            blocked: entry.get("blocked").and_then(Value::as_bool).unwrap_or_default(),
            linked,
            unread: None,
        })
    }

    /// Name, last login and logins, for a list of several accounts.
    pub fn about(&self) -> String {
        let name = self.name.as_ref().map_or_else(|| "no name".to_owned(), |name| shown(name));
        let login = match &self.last_login {
            Some(time) => format!("last login {}", shown(time)),
            None => "no login".to_owned(),
        };
        let logins =
            self.logins.map(|logins| format!(", {}", count(usize::try_from(logins).unwrap_or(usize::MAX), "login")));
        let blocked = if self.blocked { ", blocked" } else { "" };
        format!("{name}   {login}{}{blocked}", logins.unwrap_or_default())
    }
}

fn identity(identity: &Value) -> Option<String> {
    let provider = identity.get("provider")?.as_str()?;
    let id = identity.get("user_id")?;
    let id = id.as_str().map(str::to_owned).or_else(|| id.as_u64().map(|id| id.to_string()))?;
    Some(format!("{provider}|{id}"))
}

/// The accounts that somebody's text can mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// Exactly one.
    One(Account),
    /// Several share the e-mail address or the name.
    Several(Vec<Account>),
    /// None. The text says what was looked for, and ends without a full stop.
    Unknown(String),
}

/// Finds the accounts that `text` means: an id (`auth0|…`), an e-mail address, or the exact name. An id needs no right
/// to read: see [`Account::unread`]. Names are found by Auth0's search, which may not know changes of the last seconds.
pub async fn accounts(reads: &mut Reads<'_>, text: &str) -> Result<Accounts, CliError> {
    if is_user_id(text) {
        return Ok(match reads.look_up(Lookup::User(text.into())).await {
            Ok(entries) => one(text, &entries),
            Err(ReadError::NotFound) => Accounts::Unknown(format!("Auth0 knows no user {}", shown(text))),
            Err(why) => Accounts::One(Account::unread(text, why)),
        });
    }
    let is_email = text.contains('@');
    let lookup = if is_email { Lookup::UsersByEmail } else { Lookup::UsersByName };
    let mut entries = read(reads, lookup(text.into()), &format!("who {} is", shown(text))).await?;
    let lower = text.to_lowercase();
    if is_email && lower != text {
        // Auth0 takes capitals seriously here, and stores addresses of its own databases without them.
        entries.extend(read(reads, lookup(lower.into()), &format!("who {} is", shown(text))).await?);
    }
    let mut found: Vec<Account> = entries.iter().filter_map(Account::read).collect();
    if !is_email {
        found.retain(|account| account.name.as_deref() == Some(text));
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    let what = if is_email { "the e-mail address" } else { "exactly the name" };
    Ok(match found.len() {
        0 => Accounts::Unknown(format!("no account has {what} {}", shown(text))),
        1 => Accounts::One(found.remove(0)),
        _ => Accounts::Several(found),
    })
}

fn one(id: &str, entries: &[Value]) -> Accounts {
    // Another user's answer would be no answer.
    match entries.first().and_then(Account::read).filter(|account| &*account.id == id) {
        Some(account) => Accounts::One(account),
        None => {
            Accounts::One(Account::unread(id, ReadError::Failed("Auth0's answer is about another user".to_owned())))
        }
    }
}

/// A role or an organization.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Auth0's id.
    pub id: Arc<str>,
    /// The name that people know, text from Auth0. None: it could not be read.
    pub name: Option<String>,
}

impl Named {
    /// Reads an entry of a list: organizations have a display name beside their name.
    pub fn read(entry: &Value) -> Option<Self> {
        let text = |key: &str| entry.get(key)?.as_str().filter(|text| !text.is_empty());
        Some(Self { id: text("id")?.into(), name: text("display_name").or_else(|| text("name")).map(str::to_owned) })
    }

    /// The name and the id, or the id alone.
    pub fn both(&self) -> String {
        match &self.name {
            Some(name) => format!("{} ({})", shown(name), self.id),
            None => self.id.to_string(),
        }
    }
}

/// The role that `text` means: its id or its exact name.
pub async fn role(reads: &mut Reads<'_>, text: &str) -> Result<Named, CliError> {
    if is_role_id(text) {
        return by_id(reads, Lookup::Role(text.into()), ("role", text)).await;
    }
    let found = read(reads, Lookup::RolesByName(text.into()), &format!("role {}", shown(text))).await?;
    pick("role", text, &found, |entry| field(entry, "name") == Some(text))
}

/// The organization that `text` means: its id, its name or its exact display name.
pub async fn organization(reads: &mut Reads<'_>, text: &str) -> Result<Named, CliError> {
    if is_organization_id(text) {
        return by_id(reads, Lookup::Organization(text.into()), ("organization", text)).await;
    }
    let what = format!("organization {}", shown(text));
    let can_be_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if text.chars().all(can_be_name) && !text.starts_with('.') {
        match reads.look_up(Lookup::OrganizationByName(text.into())).await {
            Ok(found) => {
                let found = found.first().filter(|entry| field(entry, "name") == Some(text));
                if let Some(named) = found.and_then(Named::read) {
                    return Ok(named);
                }
            }
            Err(ReadError::NotFound) => {}
            Err(why) => return Err(unread(&what, &why)),
        }
    }
    let all = read(reads, Lookup::Organizations, &what).await?;
    let is_it = |entry: &Value| ["name", "display_name"].iter().any(|key| field(entry, key) == Some(text));
    pick("organization", text, &all, is_it)
}

/// The entry that `text` means, of those that were read completely. Unknown or ambiguous is an error.
pub fn pick(what: &str, text: &str, entries: &[Value], is_it: impl Fn(&Value) -> bool) -> Result<Named, CliError> {
    let mut found: Vec<Named> = entries.iter().filter(|entry| is_it(entry)).filter_map(Named::read).collect();
    found.sort();
    found.dedup();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => {
            let lower = text.to_lowercase();
            let is_like = |entry: &&Value| {
                let has = |key: &str| field(entry, key).is_some_and(|name| name.to_lowercase().contains(&lower));
                has("name") || has("display_name")
            };
            let like: Vec<Named> = entries.iter().filter(is_like).filter_map(Named::read).collect();
            let like = if like.is_empty() { String::new() } else { format!("; do you mean {}?", list(&like)) };
            Err(CliError::failed(format!("there is no {what} named exactly {}{like}", shown(text))))
        }
        several => Err(CliError::failed(format!(
            "{} are named {}: {}. Name the one that you mean by its id",
            count(several, what),
            shown(text),
            list(&found)
        ))),
    }
}

async fn by_id(reads: &mut Reads<'_>, lookup: Lookup, (what, id): (&str, &str)) -> Result<Named, CliError> {
    match reads.look_up(lookup).await {
        Ok(entries) => {
            let named = entries.first().and_then(Named::read).filter(|named| &*named.id == id);
            Ok(named.unwrap_or_else(|| Named { id: id.into(), name: None }))
        }
        Err(ReadError::NotFound) => Err(CliError::failed(format!("Auth0 knows no {what} {id}"))),
        // An id says enough.
        Err(ReadError::Scope(_) | ReadError::Failed(_)) => Ok(Named { id: id.into(), name: None }),
    }
}

/// A permission of an API, with the settings of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfApi {
    /// The identifier (audience) of the API.
    pub api: Arc<str>,
    /// The name of the permission.
    pub name: Arc<str>,
    /// The settings of the API, or why they are not known.
    pub settings: Result<ApiSettings, ReadError>,
}

impl OfApi {
    /// As an item of a removal.
    pub fn item(&self) -> Item {
        Item::Permission { resource_server: self.api.clone(), name: self.name.clone() }
    }
}

/// The permission that `API:NAME` means. Both may have colons, so Auth0 is asked which API there is; if it may not be
/// asked, the likeliest is taken. Whether the API has the permission is not looked at.
pub async fn permission(reads: &mut Reads<'_>, text: &str) -> Result<OfApi, CliError> {
    let splits = splits(text);
    let wrong = || {
        CliError::usage(format!(
            "{} names no permission: write API:NAME, such as https://api.example.com/:read:reports, or the two with a \
             space between them",
            shown(text)
        ))
    };
    let mut likeliest = None;
    for (api, name) in &splits {
        let Some(question) = Question::api_settings(api) else { continue };
        let found = |settings| OfApi { api: api.clone(), name: name.clone(), settings };
        match reads.fact(question).await {
            Ok(Fact::ApiSettings(settings)) => return Ok(found(Ok(settings))),
            Err(ReadError::NotFound) => {}
            Err(why @ ReadError::Scope(_)) => return Ok(found(Err(why))),
            Err(why) => likeliest = likeliest.or_else(|| Some(found(Err(why)))),
            Ok(_) => {}
        }
    }
    if let Some(likeliest) = likeliest {
        return Ok(likeliest);
    }
    let apis: Vec<String> = splits.iter().map(|(api, _)| shown(api)).collect();
    if apis.is_empty() {
        return Err(wrong());
    }
    Err(CliError::failed(format!("Auth0 knows no API with the identifier {}", apis.join(" or "))))
}

/// Every way to read `API:NAME` or `API NAME`, the likeliest first: that is a space, then the first colon which belongs
/// neither to `https://` nor to a port, and after it the later ones.
pub fn splits(text: &str) -> Vec<(Arc<str>, Arc<str>)> {
    let at_space = text.split_once(' ').into_iter();
    let ways = at_space.chain(text.match_indices(':').map(|(at, _)| (&text[..at], &text[at + 1..])));
    let can_be = ways.filter(|(api, name)| {
        is_resource_server_identifier(api) && is_permission_name(name) && !name.starts_with("//")
    });
    let (ports, mut others): (Vec<_>, Vec<_>) = can_be.partition(|(_, name)| {
        let rest = name.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.len() < name.len() && (rest.starts_with('/') || rest.starts_with(':'))
    });
    others.extend(ports);
    others.into_iter().map(|(api, name)| (api.into(), name.into())).collect()
}

async fn read(reads: &mut Reads<'_>, lookup: Lookup, what: &str) -> Result<Vec<Value>, CliError> {
    reads.look_up(lookup).await.map_err(|why| unread(what, &why))
}

fn unread(what: &str, why: &ReadError) -> CliError {
    CliError::failed(format!("cannot find out {what}: {why}; an id in its place needs no look-up"))
}

fn field<'a>(entry: &'a Value, key: &str) -> Option<&'a str> {
    entry.get(key).and_then(Value::as_str)
}

fn list(found: &[Named]) -> String {
    let more = found.len().saturating_sub(CANDIDATES);
    let named: Vec<String> = found.iter().take(CANDIDATES).map(Named::both).collect();
    if more > 0 { format!("{} and {more} more", named.join(", ")) } else { named.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_account_is_read_as_far_as_auth0_shows_it() {
        let entry = json!({
            "user_id": "auth0|1", "name": "auth0|1", "email": "a@b", "logins_count": 2, "blocked": true,
            "last_login": "2026-01-01T00:00:00.000Z",
            "identities": [{"provider": "auth0", "user_id": "1"}, {"provider": "github", "user_id": 77}],
        });
        let account = Account::read(&entry).unwrap();
        assert_eq!((account.name.as_deref(), &account.linked[..]), (None, &["github|77".to_owned()][..]));
        assert_eq!(account.about(), "no name   last login 2026-01-01T00:00:00.000Z, 2 logins, blocked");
        assert_eq!(Account::read(&json!({"name": "x"})), None);
        assert_eq!(Account::read(&json!({"user_id": "a|b", "name": "X\n"})).unwrap().about(), "X\\u000a   no login");
    }

    #[test]
    fn a_name_means_exactly_one() {
        let entries = [
            json!({"id": "rol_1", "name": "Admin"}),
            json!({"id": "rol_2", "name": "admin"}),
            json!({"id": "rol_3", "name": "Twin"}),
            json!({"id": "rol_4", "name": "Twin"}),
        ];
        let pick = |text: &str| pick("role", text, &entries, |entry| field(entry, "name") == Some(text));
        assert_eq!(pick("admin").unwrap().id, "rol_2".into());
        let says = |text: &str| pick(text).unwrap_err().to_string();
        assert_eq!(says("ADMIN"), "there is no role named exactly ADMIN; do you mean Admin (rol_1), admin (rol_2)?");
        assert_eq!(
            says("Twin"),
            "2 roles are named Twin: Twin (rol_3), Twin (rol_4). Name the one that you mean by its id"
        );
        assert_eq!(says("x"), "there is no role named exactly x");
    }

    #[test]
    fn the_likeliest_split_of_a_permission_comes_first() {
        let first = |text: &str| splits(text).first().map(|(api, name)| (api.to_string(), name.to_string()));
        for (text, api, name) in [
            ("https://reports.acme.com:Reports:read", "https://reports.acme.com", "Reports:read"),
            ("https://api:8080/v1:read:x", "https://api:8080/v1", "read:x"),
            ("https://api:8080:read:x", "https://api:8080", "read:x"),
            ("my-api:read", "my-api", "read"),
            ("urn:acme:api read:x", "urn:acme:api", "read:x"),
        ] {
            assert_eq!(first(text), Some((api.to_owned(), name.to_owned())));
        }
        assert_eq!(splits("urn:acme:api:read").len(), 3);
        assert_eq!([splits("https://a"), splits("read"), splits(":x"), splits("x:")], [const { Vec::new() }; 4]);
    }
}
