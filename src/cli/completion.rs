//! `completion`: scripts for shells, and what kubectl asks for when somebody types `kubectl rescind … <TAB>`: it starts
//! `kubectl_complete-rescind` with the words so far, and reads lines in cobra's form.

use std::time::Duration;

use clap::{Arg, Command, FromArgMatches};
use clap_complete::Shell;

use super::cluster::{Cluster, Selected};
use super::error::CliError;
use super::flags::ClusterFlags;
use super::object::kinds;
use super::session::Session;
use super::texts::shown;

/// A shell must not wait longer for an answer of the API server.
const PATIENCE: Duration = Duration::from_secs(2);

/// Print a script that completes the commands in a shell.
///
/// kubectl completes them as well, if kubectl_complete-rescind is in the PATH beside kubectl-rescind; it is the same
/// program under another name.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args, mut command: Command) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "kubectl-rescind", &mut script);
    session.screen.print(String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// What may stand at the place of the word that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Completion {
    /// One of these, each with a description.
    Words(Vec<(String, String)>),
    /// A removal object.
    Objects,
    /// A file.
    Files,
    /// Nothing that could be told.
    Nothing,
}

/// What may stand instead of the last of `words`, in cobra's form: a line for each, then what the shell is to do.
pub async fn complete(command: &Command, words: &[String]) -> String {
    let (typed, before) = words.split_last().map_or(("", words), |(last, before)| (last.as_str(), before));
    let found = match completion(command, before, typed) {
        Completion::Words(words) => words,
        Completion::Objects => return objects(command, before, typed).await,
        Completion::Files => return ":0\n".to_owned(),
        Completion::Nothing => Vec::new(),
    };
    lines(found, typed, 4)
}

/// The numbers are cobra's: 4 forbids file names, 2 that a space follows.
fn lines(found: Vec<(String, String)>, typed: &str, directive: u8) -> String {
    let fitting = found.into_iter().filter(|(word, _)| word.starts_with(typed));
    let line = |(word, about): (String, String)| format!("{word}\t{}\n", about.lines().next().unwrap_or_default());
    fitting.map(line).collect::<String>() + &format!(":{directive}\n")
}

fn completion(command: &Command, before: &[String], typed: &str) -> Completion {
    let (sub, expects_value) = walk(command, before);
    if let Some(arg) = expects_value {
        return of_value(arg);
    }
    if typed.starts_with('-') {
        let all = sub.into_iter().chain([command]).flat_map(Command::get_arguments);
        let flag = |arg: &Arg| Some((format!("--{}", arg.get_long()?), text(arg.get_help())));
        let mut flags: Vec<_> = all.filter(|arg| !arg.is_hide_set()).filter_map(flag).collect();
        flags.dedup_by(|a, b| a.0 == b.0);
        return Completion::Words(flags);
    }
    match sub {
        None => {
            let name = |sub: &Command| (sub.get_name().to_owned(), text(sub.get_about()));
            Completion::Words(command.get_subcommands().map(name).collect())
        }
        Some(sub) => sub.get_positionals().next().map_or(Completion::Nothing, of_value),
    }
}

fn text(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

/// What an argument takes.
fn of_value(arg: &Arg) -> Completion {
    let values = arg.get_possible_values();
    if !values.is_empty() {
        let word = |value: &clap::builder::PossibleValue| (value.get_name().to_owned(), text(value.get_help()));
        return Completion::Words(values.iter().map(word).collect());
    }
    let names: Vec<&str> = arg.get_value_names().into_iter().flatten().map(|name| name.as_str()).collect();
    if names.iter().any(|name| name.contains("KIND/NAME")) {
        Completion::Objects
    } else if names.iter().any(|name| name.contains("FILE") || name.contains("DIR") || *name == "KUBECONFIG") {
        Completion::Files
    } else {
        Completion::Nothing
    }
}

/// The subcommand among these words, and the flag whose value comes next.
fn walk<'a>(command: &'a Command, before: &[String]) -> (Option<&'a Command>, Option<&'a Arg>) {
    let mut sub: Option<&Command> = None;
    let mut expects: Option<&Arg> = None;
    for word in before {
        if expects.take().is_some() {
            continue;
        }
        if word.starts_with('-') && !word.contains('=') {
            let mut all = sub.into_iter().chain([command]).flat_map(Command::get_arguments);
            let is_meant = |arg: &&Arg| {
                let short = word.strip_prefix('-').filter(|rest| rest.chars().count() == 1);
                arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long))
                    || arg.get_short().is_some_and(|own| short.is_some_and(|text| text.starts_with(own)))
            };
            expects = all.find(is_meant).filter(|arg| arg.get_action().takes_values() && !is_switch(arg));
        } else if sub.is_none() {
            sub = command.find_subcommand(word);
        }
    }
    (sub, expects)
}

/// Whether a flag takes its value after `=` only, as `--wait=false`.
fn is_switch(arg: &Arg) -> bool {
    arg.is_require_equals_set()
}

/// First the kinds, then, after the slash, the names.
async fn objects(command: &Command, before: &[String], typed: &str) -> String {
    let Some((kind, _)) = typed.split_once('/') else {
        let kinds = kinds().into_iter().map(|kind| (format!("{}/", kind.short), kind.name.to_owned())).collect();
        return lines(kinds, typed, 6);
    };
    let Some(found) = kinds().into_iter().find(|known| known.is_named(kind)) else { return ":4\n".to_owned() };
    let words = [&["kubectl-rescind".to_owned()], before].concat();
    let matches = command.clone().ignore_errors(true).try_get_matches_from(words);
    let flags = matches.ok().and_then(|matches| ClusterFlags::from_arg_matches(&matches).ok()).unwrap_or_default();
    let cluster = Cluster::connect(&ClusterFlags { request_timeout: PATIENCE, ..flags });
    let Ok(cluster) = cluster else { return ":4\n".to_owned() };
    let kinds = [found.name];
    let selected = Selected { kinds: &kinds, ..Selected::default() };
    let listing = tokio::time::timeout(PATIENCE, cluster.objects(&selected)).await;
    let objects = listing.ok().and_then(Result::ok).unwrap_or_default().objects;
    let word = |object: super::object::Object| {
        let reason = object.status.as_ref().and_then(|status| status.reason_text()).map(shown);
        (format!("{kind}/{}", object.name()), reason.unwrap_or_default())
    };
    lines(objects.into_iter().map(word).collect(), typed, 4)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        flags: ClusterFlags,
        #[command(subcommand)]
        command: Sub,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Sub {
        /// Complete a shell.
        Completion(Args),
        /// Retry.
        Retry {
            /// Objects.
            #[arg(value_name = "KIND/NAME")]
            objects: Vec<String>,
            /// A file.
            #[arg(short = 'f', long, value_name = "FILE")]
            filename: Option<String>,
        },
    }

    #[test]
    fn what_comes_next_depends_on_what_stands_before() {
        let command = <Cli as clap::CommandFactory>::command();
        let found = |before: &[&str], typed: &str| {
            completion(&command, &before.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), typed)
        };
        assert!(matches!(found(&[], "re"), Completion::Words(words) if words.len() == 2));
        assert_eq!(found(&["-n", "retry", "retry"], "urr/"), Completion::Objects, "the first is a namespace");
        assert_eq!(found(&["retry", "-f"], ""), Completion::Files);
        assert_eq!(found(&["retry", "--namespace"], ""), Completion::Nothing);
        assert!(
            matches!(found(&["completion"], ""), Completion::Words(all) if all.iter().any(|(word, _)| word == "zsh"))
        );
        assert!(matches!(found(&["retry"], "--"), Completion::Words(all)
            if ["--filename", "--context"].iter().all(|flag| all.iter().any(|(word, _)| word == flag))));
    }
}
