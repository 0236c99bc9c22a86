//! The answer as data: what `-o json` prints.

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::people::Account;
use crate::cli::texts::shown;

use super::tree::Ways;

/// The version of the JSON.
const SCHEMA_VERSION: u32 = 1;
/// What no question looks at.
const BY_DESIGN: [&str; 4] = ["Actions", "app_metadata", "roles in the upstream IdP", "linked secondary accounts"];

/// The answer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    schema_version: u32,
    /// When Auth0 was read.
    pub read_at: Timestamp,
    /// The kind of the tenant object.
    pub kind: String,
    /// The tenant object.
    pub tenant: String,
    /// The domain of the tenant.
    pub domain: String,
    /// Where the token comes from.
    pub token: String,
    /// One for each account.
    pub accounts: Vec<AccountReport>,
    /// What is never looked at.
    pub not_looked_at_by_design: Vec<&'static str>,
    /// Why objects of Rescind were not looked at, or not all of them.
    pub objects_unread: Vec<String>,
    /// How many calls to Auth0 it took.
    pub calls: usize,
}

/// The answer for one account.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountReport {
    /// Auth0's id of the user.
    pub id: String,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many ways are left.
    pub left: usize,
    /// How many things were not looked at.
    pub not_looked_at: usize,
    /// Whether something comes back, or is still valid.
    pub warns: bool,
    /// The trees.
    #[serde(flatten)]
    pub ways: Ways,
}

impl Report {
    /// The answer, so far without accounts.
    pub fn new(read_at: Timestamp, tokens_looked_at: bool) -> Self {
        let mut not_looked_at_by_design = BY_DESIGN.to_vec();
        if !tokens_looked_at {
            not_looked_at_by_design.push("tokens already issued");
        }
        Self {
            schema_version: SCHEMA_VERSION,
            read_at,
            kind: String::new(),
            tenant: String::new(),
            domain: String::new(),
            token: String::new(),
            accounts: Vec::new(),
            not_looked_at_by_design,
            objects_unread: Vec::new(),
            calls: 0,
        }
    }

    /// 0: no way is left. 1: some are left, or something comes back or is still valid. 2: no way is known, but not
    /// everything was looked at.
    pub fn exit_code(&self) -> u8 {
        let any = |is: fn(&AccountReport) -> bool| self.accounts.iter().any(is);
        match () {
            () if any(|account| account.left > 0 || account.warns) => 1,
            () if any(|account| account.not_looked_at > 0) => 2,
            () => 0,
        }
    }
}

impl AccountReport {
    /// The answer for this account.
    pub fn new(account: &Account, mut ways: Ways) -> Self {
        if account.blocked {
            ways.notes.push("The account is blocked, so no one can log in with it.".to_owned());
        }
        if !account.linked.is_empty() {
            let linked: Vec<String> = account.linked.iter().map(|id| shown(id)).collect();
            ways.notes.push(format!("Linked to it: {}.", super::tree::some_of(&linked)));
        }
        if let Some(why) = &account.unread {
            ways.notes.push(format!("Nothing is known of the account but its id: {why}."));
        }
        Self {
            id: account.id.to_string(),
            name: account.name.clone(),
            left: ways.left(),
            not_looked_at: ways.not_looked_at(),
            warns: ways.warns(),
            ways,
        }
    }
}
