//! Every way by which somebody has a role, is a member of an organization, or has anything. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::cli::people::Named;
use crate::cli::texts::shown;

use super::facts::Asked;
use super::parts::{Lines, View, name_of};
use super::permission::{permission, permissions};
use super::tree::{Node, Sign, Ways, some_of};
use super::way::Way;

/// The answer to what was asked.
pub fn ways(view: &View<'_>, asked: Asked<'_>, now: Timestamp) -> Ways {
    let trees = match asked {
        Asked::Permission(of_api) => return permission(view, of_api, now),
        Asked::All => all(view),
        Asked::Role(named) => vec![role(view, named)],
        Asked::Organization(named) => vec![organization(view, named)],
    };
    Ways { trees, notes: Vec::new() }
}

fn role(view: &View<'_>, asked: &Named) -> Node {
    let view = &View { lines: Lines::Places, ..*view };
    let is_it = |id: &Arc<str>| *id == asked.id;
    let tenant_wide = view.tenant_roles(is_it);
    let members = view.member_roles(is_it);
    let login_gap = view.login_gap(&members);
    let mut below = Vec::new();
    match view.tenant_roles_gap() {
        Some(gap) => below.extend(tenant_wide.into_iter().chain([gap])),
        None if !tenant_wide.iter().any(|node| matches!(node.way, Some(Way::Role { .. }))) => {
            let way = Way::Role { role: asked.id.clone() };
            below.push(view.relation(false, "directly".to_owned(), String::new(), way));
            below.extend(tenant_wide);
        }
        None => below.extend(tenant_wide),
    }
    let is_empty = members.is_empty();
    below.extend(members);
    match view.member_roles_gap() {
        Some(gap) => below.push(gap),
        None => {
            let gone = view.gone(&below, |way| match way {
                Way::MemberRole { organization, role } if *role == asked.id => {
                    Some((format!("in {}", organization_name(view, organization)), String::new()))
                }
                Way::Permission { .. } | Way::Role { .. } | Way::GroupRole { .. } => None,
                Way::Membership { .. } | Way::MemberRole { .. } | Way::GroupMemberRole { .. } => None,
            });
            if is_empty && gone.is_empty() {
                below.push(Node::new(Sign::NotHeld, "in organizations", "in none of them"));
            }
            below.extend(gone);
        }
    }
    match view.groups_gap(true) {
        Some(gap) => below.push(gap),
        None if !below.iter().any(is_grouped) => {
            below.push(Node::new(Sign::NotHeld, "groups", "it does not come through them"));
        }
        None => {}
    }
    below.extend(login_gap);
    Node::heading(format!("role {}", name_of(asked)), id_beside(asked), below)
}

fn organization(view: &View<'_>, asked: &Named) -> Node {
    let way = Way::Membership { organization: asked.id.clone() };
    let mut below = Vec::new();
    match &view.facts.organizations {
        Ok(organizations) => {
            let is_member = organizations.iter().any(|organization| organization.id == asked.id);
            let detail = if is_member { goes_with(view, &asked.id) } else { String::new() };
            below.push(view.relation(is_member, "member".to_owned(), detail, way));
        }
        Err(why) => below.extend(Node::gap("member", &[], std::iter::once(why))),
    }
    let back = view.login(&asked.id);
    let login = view.facts.members.get(&asked.id).map(|member| &member.login);
    match login {
        Some(Err(why)) => below.extend(Node::gap("membership at login", &[], std::iter::once(why))),
        Some(Ok(_)) if back.is_empty() => {
            below.push(Node::new(Sign::NotHeld, "comes back", "no connection gives membership at login"));
        }
        Some(Ok(_)) | None => below.extend(back),
    }
    Node::heading(format!("membership in {}", name_of(asked)), id_beside(asked), below)
}

/// The roles that end with a membership.
fn goes_with(view: &View<'_>, organization: &Arc<str>) -> String {
    let unread = view.facts.members.get(organization).is_some_and(|member| member.roles.is_err());
    let roles = view.facts.member_roles(organization);
    let names: Vec<String> =
        roles.iter().map(|(id, held)| held.name.as_deref().map_or_else(|| shown(id), shown)).collect();
    match (unread, names.is_empty()) {
        (true, true) => "with it go the roles in it, which were not looked at".to_owned(),
        (false, true) => "no roles in it".to_owned(),
        (_, false) => format!("with it go the roles in it: {}", some_of(&names)),
    }
}

fn all(view: &View<'_>) -> Vec<Node> {
    let mut roles = view.tenant_roles(|_| true);
    match view.tenant_roles_gap() {
        Some(gap) => roles.push(gap),
        None => {
            let gone = view.gone(&roles, |way| match way {
                Way::Role { role } => Some((format!("role {}", shown(role)), "tenant-wide".to_owned())),
                Way::Permission { .. } | Way::GroupRole { .. } | Way::Membership { .. } => None,
                Way::MemberRole { .. } | Way::GroupMemberRole { .. } => None,
            });
            roles.extend(gone);
        }
    }
    let tenant = view.facts.effective.as_ref().err();
    roles.extend(Node::gap("groups", &[], tenant.into_iter()));
    vec![
        Node::heading("tenant-wide roles", none(&roles), roles),
        with_none("permissions", permissions(view)),
        with_none("organizations", organizations(view)),
    ]
}

fn with_none(what: &str, below: Vec<Node>) -> Node {
    Node::heading(what, none(&below), below)
}

fn none(below: &[Node]) -> &'static str {
    if below.is_empty() { "none" } else { "" }
}

fn organizations(view: &View<'_>) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut held = Vec::new();
    for (organization, roles) in view.organizations() {
        let way = Way::Membership { organization: organization.id.clone() };
        let node = view.relation(true, name_of(organization), format!("{}, member", shown(&organization.id)), way);
        let of_role = |(id, role): (&Arc<str>, &_)| view.role(id, role, Some(organization));
        let mut below: Vec<Node> = roles.iter().flat_map(of_role).collect();
        held.push(node.clone());
        held.extend(below.iter().cloned());
        below.extend(view.login(&organization.id));
        nodes.push(Node { below, ..node });
    }
    match view.facts.organizations.as_ref().err() {
        Some(why) => nodes.extend(Node::gap("organizations", &[], std::iter::once(why))),
        None => {
            nodes.extend(view.gone(&held, |way| match way {
                Way::Membership { organization } => Some((organization_name(view, organization), "member".to_owned())),
                Way::MemberRole { organization, role } => {
                    Some((format!("role {}", shown(role)), format!("in {}", organization_name(view, organization))))
                }
                Way::Permission { .. } | Way::Role { .. } => None,
                Way::GroupRole { .. } | Way::GroupMemberRole { .. } => None,
            }));
            nodes.extend(view.member_roles_gap());
        }
    }
    nodes.extend(view.groups_gap(false));
    nodes.extend(view.login_gap(&held));
    nodes
}

fn is_grouped(node: &Node) -> bool {
    matches!(node.way, Some(Way::GroupRole { .. } | Way::GroupMemberRole { .. }))
}

fn organization_name(view: &View<'_>, id: &Arc<str>) -> String {
    let known = view.facts.organizations.iter().flatten().find(|organization| organization.id == *id);
    known.map_or_else(|| shown(id), name_of)
}

/// The id, where the name stands before it.
fn id_beside(named: &Named) -> String {
    if named.name.is_some() { shown(&named.id) } else { String::new() }
}

/// The ids of the roles that matter to what is asked, of those that are held.
pub fn relevant(view: &View<'_>, asked: Asked<'_>) -> BTreeSet<Arc<str>> {
    let members = view.organizations().flat_map(|(_, roles)| roles.into_keys());
    let held: BTreeSet<Arc<str>> = view.facts.tenant_roles().into_keys().chain(members).collect();
    let matters = |id: &Arc<str>| match asked {
        Asked::All => true,
        Asked::Role(named) => named.id == *id,
        Asked::Permission(of_api) => view.facts.role_gives(id, &of_api.item()) == Ok(true),
        Asked::Organization(_) => false,
    };
    held.into_iter().filter(matters).collect()
}
