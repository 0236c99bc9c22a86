//! The parts of which the trees are made. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cli::people::Named;
use crate::cli::reads::ReadError;
use crate::cli::texts::shown;

use super::facts::{Facts, RoleHeld, RolesHeld};
use super::tree::{Node, Sign, some_of};
use super::way::Way;

/// Where a role comes from that only the list of permissions names.
const ELSEWHERE: &str = "not assigned, as far as the lists of roles show; ask who administers the groups of the IdP";

/// What was read, and how commands end.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What was read.
    pub facts: &'a Facts,
    /// The flags that every command needs.
    pub flags: &'a [String],
    /// What the lines about roles begin with.
    pub lines: Lines,
}

/// What the lines about roles begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// The role.
    Roles,
    /// Where it is held, because all of them are about the same role.
    Places,
}

impl View<'_> {
    /// A relation that is held or not, with what Rescind's objects say about it, and with the command that ends it.
    pub fn relation(&self, is_held: bool, what: String, detail: String, way: Way) -> Node {
        let said = self.facts.mentions.iter().filter(|mention| mention.way == way).map(|mention| mention.text(is_held));
        let parts: Vec<String> = (!detail.is_empty()).then_some(detail).into_iter().chain(said).collect();
        let command = if is_held { way.command(&self.facts.user, self.flags) } else { None };
        let sign = if is_held { Sign::Held } else { Sign::NotHeld };
        Node { command, way: Some(way), ..Node::new(sign, what, parts.join("; ")) }
    }

    /// The ways by which somebody has a role, on the tenant or in an organization.
    pub fn role(&self, id: &Arc<str>, held: &RoleHeld, organization: Option<&Named>) -> Vec<Node> {
        let place = organization.map(|of| format!("in {}", name_of(of)));
        let (what, grouped_what, start) = match self.lines {
            Lines::Roles => {
                let what = format!("role {}", held.name.as_deref().map_or_else(|| shown(id), shown));
                let place = place.unwrap_or_else(|| "tenant-wide".to_owned());
                (what.clone(), what, format!("{}, {place}", shown(id)))
            }
            Lines::Places => {
                let assigned = place.clone().unwrap_or_else(|| "directly".to_owned());
                (assigned, place.unwrap_or_else(|| "groups".to_owned()), String::new())
            }
        };
        let detail = |how: &str| match (start.is_empty(), how.is_empty()) {
            (false, false) => format!("{start}, {how}"),
            (true, _) => how.to_owned(),
            (false, true) => start.clone(),
        };
        let (assigned, grouped) = ways(id, organization);
        let mut nodes = Vec::new();
        // Without the list of the assigned roles, a role that is known from elsewhere may have been assigned.
        let may_be = !held.direct && !held.grouped && self.facts.roles.is_err();
        if held.direct || may_be {
            nodes.push(self.relation(true, what, detail(""), assigned));
        }
        if held.grouped {
            nodes.push(self.relation(true, grouped_what, detail(&self.groups(id, organization)), grouped));
        } else if !held.direct && !may_be {
            nodes.push(self.relation(true, grouped_what, detail(ELSEWHERE), grouped));
        }
        nodes
    }

    /// Which groups give a role, and what is to be done about it.
    fn groups(&self, role: &Arc<str>, organization: Option<&Named>) -> String {
        let known = self.facts.groups.get(role).filter(|_| organization.is_none());
        let names: Vec<String> = known.iter().flat_map(|known| known.iter().flatten()).map(name_of).collect();
        match (known, names.len()) {
            (_, 1) => format!("through group {}; ask who administers it in the IdP", names.concat()),
            (_, 2..) => format!("through groups {}; ask who administers them in the IdP", some_of(&names)),
            (Some(Err(ReadError::Scope(scope))), _) => {
                format!("through groups (which: needs {}); ask who administers them in the IdP", shown(scope))
            }
            _ => "through groups; ask who administers them in the IdP".to_owned(),
        }
    }

    /// The tenant-wide roles for which `gives` holds.
    pub fn tenant_roles(&self, gives: impl Fn(&Arc<str>) -> bool) -> Vec<Node> {
        let roles = self.facts.tenant_roles();
        roles.iter().filter(|(id, _)| gives(id)).flat_map(|(id, held)| self.role(id, held, None)).collect()
    }

    /// The organizations of which somebody is a member, as far as they are known.
    pub fn organizations(&self) -> impl Iterator<Item = (&Named, RolesHeld)> {
        let organizations = self.facts.organizations.iter().flatten();
        organizations.map(|organization| (organization, self.facts.member_roles(&organization.id)))
    }

    /// The roles in organizations for which `gives` holds, each with what brings it back.
    pub fn member_roles(&self, gives: impl Fn(&Arc<str>) -> bool) -> Vec<Node> {
        let mut nodes = Vec::new();
        for (organization, roles) in self.organizations() {
            for (id, held) in roles.iter().filter(|(id, _)| gives(id)) {
                let of = self.role(id, held, Some(organization)).into_iter();
                nodes.extend(of.map(|node| Node { below: self.login(&organization.id), ..node }));
            }
        }
        nodes
    }

    /// What makes somebody a member again.
    pub fn login(&self, organization: &Arc<str>) -> Vec<Node> {
        let connections = self.facts.members.get(organization).and_then(|member| member.login.as_ref().ok());
        let names: Vec<String> = connections.into_iter().flatten().map(|name| shown(name)).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let (noun, verb) = if names.len() == 1 { ("connection", "gives") } else { ("connections", "give") };
        let detail = format!("{noun} {} {verb} membership at login", some_of(&names));
        vec![Node::new(Sign::Warning, "comes back", detail)]
    }

    /// That it is not known what a login brings back, of these organizations.
    pub fn login_gap(&self, nodes: &[Node]) -> Option<Node> {
        let held = nodes.iter().filter_map(|node| match &node.way {
            Some(Way::MemberRole { organization, .. } | Way::GroupMemberRole { organization, .. }) => {
                Some(organization)
            }
            Some(Way::Membership { organization }) => Some(organization),
            Some(Way::Permission { .. } | Way::Role { .. } | Way::GroupRole { .. }) | None => None,
        });
        let held: BTreeSet<&Arc<str>> = held.collect();
        let reasons = held.iter().filter_map(|id| self.facts.members.get(*id)?.login.as_ref().err());
        Node::gap("membership at login", &[], reasons)
    }

    /// That the tenant-wide roles are not known.
    pub fn tenant_roles_gap(&self) -> Option<Node> {
        let is_known = self.facts.effective.is_ok();
        Node::gap("tenant-wide roles", &[], self.facts.roles.as_ref().err().into_iter().filter(|_| !is_known))
    }

    /// That the roles in organizations are not known, in all or in some of them.
    pub fn member_roles_gap(&self) -> Option<Node> {
        if let Err(why) = &self.facts.organizations {
            return Node::gap("roles in organizations", &[], std::iter::once(why));
        }
        let mut names = Vec::new();
        let mut reasons = Vec::new();
        for (organization, _) in self.organizations() {
            let Some(member) = self.facts.members.get(&organization.id) else { continue };
            if let (Err(why), Err(_)) = (&member.roles, &member.effective) {
                names.push(name_of(organization));
                reasons.push(why);
            }
        }
        Node::gap("roles in organizations", &names, reasons.into_iter())
    }

    /// That it is not known what comes through groups, tenant-wide or in organizations.
    pub fn groups_gap(&self, tenant_wide: bool) -> Option<Node> {
        let members = self.facts.members.values().filter_map(|member| member.effective.as_ref().err());
        let tenant = self.facts.effective.as_ref().err().filter(|_| tenant_wide);
        Node::gap("groups", &[], tenant.into_iter().chain(members))
    }

    /// That it is not known what roles give.
    pub fn gives_gap(&self) -> Option<Node> {
        let names = self.role_names();
        let (mut about, mut reasons) = (Vec::new(), Vec::<&ReadError>::new());
        for (role, known) in &self.facts.gives {
            if let Err(why) = known {
                about.push(names.get(role).and_then(|held| held.name.as_deref()).map_or_else(|| shown(role), shown));
                reasons.push(why);
            }
        }
        Node::gap("what roles give", &about, reasons.into_iter())
    }

    fn role_names(&self) -> RolesHeld {
        let members = self.organizations().flat_map(|(_, roles)| roles);
        self.facts.tenant_roles().into_iter().chain(members).collect()
    }

    /// The relations of which Rescind's objects speak and which are gone, of those that `node` makes a line of.
    pub fn gone(&self, held: &[Node], node: impl Fn(&Way) -> Option<(String, String)>) -> Vec<Node> {
        let ways: BTreeSet<&Way> = self.facts.mentions.iter().map(|mention| &mention.way).collect();
        let gone = ways.into_iter().filter(|way| held.iter().all(|node| node.way.as_ref() != Some(way)));
        let lines = gone.filter_map(|way| node(way).map(|(what, detail)| (what, detail, way.clone())));
        lines.map(|(what, detail, way)| self.relation(false, what, detail, way)).collect()
    }
}

/// The relation of a role, and the one through groups.
fn ways(role: &Arc<str>, organization: Option<&Named>) -> (Way, Way) {
    let role = role.clone();
    match organization.map(|organization| organization.id.clone()) {
        None => (Way::Role { role: role.clone() }, Way::GroupRole { role }),
        Some(organization) => (
            Way::MemberRole { organization: organization.clone(), role: role.clone() },
            Way::GroupMemberRole { organization, role },
        ),
    }
}

/// The name of a role, a group or an organization, or its id.
pub fn name_of(named: &Named) -> String {
    named.name.as_deref().map_or_else(|| shown(&named.id), shown)
}
