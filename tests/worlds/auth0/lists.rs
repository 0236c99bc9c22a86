//! The lists of a tenant: their pages, what they show late, and the record of those that were read to their end.

use std::collections::BTreeSet;

use rescind::auth0::{CallError, Endpoint, Item, Missing, Read, Rejection};
use serde_json::{Value, json};

use super::{Complete, Cursor, Millis, Outcome, Tenant, Walked};

const PAGE: usize = 50;

impl Tenant {
    /// One page. `lost`: the answer does not reach the client, so the page counts as not read.
    pub(super) fn page(
        &mut self,
        token: u64,
        read: &Read,
        query: &[(&'static str, String)],
        lost: bool,
        now: Millis,
    ) -> Outcome {
        let of = |key: &str| query.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone());
        let (from, page) = (of("from"), of("page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(0));
        let all = self.listed(read, now)?;
        let checkpoint = matches!(read, Read::List(Endpoint::OrganizationMembers { .. }));
        let first = from.is_none() && page == 0;
        let shown: Vec<Item> = if checkpoint {
            let after = match &from {
                Some(from) => {
                    let cursor = self.cursors.get(from).filter(|cursor| cursor.read == *read);
                    cursor.ok_or(CallError::Rejected(Rejection::Paging))?.after.clone()
                }
                None => String::new(),
            };
            all.into_iter().filter(|item| text(item) > after.as_str()).take(PAGE).collect()
        } else {
            all.iter().skip(page * PAGE).take(PAGE).cloned().collect()
        };
        let total = self.listed(read, now)?.len();
        let entries: Vec<Value> = shown.iter().map(|item| entry(read, item)).collect();
        let mut body = json!({ read.list_key(): entries });
        let ends = if checkpoint {
            let more = shown.len() == PAGE || (self.switches.next_on_every_page && !shown.is_empty());
            if let Some(last) = shown.last().filter(|_| more) {
                self.ids += 1;
                let cursor = format!("c{}", self.ids);
                let after = text(last).to_owned();
                self.cursors.insert(cursor.clone(), Cursor { read: read.clone(), after });
                body["next"] = json!(cursor);
            }
            !more
        } else {
            let wrong = self.switches.wrong_totals && matches!(read, Read::UserOrganizations { .. });
            body["start"] = json!(page * PAGE);
            body["limit"] = json!(PAGE);
            body["total"] = json!(if wrong { 0 } else { total });
            if wrong { shown.is_empty() } else { page * PAGE + shown.len() >= total }
        };
        if !lost {
            self.walked(token, read, first, shown, ends, now);
        }
        Ok(body)
    }

    /// Records a page that was read, and the list once its last page was.
    fn walked(&mut self, token: u64, read: &Read, first: bool, shown: Vec<Item>, ends: bool, now: Millis) {
        let key = (token, read.clone());
        if first {
            self.walks.insert(key.clone(), Walked { began: now, seen: BTreeSet::new() });
        }
        let Some(walked) = self.walks.get_mut(&key) else { return };
        walked.seen.extend(shown);
        if ends {
            let Walked { began, seen } = walked.clone();
            self.log.reads.push(Complete { began, read: read.clone(), seen });
        }
    }

    /// What a list shows now. Lists of memberships show what was true `lag` ago.
    fn listed(&self, read: &Read, now: Millis) -> Result<Vec<Item>, CallError> {
        let then = now.saturating_sub(self.lag);
        let not_found = || CallError::NotFound(Missing::Unclear);
        match read {
            Read::List(Endpoint::OrganizationMembers { organization }) => {
                self.organizations.contains(&**organization).then_some(()).ok_or_else(not_found)?;
                let shown = self.users.iter().filter(|user| self.was_member(organization, user, then));
                Ok(shown.map(|user| Item::Id(user.as_str().into())).collect())
            }
            Read::UserOrganizations { user } => {
                self.users.contains(&**user).then_some(()).ok_or(CallError::NotFound(Missing::Subject))?;
                let shown = self.organizations.iter().filter(|organization| self.was_member(organization, user, then));
                Ok(shown.map(|organization| Item::Id(organization.as_str().into())).collect())
            }
            Read::List(endpoint) => {
                match endpoint {
                    Endpoint::OrganizationMemberRoles { organization, user } => {
                        let known = self.organizations.contains(&**organization) && self.is_member(organization, user);
                        known.then_some(()).ok_or_else(not_found)?;
                    }
                    Endpoint::UserRoles { user } | Endpoint::UserPermissions { user } => {
                        self.users.contains(&**user).then_some(()).ok_or(CallError::NotFound(Missing::Subject))?;
                    }
                    Endpoint::OrganizationMembers { .. } => {}
                }
                Ok(self.held.iter().filter(|(at, _)| at == endpoint).map(|(_, item)| item.clone()).collect())
            }
        }
    }
}

fn entry(read: &Read, item: &Item) -> Value {
    match (read, item) {
        (Read::List(Endpoint::OrganizationMembers { .. }), Item::Id(id)) => json!({ "user_id": **id }),
        (_, Item::Id(id)) => json!({ "id": **id }),
        (_, Item::Permission { resource_server, name }) => {
            json!({ "resource_server_identifier": **resource_server, "permission_name": **name })
        }
    }
}

fn text(item: &Item) -> &str {
    match item {
        Item::Id(id) => id,
        Item::Permission { name, .. } => name,
    }
}
