//! Where a command writes: the results to standard output, everything else to standard error. Colours and progress are
//! for terminals only.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::api::escaped;

use super::error::CliError;

/// What a sign or a word means, as a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It is as it should be.
    Good,
    /// It is to be looked at, or it is not known.
    Unsure,
    /// It is wrong, or it takes something away.
    Bad,
    /// It is beside the point.
    Faint,
    /// It is a heading.
    Strong,
}

/// The terminal, or the files and pipes in its place.
#[derive(Debug)]
pub struct Screen {
    colours: bool,
    /// Whether somebody can be asked.
    pub can_ask: bool,
    progress: ProgressBar,
}

impl Screen {
    /// As the streams and the environment have it.
    pub fn detect(no_input: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let out = io::stdout().is_terminal();
        let target =
            if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            colours: out && !set("NO_COLOR") && std::env::var("TERM").is_ok_and(|term| term != "dumb"),
            can_ask: !no_input && !set("CI") && io::stdin().is_terminal() && out,
            progress: ProgressBar::with_draw_target(None, target).with_style(
                ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
            ),
        }
    }

    /// `text` in the colour of `tone`, if colours are wanted.
    pub fn paint(&self, tone: Tone, text: impl Display) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Unsure => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }

    /// Writes results.
    pub fn print(&self, text: impl Display) -> Result<(), CliError> {
        self.progress.suspend(|| write(&mut io::stdout().lock(), text))
    }

    /// Writes a line that is not a result. It may hold texts from outside: what is not seen is escaped.
    pub fn note(&self, text: impl Display) {
        let text = text.to_string();
        // If standard error is closed, there is nothing left to say it with.
        self.progress.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{}", escaped(&text));
        });
    }

    /// Shows what the command is doing, on a terminal.
    pub fn progress(&self, what: impl Display) {
        self.progress.enable_steady_tick(Duration::from_millis(200));
        self.progress.set_message(escaped(&what.to_string()).into_owned());
    }

    /// Removes what [`Self::progress`] shows.
    pub fn progress_done(&self) {
        self.progress.finish_and_clear();
    }
}

/// Ends the program after Ctrl-C, with the exit code that shells have for it. A question hides the cursor.
pub fn interrupted() -> ! {
    let _ = Term::stderr().show_cursor();
    std::process::exit(130)
}

/// A closed pipe, as with `| head`, ends the command as if all had been read.
fn write(to: &mut impl Write, text: impl Display) -> Result<(), CliError> {
    match write!(to, "{text}").and_then(|()| to.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::failed(format!("the output cannot be written ({error})"))),
    }
}
