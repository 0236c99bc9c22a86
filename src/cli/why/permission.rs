//! Every way by which somebody has a permission, and until when tokens have it. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::auth0::Item;
use crate::cli::people::OfApi;
use crate::cli::texts::{count, shown};

use super::objects::written;
use super::parts::View;
use super::tree::{Node, Sign, Ways};
use super::way::Way;

/// The answer to the question about a permission.
pub fn permission(view: &View<'_>, asked: &OfApi, now: Timestamp) -> Ways {
    let item = asked.item();
    let mut below = held_by(view, &item);
    let is_held = below.iter().any(|node| node.sign == Sign::Held);
    let mut ways = Ways::default();
    match tokens(view, asked, is_held, now) {
        Tokens::Line(node) => below.push(node),
        Tokens::Note(note) => ways.notes.push(note),
        Tokens::Nothing => {}
    }
    if asked.settings.as_ref().is_ok_and(|settings| settings.enforces_policies == Some(false)) {
        let detail = format!("RBAC is off for {} in Auth0", shown(&asked.api));
        ways.trees.push(Node::new(Sign::Warning, "permissions do not limit anything here", detail));
    }
    ways.trees.push(Node::heading(format!("{} on {}", shown(&asked.name), shown(&asked.api)), "", below));
    ways
}

/// Every way by which a permission is held, and what was not looked at.
fn held_by(view: &View<'_>, item: &Item) -> Vec<Node> {
    let mut nodes: Vec<Node> = directly(view, item).into_iter().collect();
    let gives = |role: &_| view.facts.role_gives(role, item) == Ok(true);
    let tenant_wide = view.tenant_roles(gives);
    let members = view.member_roles(gives);
    let login_gap = view.login_gap(&members);
    let gives_gap = view.gives_gap();
    let is_grouped = |node: &Node| matches!(node.way, Some(Way::GroupRole { .. } | Way::GroupMemberRole { .. }));
    let any_grouped = tenant_wide.iter().chain(&members).any(is_grouped);
    match view.tenant_roles_gap() {
        Some(gap) => nodes.extend(tenant_wide.into_iter().chain([gap])),
        None if tenant_wide.is_empty() && gives_gap.is_none() => {
            let detail = none_of(view.facts.tenant_roles().len(), "role");
            nodes.push(Node::new(Sign::NotHeld, "tenant-wide roles", detail));
        }
        None => nodes.extend(tenant_wide),
    }
    match view.member_roles_gap() {
        Some(gap) => nodes.extend(members.into_iter().chain([gap])),
        None if members.is_empty() && gives_gap.is_none() => {
            let roles: BTreeSet<_> = view.organizations().flat_map(|(_, roles)| roles.into_keys()).collect();
            nodes.push(Node::new(Sign::NotHeld, "roles in organizations", none_of(roles.len(), "role")));
        }
        None => nodes.extend(members),
    }
    match view.groups_gap(true) {
        Some(gap) => nodes.push(gap),
        None if !any_grouped && gives_gap.is_none() => {
            nodes.push(Node::new(Sign::NotHeld, "groups", "no role that gives it comes through them"));
        }
        None => {}
    }
    nodes.extend(gives_gap);
    nodes.extend(login_gap);
    nodes
}

fn none_of(roles: usize, noun: &str) -> String {
    match roles {
        0 => format!("there is no {noun}"),
        1 => format!("the only {noun} does not give it"),
        _ => format!("none of {} gives it", count(roles, noun)),
    }
}

/// Whether a permission is held directly.
pub fn directly(view: &View<'_>, item: &Item) -> Option<Node> {
    match &view.facts.permissions {
        Ok(held) => {
            let is_held = held.iter().any(|held| held.item == *item && held.direct);
            Way::permission(item).map(|way| view.relation(is_held, "directly".to_owned(), String::new(), way))
        }
        Err(why) => Node::gap("directly", &[], std::iter::once(why)),
    }
}

/// What is to be said of tokens that were issued already.
enum Tokens {
    Line(Node),
    Note(String),
    Nothing,
}

fn tokens(view: &View<'_>, asked: &OfApi, is_held: bool, now: Timestamp) -> Tokens {
    let what = "tokens already issued";
    let settings = match &asked.settings {
        Ok(settings) => settings,
        Err(why) => {
            let gap = Node::gap(what, &[], std::iter::once(why));
            let both = |gap: Node| Node { detail: format!("{} (nor whether RBAC is on)", gap.detail), ..gap };
            return gap.map(both).map_or(Tokens::Nothing, Tokens::Line);
        }
    };
    let Some(seconds) = settings.token_lifetime else {
        return Tokens::Line(Node::new(Sign::Unknown, what, "Auth0 does not say how long they are valid"));
    };
    if seconds == 0 {
        return Tokens::Nothing;
    }
    let lifetime = Duration::from_secs(seconds.into());
    let until = |from: Timestamp| written(from.checked_add(lifetime).unwrap_or(Timestamp::MAX));
    let span = format!("this API's token lifetime: {}", span(seconds));
    if is_held {
        let text = format!("valid until {} at the latest ({span})", until(now));
        return Tokens::Line(Node::new(Sign::Warning, what, text));
    }
    let Some(removed) = view.facts.mentions.iter().filter_map(|mention| mention.removed()).max() else {
        return Tokens::Note(format!("Tokens that were issued before a removal stay valid after it ({span})."));
    };
    let (ends, since) = (until(removed), "counted from the last removal that Rescind knows of");
    if removed.checked_add(lifetime).is_ok_and(|end| end <= now) {
        return Tokens::Line(Node::new(Sign::NotHeld, what, format!("ended {ends}, {since} ({span})")));
    }
    Tokens::Line(Node::new(Sign::Warning, what, format!("valid until {ends} at the latest, {since} ({span})")))
}

/// A time span in the largest unit that fits.
fn span(seconds: u32) -> String {
    match seconds {
        _ if seconds >= 172_800 && seconds.is_multiple_of(86_400) => format!("{} days", seconds / 86_400),
        _ if seconds >= 3600 && seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds >= 60 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// The ways by which each permission is held, by API.
pub fn permissions(view: &View<'_>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for item in view.facts.every_permission() {
        let Item::Permission { resource_server, name } = &item else { continue };
        let gives = |role: &_| view.facts.role_gives(role, &item) == Ok(true);
        let direct = directly(view, &item).filter(|node| node.sign == Sign::Held);
        let mut ways: Vec<Node> = direct.into_iter().chain(view.tenant_roles(gives)).collect();
        ways.extend(view.member_roles(gives).into_iter().map(|node| Node { below: Vec::new(), ..node }));
        let name = shown(name);
        let node = match <[Node; 1]>::try_from(ways) {
            Ok([only]) => {
                let detail = if only.detail.is_empty() { only.what } else { format!("{}; {}", only.what, only.detail) };
                Node { what: name, detail, ..only }
            }
            Err(several) => Node::heading(name, "", several),
        };
        let api = format!("API {}", shown(resource_server));
        match nodes.last_mut().filter(|last| last.what == api) {
            Some(last) => last.below.push(node),
            None => nodes.push(Node::heading(api, "", vec![node])),
        }
    }
    let flat: Vec<Node> = nodes
        .iter()
        .flat_map(|api| &api.below)
        .flat_map(|node| [node].into_iter().chain(&node.below))
        .cloned()
        .collect();
    nodes.extend(view.gone(&flat, |way| match way {
        Way::Permission { api, permission } if view.facts.permissions.is_ok() => {
            Some((format!("{} on {}", shown(permission), shown(api)), "directly".to_owned()))
        }
        Way::Permission { .. } | Way::Role { .. } | Way::GroupRole { .. } | Way::Membership { .. } => None,
        Way::MemberRole { .. } | Way::GroupMemberRole { .. } => None,
    }));
    nodes.extend(Node::gap("directly", &[], view.facts.permissions.as_ref().err().into_iter()));
    nodes.extend(view.gives_gap());
    nodes
}
