//! Reads what a question needs: each list once, and nothing that the token's scopes or an earlier refusal rule out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::auth0::{Endpoint, Fact, Lookup, Question, Read};
use crate::cli::reads::{ReadError, Reads};

use super::facts::{Asked, EffectiveRole, Facts, Known, Member, RoleHeld, effective, named, not_read, permissions};
use super::parts::{Lines, View};
use super::questions::relevant;

/// Reads the lists that matter to what is asked about this user.
pub async fn lists(reads: &mut Reads<'_>, user: &Arc<str>, asked: Asked<'_>) -> Facts {
    let mut facts = Facts::unread(user);
    let mut views = Views { refused: None };
    let wants_roles = !matches!(asked, Asked::Organization(_));
    let wants_permissions = matches!(asked, Asked::All | Asked::Permission(_));
    if wants_roles {
        let list = Read::List(Endpoint::UserRoles { user: user.clone() });
        facts.roles = reads.entries(list).await.and_then(|entries| named(&entries));
        facts.effective = views.read(reads, Lookup::EffectiveRoles(user.clone())).await;
    }
    if wants_permissions {
        let list = Read::List(Endpoint::UserPermissions { user: user.clone() });
        facts.permissions = reads.entries(list).await.and_then(|entries| permissions(&entries));
    }
    let list = Read::UserOrganizations { user: user.clone() };
    facts.organizations = reads.entries(list).await.and_then(|entries| named(&entries));
    let organizations: Vec<Arc<str>> = facts.organizations.iter().flatten().map(|named| named.id.clone()).collect();
    for organization in organizations {
        if matches!(asked, Asked::Organization(named) if named.id != organization) {
            continue;
        }
        let member = member(reads, &mut views, user, &organization, wants_roles).await;
        facts.members.insert(organization, member);
    }
    if wants_permissions {
        for role in held(&facts, Asked::All) {
            let given = reads.look_up(Lookup::RolePermissions(role.clone())).await;
            let given = given.and_then(|entries| permissions(&entries));
            facts.gives.insert(role, given.map(|given| given.into_iter().map(|held| held.item).collect()));
        }
    }
    facts
}

/// Reads what explains the ways that the lists have shown.
pub async fn details(reads: &mut Reads<'_>, facts: &mut Facts, asked: Asked<'_>) {
    let matter = held(facts, asked);
    let is_grouped = |(id, held): (Arc<str>, RoleHeld)| (held.grouped && matter.contains(&id)).then_some(id);
    let grouped: Vec<Arc<str>> = facts.tenant_roles().into_iter().filter_map(is_grouped).collect();
    for role in grouped {
        let lookup = Lookup::RoleGroups { user: facts.user.clone(), role: role.clone() };
        let groups = reads.look_up(lookup).await.and_then(|entries| named(&entries));
        facts.groups.insert(role, groups);
    }
    logins(reads, facts, asked, &matter).await;
}

fn held(facts: &Facts, asked: Asked<'_>) -> BTreeSet<Arc<str>> {
    relevant(&View { facts, flags: &[], lines: Lines::Roles }, asked)
}

async fn member(
    reads: &mut Reads<'_>,
    views: &mut Views,
    user: &Arc<str>,
    organization: &Arc<str>,
    wants_effective: bool,
) -> Member {
    let (organization, user) = (organization.clone(), user.clone());
    let list = Endpoint::OrganizationMemberRoles { organization: organization.clone(), user: user.clone() };
    let roles = reads.entries(Read::List(list)).await.and_then(|entries| named(&entries));
    // The membership ended since the organizations were read.
    let roles = if roles == Err(ReadError::NotFound) { Ok(Vec::new()) } else { roles };
    let effective = if wants_effective {
        views.read(reads, Lookup::EffectiveMemberRoles { organization, user }).await
    } else {
        Err(not_read())
    };
    Member { roles, effective, login: Err(not_read()) }
}

/// What makes people members again, of the organizations where it matters.
async fn logins(reads: &mut Reads<'_>, facts: &mut Facts, asked: Asked<'_>, matter: &BTreeSet<Arc<str>>) {
    if let Asked::Organization(named) = asked {
        let nothing = || Member { roles: Ok(Vec::new()), effective: Err(not_read()), login: Err(not_read()) };
        facts.members.entry(named.id.clone()).or_insert_with(nothing);
    }
    let organizations: Vec<Arc<str>> = facts.members.keys().cloned().collect();
    for organization in organizations {
        let has_one = || facts.member_roles(&organization).keys().any(|role| matter.contains(role));
        let matters = matches!(asked, Asked::All | Asked::Organization(_)) || has_one();
        if !matters {
            continue;
        }
        let fact = reads.fact(Question::LoginMembership { organization: organization.clone() }).await;
        let login = fact.and_then(|fact| match fact {
            Fact::LoginMembership(names) => Ok(names.iter().map(|name| name.to_string()).collect()),
            Fact::Unknown { why } => Err(why.into()),
            Fact::ApiSettings(_) | Fact::MemberCount(_) | Fact::RoleHolders(_) => Err(not_read()),
        });
        facts.members.entry(organization).and_modify(|member| member.login = login);
    }
}

/// The effective views. Which plans have them is not documented, so after a refusal none is asked for again.
struct Views {
    refused: Option<ReadError>,
}

impl Views {
    async fn read(&mut self, reads: &mut Reads<'_>, lookup: Lookup) -> Known<Vec<EffectiveRole>> {
        if let Some(why) = &self.refused {
            return Err(why.clone());
        }
        // A member may have gone meanwhile, and then nothing is said about the view.
        let is_of_member = matches!(lookup, Lookup::EffectiveMemberRoles { .. });
        let found = reads.look_up(lookup).await.and_then(|entries| effective(&entries));
        match &found {
            Err(why @ ReadError::Failed(_)) => self.refused = Some(why.clone()),
            Err(why @ ReadError::NotFound) if !is_of_member => self.refused = Some(why.clone()),
            Err(ReadError::NotFound | ReadError::Scope(_)) | Ok(_) => {}
        }
        found
    }
}
