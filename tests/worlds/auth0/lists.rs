//! The lists of a tenant: their pages, what they show late, and the record of those that were read to their end.

use std::collections::BTreeSet;

use rescind::auth0::{CallError, Endpoint, Item, Missing, Question, Read, Rejection};
use serde_json::{Value, json};

use super::{Client, Complete, Cursor, Millis, Outcome, Tenant, Walked};

const PAGE: usize = 50;

impl Tenant {
    /// One page. `lost`: the answer does not reach the client, so the page counts as not read.
    pub(super) fn page(
        &mut self,
        client: Client,
        read: &Read,
        query: &[(&'static str, String)],
        lost: bool,
        now: Millis,
    ) -> Outcome {
        let of = |key: &str| query.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone());
        if let Read::Answer(question) = read {
            return self.settings(question);
        }
        let all = self.listed(read, now)?;
        if matches!(read, Read::List(Endpoint::OrganizationMembers { .. })) {
            return self.page_by_cursor(read, all, of("from"), lost, now);
        }
        let page = of("page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(0);
        let shown: Vec<Item> = all.iter().skip(page * PAGE).take(PAGE).cloned().collect();
        let wrong = self.switches.wrong_totals && matches!(read, Read::UserOrganizations { .. });
        let ends = if wrong { shown.is_empty() } else { page * PAGE + shown.len() >= all.len() };
        let mut body = body(read, &shown);
        body["start"] = json!(page * PAGE);
        body["limit"] = json!(PAGE);
        body["total"] = json!(if wrong { 0 } else { all.len() });
        if !lost {
            self.delivered(read, &shown, now);
            let key = (client, read.clone());
            let before = if page == 0 { Some(Walked::new(now)) } else { self.walks.remove(&key) };
            if let Some(walked) = before.and_then(|walked| self.walked(read, walked, &shown, ends)) {
                self.walks.insert(key, walked);
            }
        }
        Ok(body)
    }

    /// The settings of an API or of an organization's connections, which never change here.
    fn settings(&self, question: &Question) -> Outcome {
        match question {
            Question::ApiSettings { identifier } if self.apis.contains(&**identifier) => {
                Ok(json!({ "identifier": **identifier, "enforce_policies": true, "token_lifetime": 86400 }))
            }
            Question::LoginMembership { organization } if self.organizations.contains(&**organization) => {
                Ok(json!({ "enabled_connections": [], "start": 0, "limit": PAGE, "total": 0 }))
            }
            _ => Err(CallError::NotFound(Missing::Unclear)),
        }
    }

    /// A page of a list whose pages are found by a cursor, each of which belongs to one reader.
    fn page_by_cursor(
        &mut self,
        read: &Read,
        all: Vec<Item>,
        from: Option<String>,
        lost: bool,
        now: Millis,
    ) -> Outcome {
        let (after, before) = match from {
            Some(from) => {
                let cursor = self.cursors.get(&from).filter(|cursor| cursor.read == *read);
                let cursor = cursor.ok_or(CallError::Rejected(Rejection::Paging))?;
                (cursor.after.clone(), cursor.walked.clone())
            }
            None => (String::new(), Some(Walked::new(now))),
        };
        let shown: Vec<Item> = all.into_iter().filter(|item| text(item) > after.as_str()).take(PAGE).collect();
        if !lost {
            self.delivered(read, &shown, now);
        }
        let mut body = body(read, &shown);
        let more = shown.len() == PAGE || (self.switches.next_on_every_page && !shown.is_empty());
        let walked = before.filter(|_| !lost).and_then(|walked| self.walked(read, walked, &shown, !more));
        if let Some(last) = shown.last().filter(|_| more) {
            self.ids += 1;
            let cursor = format!("c{}", self.ids);
            let after = text(last).to_owned();
            self.cursors.insert(cursor.clone(), Cursor { read: read.clone(), after, walked });
            body["next"] = json!(cursor);
        }
        Ok(body)
    }

    fn delivered(&mut self, read: &Read, shown: &[Item], now: Millis) {
        self.log.pages.push(Complete { began: now, read: read.clone(), seen: shown.iter().cloned().collect() });
    }

    /// Adds a page that was read. If it was the last one, records the list; else returns what was read so far.
    fn walked(&mut self, read: &Read, mut walked: Walked, shown: &[Item], ends: bool) -> Option<Walked> {
        walked.seen.extend(shown.iter().cloned());
        if !ends {
            return Some(walked);
        }
        let Walked { began, seen } = walked;
        self.log.reads.push(Complete { began, read: read.clone(), seen });
        None
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
            Read::Answer(_) | Read::Lookup(_) => Ok(Vec::new()),
            Read::List(endpoint) => {
                match endpoint {
                    Endpoint::OrganizationMemberRoles { organization, user } => {
                        let is_listed = self.switches.late_member_roles && self.was_member(organization, user, then);
                        let known = self.organizations.contains(&**organization)
                            && (is_listed || self.is_member(organization, user));
                        known.then_some(()).ok_or_else(not_found)?;
                    }
                    Endpoint::UserRoles { user } | Endpoint::UserPermissions { user } => {
                        self.users.contains(&**user).then_some(()).ok_or(CallError::NotFound(Missing::Subject))?;
                    }
                    Endpoint::OrganizationMembers { .. } => {}
                }
                Ok(self.held.keys().filter(|(at, _)| at == endpoint).map(|(_, item)| item.clone()).collect())
            }
        }
    }
}

impl Walked {
    const fn new(began: Millis) -> Self {
        Self { began, seen: BTreeSet::new() }
    }
}

fn body(read: &Read, shown: &[Item]) -> Value {
    let entries: Vec<Value> = shown.iter().map(|item| entry(read, item)).collect();
    json!({ read.list_key(): entries })
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
