//! The relations by which somebody has something, and the command that ends each. Pure.

use std::borrow::Cow;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::api::escaped;
use crate::auth0::Item;
use crate::cli::texts::command_line;

/// A relation by which somebody has something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A permission, given directly.
    Permission {
        /// The identifier of the API.
        api: Arc<str>,
        /// The name of the permission.
        permission: Arc<str>,
    },
    /// A tenant-wide role.
    Role {
        /// Auth0's id of the role.
        role: Arc<str>,
    },
    /// A tenant-wide role, through groups.
    GroupRole {
        /// Auth0's id of the role.
        role: Arc<str>,
    },
    /// A membership in an organization.
    Membership {
        /// Auth0's id of the organization.
        organization: Arc<str>,
    },
    /// A role in an organization.
    MemberRole {
        /// Auth0's id of the organization.
        organization: Arc<str>,
        /// Auth0's id of the role.
        role: Arc<str>,
    },
    /// A role in an organization, through groups.
    GroupMemberRole {
        /// Auth0's id of the organization.
        organization: Arc<str>,
        /// Auth0's id of the role.
        role: Arc<str>,
    },
}

impl Way {
    /// The way by which a permission is held directly.
    pub fn permission(item: &Item) -> Option<Self> {
        match item {
            Item::Permission { resource_server, name } => {
                Some(Self::Permission { api: resource_server.clone(), permission: name.clone() })
            }
            Item::Id(_) => None,
        }
    }

    /// The command that ends it, with `flags` after it. None: no removal object does, or a terminal cannot show the
    /// command, because a text of Auth0 has characters that are not seen; or an API or a permission has a space in it,
    /// so that a command line cannot tell the two apart.
    pub fn command(&self, user: &str, flags: &[String]) -> Option<String> {
        let named: Vec<Cow<'_, str>> = match self {
            Self::Permission { api, permission } if [api, permission].iter().any(|text| text.contains(' ')) => {
                return None;
            }
            Self::Permission { api, permission } => vec!["--permission".into(), format!("{api}:{permission}").into()],
            Self::Role { role } => vec!["--role".into(), (&**role).into()],
            Self::Membership { organization } => vec!["--org".into(), (&**organization).into()],
            Self::MemberRole { organization, role } => {
                vec!["--org".into(), (&**organization).into(), "--role".into(), (&**role).into()]
            }
            Self::GroupRole { .. } | Self::GroupMemberRole { .. } => return None,
        };
        let words = ["kubectl", "rescind", "new", user].into_iter().chain(named.iter().map(|word| &**word));
        Some(command_line(words.chain(flags.iter().map(String::as_str))))
            .filter(|command| matches!(escaped(command), Cow::Borrowed(_)))
    }
}

impl Serialize for Way {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, ids): (_, &[(&str, &Arc<str>)]) = match self {
            Self::Permission { api, permission } => ("permission", &[("api", api), ("permission", permission)]),
            Self::Role { role } => ("role", &[("role", role)]),
            Self::GroupRole { role } => ("groupRole", &[("role", role)]),
            Self::Membership { organization } => ("membership", &[("organization", organization)]),
            Self::MemberRole { organization, role } => {
                ("memberRole", &[("organization", organization), ("role", role)])
            }
            Self::GroupMemberRole { organization, role } => {
                ("groupMemberRole", &[("organization", organization), ("role", role)])
            }
        };
        let mut map = serializer.serialize_map(Some(1 + ids.len()))?;
        map.serialize_entry("type", kind)?;
        ids.iter().try_for_each(|(name, id)| map.serialize_entry(name, &***id))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_role(user: &str) -> Option<String> {
        Way::Role { role: "rol_1".into() }.command(user, &[])
    }

    #[test]
    fn each_way_has_the_command_that_ends_it() {
        let user = "auth0|a";
        let flags = ["-n".to_owned(), "b c".to_owned()];
        let permission = Way::Permission { api: "https://a/".into(), permission: "read:x".into() };
        assert_eq!(
            permission.command(user, &flags).unwrap(),
            "kubectl rescind new 'auth0|a' --permission https://a/:read:x -n 'b c'"
        );
        assert_eq!(of_role(user).unwrap(), "kubectl rescind new 'auth0|a' --role rol_1");
        let member = Way::MemberRole { organization: "org_1".into(), role: "rol_1".into() };
        assert_eq!(member.command(user, &[]).unwrap(), "kubectl rescind new 'auth0|a' --org org_1 --role rol_1");
        assert_eq!(Way::GroupRole { role: "rol_1".into() }.command(user, &[]), None);
        assert_eq!(of_role("auth0|\u{202e}"), None);
        assert_eq!(Way::Permission { api: "my api".into(), permission: "read".into() }.command(user, &[]), None);
    }
}
