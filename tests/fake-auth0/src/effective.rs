//! What a user has by whatever way: roles that come through groups, permissions that come through roles. The effective
//! views of the API.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    answers::Problem,
    kinds::Kind,
    log::Call,
    show,
    state::{Source, State, UserGroup},
};

/// A page of one of the views is about this.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    state: &'a State,
    call: &'a Call,
    user: &'a str,
}

impl<'a> View<'a> {
    /// `None` for any other kind of call.
    pub(crate) fn of(state: &'a State, call: &'a Call) -> Option<Self> {
        let user = call.user.as_deref().unwrap_or("");
        call.kind.is_effective().then_some(Self { state, call, user })
    }

    /// The keys of the view, in its order.
    pub(crate) fn keys(self) -> Result<Vec<&'a str>, Problem> {
        let Self { state, call, user } = self;
        if let Some(organization) = self.organization() {
            state.organization(organization).ok_or(Problem::NO_ORGANIZATION)?;
        }
        state.user(user).ok_or(Problem::NO_USER)?;
        if self.organization().is_some_and(|organization| !state.is_member(organization, user)) {
            return Err(Problem::NOT_A_MEMBER);
        }
        Ok(match call.kind {
            Kind::GetEffectiveRoleGroups => self.groups_of(self.asked("role_id")).map(|(id, _)| id).collect(),
            Kind::GetEffectivePermissions => self.permissions().into_keys().collect(),
            Kind::GetEffectivePermissionRoles => {
                let origin = self.permissions().remove(self.asked("permission_name"));
                origin.unwrap_or_default().roles.into_iter().collect()
            }
            _ => self.roles().into_iter().collect(),
        })
    }

    /// The item of this key.
    pub(crate) fn show(self, key: &str) -> Value {
        match self.call.kind {
            Kind::GetEffectiveRoleGroups => {
                let name = self.state.groups().find(|(id, _)| *id == key).map(|(_, group)| &group.name);
                json!({"id": key, "name": name})
            }
            Kind::GetEffectivePermissions => {
                let from = self.permissions().remove(key).unwrap_or_default();
                let mut shown = show::api_permission(self.state, self.asked(API), key);
                shown["sources"] = sources(from.direct, (!from.roles.is_empty()).then_some("roles"));
                shown
            }
            _ => {
                let mut shown = show::role(self.state, key);
                let grouped = self.groups_of(key).next().map(|_| "groups");
                shown["sources"] = sources(self.direct().is_some_and(|roles| roles.contains(key)), grouped);
                shown
            }
        }
    }

    /// A query parameter; the table says which ones are needed.
    fn asked(self, name: &str) -> &'a str {
        self.call.query(name).unwrap_or("")
    }

    fn organization(self) -> Option<&'a str> {
        self.call.organization.as_deref()
    }

    /// The roles that the user was assigned.
    fn direct(self) -> Option<&'a BTreeSet<String>> {
        match self.organization() {
            Some(organization) => self.state.organization(organization)?.members.get(self.user),
            None => self.state.user(self.user).map(|user| &user.roles),
        }
    }

    /// The groups of the user, with the roles that they give here.
    fn groups(self) -> impl Iterator<Item = (&'a str, &'a BTreeSet<String>)> {
        let given = move |group: &'a UserGroup| match self.organization() {
            Some(organization) => group.organization_roles.get(organization),
            None => Some(&group.roles),
        };
        let own = self.state.groups().filter(move |(_, group)| group.members.contains(self.user));
        own.filter_map(move |(id, group)| given(group).map(|roles| (id, roles)))
    }

    /// The groups of the user that give this role here.
    fn groups_of(self, role: &str) -> impl Iterator<Item = (&'a str, &'a BTreeSet<String>)> {
        self.groups().filter(move |(_, roles)| roles.contains(role))
    }

    fn roles(self) -> BTreeSet<&'a str> {
        let grouped = self.groups().flat_map(|(_, roles)| roles);
        self.direct().into_iter().flatten().chain(grouped).map(String::as_str).collect()
    }

    /// The permissions for the API that the query names.
    fn permissions(self) -> BTreeMap<&'a str, Origin<'a>> {
        let api = self.asked(API);
        let mut found = BTreeMap::<&str, Origin<'_>>::new();
        let own = self.state.user(self.user).and_then(|user| user.permissions.get(api));
        for (name, sources) in own.into_iter().flatten() {
            if sources.contains(&Source::Direct) {
                found.entry(name).or_default().direct = true;
            }
        }
        for role in self.roles() {
            for (_, name) in self.state.role_permissions(role).into_iter().filter(|(given, _)| *given == api) {
                found.entry(name).or_default().roles.insert(role);
            }
        }
        found
    }
}

/// The query parameter that names an API.
const API: &str = "resource_server_identifier";

/// Where a permission comes from.
#[derive(Default)]
struct Origin<'a> {
    direct: bool,
    roles: BTreeSet<&'a str>,
}

fn sources(direct: bool, indirect: Option<&str>) -> Value {
    direct.then_some("direct").into_iter().chain(indirect).collect()
}
