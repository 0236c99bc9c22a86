//! Which reads show whether items are there, and the two calls every read and removal goes through.

use std::collections::BTreeSet;

use crate::auth0::{CallError, Endpoint, Item, Read, Walk, WalkError, WalkStep};

use super::caller::Caller;

/// Why a read gave no answer.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The last look said no.
    Dropped,
    /// A call failed.
    Call(CallError),
}

impl From<WalkError> for ReadError {
    fn from(error: WalkError) -> Self {
        Self::Call(CallError::Unavailable(match error {
            WalkError::Malformed => "a page of Auth0's list was not readable",
            WalkError::Torn => "the list in Auth0 changed while it was read",
            WalkError::TooLong => "Auth0's list is longer than it lets be read",
        }))
    }
}

/// Reads which of `items` are at `endpoint`, completely or not at all.
pub(super) async fn present(
    caller: &Caller<'_>,
    endpoint: &Endpoint,
    items: &BTreeSet<Item>,
) -> Result<BTreeSet<Item>, ReadError> {
    let list = Read::List(endpoint.clone());
    let Endpoint::OrganizationMembers { organization } = endpoint else {
        return walk(caller, list, items.clone(), usize::MAX).await?.ok_or_else(|| WalkError::Torn.into());
    };
    // Asking person by person costs a call each; walking the list costs its unknown length. So walk for as many calls
    // as there are persons, then ask: at most twice the better of the two.
    if items.len() > 1
        && let Some(found) = walk(caller, list.clone(), items.clone(), items.len()).await?
    {
        return Ok(found);
    }
    let mut found = BTreeSet::new();
    for item in items {
        match is_member(caller, organization, item).await {
            Ok(false) => {}
            Ok(true) => drop(found.insert(item.clone())),
            // In too many organizations to read them all: the organization's own list has no such end.
            Err(ReadError::Call(CallError::Unavailable(_))) if items.len() == 1 => {
                return walk(caller, list, items.clone(), usize::MAX).await?.ok_or_else(|| WalkError::Torn.into());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Whether a user is a member; a user who does not exist is none (auth0-api.md 2.1).
pub(super) async fn is_member(caller: &Caller<'_>, organization: &str, user: &Item) -> Result<bool, ReadError> {
    let Item::Id(user) = user else { return Ok(false) };
    let read = Read::UserOrganizations { user: user.clone() };
    let wanted = BTreeSet::from([Item::Id(organization.to_owned())]);
    match walk(caller, read, wanted, usize::MAX).await {
        Ok(found) => Ok(found.is_some_and(|found| !found.is_empty())),
        Err(ReadError::Call(CallError::NotFound)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Walks a list to its end; `None` if that takes more than `budget` calls.
pub(super) async fn walk(
    caller: &Caller<'_>,
    read: Read,
    wanted: BTreeSet<Item>,
    budget: usize,
) -> Result<Option<BTreeSet<Item>>, ReadError> {
    let mut walk = Walk::new(read, wanted);
    while walk.pages() < budget {
        let page = caller.page(&walk).await?;
        if let WalkStep::Done(found) = walk.take(&page)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
