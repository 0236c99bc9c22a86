//! Asks before many people or objects are changed.

use std::io::BufRead;

use super::error::CliError;
use super::screen::Screen;
use super::texts::count;

/// So many are changed without a question.
pub const FEW: usize = 25;

/// Has `word` typed if more than 25 objects are to be changed, unless `yes` says that it is meant. `verb`: what is done
/// to them.
pub fn confirm(screen: &Screen, verb: &str, objects: usize, word: &str, yes: bool) -> Result<(), CliError> {
    if objects <= FEW || yes {
        return Ok(());
    }
    ask(screen, &format!("{verb} {}", count(objects, "object")), word, "--yes", None)
}

/// Has `word` typed, unless the command line gives it already. `what` completes "this would", such as "stop 26
/// objects". `flag`: what to write on the command line instead.
pub fn ask(screen: &Screen, what: &str, word: &str, flag: &str, given: Option<&str>) -> Result<(), CliError> {
    let typed = match given {
        Some(given) => given.to_owned(),
        None if screen.can_ask => {
            screen.note(format!("This will {what}. Type {word} to go on:"));
            let mut typed = String::new();
            let read = std::io::stdin().lock().read_line(&mut typed);
            read.map_err(|error| CliError::failed(format!("nothing was changed: no answer could be read ({error})")))?;
            typed
        }
        None => return Err(CliError::usage(format!("this would {what}: add {flag} if that is meant"))),
    };
    if typed.trim() == word {
        Ok(())
    } else {
        Err(CliError::failed(format!("nothing was changed: that was not {word}")))
    }
}
