//! What objects of Rescind say about somebody. Pure.

use jiff::Timestamp;

use crate::api::{Mode, State};
use crate::auth0::{Item, ItemKind};
use crate::cli::object::Object;

use super::way::Way;

/// What an object says about one relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The relation.
    pub way: Way,
    /// `kind namespace/name`.
    pub object: String,
    /// How far it is.
    pub stage: Stage,
}

/// How far an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is done.
    Done {
        /// When Auth0 accepted the removal, if there was one.
        removed: Option<Timestamp>,
        /// When a read proved it.
        proved: Option<Timestamp>,
    },
    /// It removes nothing.
    Observes,
    /// It waits, for this reason.
    Pending(String),
    /// Somebody has to act, for this reason.
    Stalled(String),
}

impl Mention {
    /// When Auth0 accepted the removal.
    pub const fn removed(&self) -> Option<Timestamp> {
        match &self.stage {
            Stage::Done { removed, .. } => *removed,
            Stage::Observes | Stage::Pending(_) | Stage::Stalled(_) => None,
        }
    }

    /// What is to be said of the relation, which is held or not.
    pub fn text(&self, is_held: bool) -> String {
        let by = &self.object;
        match &self.stage {
            Stage::Done { removed: Some(removed), .. } if is_held => {
                format!("there again: removed {} by {by}", written(*removed))
            }
            Stage::Done { removed: Some(removed), proved: Some(proved) } => {
                format!("removed {}, proved {} by {by}", written(*removed), written(*proved))
            }
            Stage::Done { removed: Some(removed), proved: None } => {
                format!("removed {}, not proved, by {by}", written(*removed))
            }
            Stage::Done { removed: None, .. } if is_held => format!("there again: {by} found it absent"),
            Stage::Done { removed: None, .. } => format!("{by} found it absent"),
            Stage::Observes => format!("only observed by {by}"),
            Stage::Pending(reason) => format!("pending ({reason}) in {by}"),
            Stage::Stalled(reason) => format!("stalled ({reason}) in {by}"),
        }
    }
}

/// An instant as it is written everywhere.
pub fn written(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What these objects say about this user.
pub fn mentions<'a>(objects: impl Iterator<Item = &'a Object>, user: &str) -> Vec<Mention> {
    let about = objects.filter(|object| object.concerns(user));
    let mentions = about.flat_map(|object| {
        let ways = object.removal.items.iter().filter_map(|item| way(object, item, user));
        ways.map(|way| Mention {
            way,
            object: format!("{} {}/{}", object.kind, object.namespace(), object.name()),
            stage: stage(object),
        })
    });
    mentions.collect()
}

fn way(object: &Object, item: &Item, user: &str) -> Option<Way> {
    let endpoint = &object.removal.endpoint;
    let Item::Id(id) = item else { return Way::permission(item) };
    match (endpoint.items(), endpoint.organization()) {
        (ItemKind::Role, None) => Some(Way::Role { role: id.clone() }),
        (ItemKind::Role, Some(organization)) => {
            Some(Way::MemberRole { organization: organization.clone(), role: id.clone() })
        }
        (ItemKind::Member, Some(organization)) => {
            (**id == *user).then(|| Way::Membership { organization: organization.clone() })
        }
        (ItemKind::Member, None) | (ItemKind::Permission | ItemKind::Organization, _) => None,
    }
}

fn stage(object: &Object) -> Stage {
    let status = object.status.as_ref();
    let generation = object.meta.generation.unwrap_or_default();
    let reason = status.and_then(|status| status.reason_at(generation));
    match reason.map(|reason| (reason, reason.state())) {
        Some((_, State::Done)) if status.is_some_and(observed) => Stage::Observes,
        Some((_, State::Done)) => Stage::Done {
            removed: status.and_then(|status| status.removed_at()),
            proved: status.and_then(|status| status.verified_time.as_ref()).map(|time| time.0),
        },
        Some((reason, State::Stalled)) => Stage::Stalled(reason.as_str().to_owned()),
        Some((reason, State::Waiting | State::Held)) => Stage::Pending(reason.as_str().to_owned()),
        None => Stage::Pending("the operator has not looked at it yet".to_owned()),
    }
}

fn observed(status: &crate::api::RemovalStatus) -> bool {
    status.finished.as_ref().is_some_and(|finished| finished.mode == Mode::Observe)
}
