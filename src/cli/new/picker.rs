//! Asks at a terminal whom to take what from: names first, ids behind them, and nothing ticked.

use std::io::ErrorKind;

use console::Term;
use dialoguer::theme::SimpleTheme;
use dialoguer::{Input, MultiSelect, Select};

use crate::cli::error::CliError;
use crate::cli::people::Named;
use crate::cli::screen::interrupted;
use crate::cli::texts::shown;

use super::loss::{Holdings, Permission};

/// How many lines of a list are seen at once.
const LINES: usize = 15;

fn failed(dialoguer::Error::IO(error): &dialoguer::Error) -> CliError {
    if error.kind() == ErrorKind::Interrupted {
        interrupted();
    }
    CliError::failed(format!("the terminal cannot be used ({error})"))
}

/// One of these, or none if the person leaves.
pub fn choose(prompt: &str, choices: &[String]) -> Result<Option<usize>, CliError> {
    let select = Select::with_theme(&SimpleTheme).with_prompt(prompt).items(choices).default(0).max_length(LINES);
    select.interact_on_opt(&Term::stderr()).map_err(|error| failed(&error))
}

/// A line of text.
pub fn ask(prompt: &str) -> Result<String, CliError> {
    let input: Input<'_, String> = Input::with_theme(&SimpleTheme).with_prompt(prompt).allow_empty(true);
    input.interact_text_on(&Term::stderr()).map(|text| text.trim().to_owned()).map_err(|error| failed(&error))
}

/// Several of these, none of which is ticked; none if the person leaves.
pub fn tick(prompt: &str, choices: &[String]) -> Result<Option<Vec<usize>>, CliError> {
    let prompt = format!("{prompt} (space ticks, enter goes on, escape leaves)");
    let select = MultiSelect::with_theme(&SimpleTheme).with_prompt(prompt).items(choices).max_length(LINES);
    select.interact_on_opt(&Term::stderr()).map_err(|error| failed(&error))
}

/// One thing that can be ticked.
enum Choice {
    Role(Named),
    Permission(Permission),
    Organization(Named),
    MemberRole(Named, Named),
}

/// What of these holdings is to be taken away; none if the person leaves.
pub fn tick_holdings(who: &str, held: &Holdings) -> Result<Option<Holdings>, CliError> {
    let mut choices = Vec::new();
    choices.extend(held.roles.iter().cloned().map(Choice::Role));
    choices.extend(held.permissions.iter().filter(|permission| permission.is_direct).cloned().map(Choice::Permission));
    for organization in &held.organizations {
        choices.push(Choice::Organization(organization.clone()));
        let roles = held.member_roles.get(organization).into_iter().flatten();
        choices.extend(roles.map(|role| Choice::MemberRole(organization.clone(), role.clone())));
    }
    let lines: Vec<String> = choices.iter().map(line).collect();
    let Some(ticked) = tick(&format!("What does {who} lose?"), &lines)? else { return Ok(None) };
    let mut chosen = Holdings::default();
    for choice in ticked.into_iter().filter_map(|at| choices.get(at)) {
        match choice {
            Choice::Role(role) => _ = chosen.roles.insert(role.clone()),
            Choice::Permission(permission) => _ = chosen.permissions.insert(permission.clone()),
            Choice::Organization(organization) => _ = chosen.organizations.insert(organization.clone()),
            Choice::MemberRole(organization, role) => {
                chosen.member_roles.entry(organization.clone()).or_default().insert(role.clone());
            }
        }
    }
    Ok(Some(chosen))
}

fn line(choice: &Choice) -> String {
    let of = |named: &Named| match &named.name {
        Some(name) => format!("{}  {}", shown(name), named.id),
        None => named.id.to_string(),
    };
    match choice {
        Choice::Role(role) => format!("role {}", of(role)),
        Choice::Permission(permission) => {
            format!("permission {}  {}", shown(&permission.name), shown(&permission.api))
        }
        Choice::Organization(organization) => format!("membership in {}", of(organization)),
        Choice::MemberRole(organization, role) => {
            let place = organization.name.as_deref().unwrap_or(&organization.id);
            format!("role in {}: {}", shown(place), of(role))
        }
    }
}
