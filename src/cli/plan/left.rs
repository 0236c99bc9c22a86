//! What people still have after a plan, and what comes back.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::auth0::{Endpoint, Fact, Item, Question};
use crate::cli::look::Seen;
use crate::cli::reads::Reads;
use crate::cli::texts::shown;

use super::planned::Planned;
use super::verdict::{Act, Judged, Presence};

/// Of so many organizations the connections are read.
const MAX_ORGANIZATIONS: usize = 20;

/// What is left, and what was not looked at.
#[derive(Debug, Default)]
pub struct Left {
    /// One sentence each.
    pub lines: Vec<String>,
    /// One sentence each.
    pub unread: Vec<String>,
}

/// What is left after these objects.
pub async fn left(reads: &mut Reads<'_>, seen: &Seen, planned: &[Planned], judged: &[Judged]) -> Left {
    let mut left = Left::default();
    let removing = || planned.iter().zip(judged).filter(|(_, judged)| matches!(judged.act, Act::Remove | Act::Look));
    let gone: BTreeSet<(&Endpoint, &Item)> = removing()
        .flat_map(|(planned, _)| {
            planned.object.removal.items.iter().map(|item| (&planned.object.removal.endpoint, item))
        })
        .collect();
    for (user, permission, role) in &seen.through {
        let (of_user, of_role) =
            (Endpoint::UserPermissions { user: user.clone() }, Endpoint::UserRoles { user: user.clone() });
        let is_planned = gone.contains(&(&of_user, permission));
        if is_planned && !gone.contains(&(&of_role, &Item::Id(role.clone()))) {
            let role = seen.names.get(role).map_or(&**role, String::as_str);
            left.lines.push(format!("{user} keeps {} through role {}", shown(&permission.to_string()), shown(role)));
        }
    }
    let mut organizations: BTreeSet<Arc<str>> = BTreeSet::new();
    for (planned, _) in removing() {
        let endpoint = &planned.object.removal.endpoint;
        if let Endpoint::OrganizationMembers { organization } = endpoint {
            let is_held = |item: &Item| seen.presence(endpoint, item) == Presence::Held;
            if planned.object.removal.items.iter().any(is_held) {
                organizations.insert(organization.clone());
            }
        }
    }
    if organizations.len() > MAX_ORGANIZATIONS {
        left.unread
            .push(format!("whether a login makes people members again, of {} organizations", organizations.len()));
        return left;
    }
    for organization in organizations {
        match reads.fact(Question::LoginMembership { organization: organization.clone() }).await {
            Ok(Fact::LoginMembership(connections)) if connections.is_empty() => {}
            Ok(Fact::LoginMembership(connections)) => {
                let names: Vec<String> = connections.iter().map(|name| shown(name)).collect();
                left.lines.push(format!("{organization} makes people members again at login ({})", names.join(", ")));
            }
            Ok(_) => {}
            Err(error) => {
                left.unread.push(format!("whether a login makes people members of {organization} again: {error}"))
            }
        }
    }
    left
}
