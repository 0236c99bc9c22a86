//! Asks before many objects are changed.

use std::io::BufRead;

use super::error::CliError;
use super::screen::Screen;
use super::texts::count;

/// So many objects are changed without a question.
const FEW: usize = 25;

/// Lets `word` be typed if more than 25 objects are to be changed. `verb`: what is done to them.
pub fn confirm(screen: &Screen, verb: &str, objects: usize, word: &str, yes: bool) -> Result<(), CliError> {
    if objects <= FEW || yes {
        return Ok(());
    }
    let objects = count(objects, "object");
    if !screen.can_ask {
        return Err(CliError::usage(format!("this would {verb} {objects}: add --yes if that is meant")));
    }
    screen.note(format!("This will {verb} {objects}. Type {word} to go on:"));
    let mut typed = String::new();
    let read = std::io::stdin().lock().read_line(&mut typed);
    match read {
        Ok(_) if typed.trim() == word => Ok(()),
        Ok(_) => Err(CliError::failed(format!("nothing was changed: that was not {word}"))),
        Err(error) => Err(CliError::failed(format!("nothing was changed: no answer could be read ({error})"))),
    }
}
