//! Prints what happens, shows each command, and runs exactly what it showed.

use std::cell::Cell;
use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stack::supervisor::Supervised;

use crate::commands::print;
use crate::failure::Failure;

use super::programs::repository;

/// How much to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Every step with its commands and their output: the demo.
    Narrator,
    /// One line for each step: `make up`.
    Brief,
}

/// A `sh` in the repository, with the kubeconfig of the stack, and `kubectl`, `rescind` and `fake-auth0` in its PATH.
#[derive(Debug)]
pub(crate) struct Shell {
    voice: Voice,
    /// Whether to print commands in bold: on a terminal.
    bold: bool,
    steps: Cell<u32>,
    path: OsString,
    kubeconfig: PathBuf,
}

impl Shell {
    /// A shell with `folders` at the start of its PATH.
    pub(crate) fn new(voice: Voice, folders: &[&Path], kubeconfig: &Path) -> Self {
        let before = env::var_os("PATH").unwrap_or_default();
        let all = folders.iter().map(|folder| folder.to_path_buf()).chain(env::split_paths(&before));
        Self {
            voice,
            bold: io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none(),
            steps: Cell::new(0),
            // A PATH cannot contain a folder with a colon in its name.
            path: env::join_paths(all).unwrap_or(before),
            kubeconfig: kubeconfig.to_owned(),
        }
    }

    /// Prints the line that begins a step.
    pub(crate) fn step(&self, text: &str) -> Result<(), Failure> {
        self.steps.set(self.steps.get() + 1);
        match self.voice {
            Voice::Narrator => print(&format!("\n{}. {text}\n", self.steps.get())),
            Voice::Brief => print(&format!("{text}\n")),
        }
    }

    /// Prints a remark within a step.
    pub(crate) fn note(&self, text: &str) -> Result<(), Failure> {
        match self.voice {
            Voice::Narrator => print(&format!("{text}\n")),
            Voice::Brief => Ok(()),
        }
    }

    /// Shows a command, runs it and shows its output. A failing command is an error.
    pub(crate) fn run(&self, command: &str) -> Result<(), Failure> {
        self.ask(command).map(drop)
    }

    /// The same; returns what was shown.
    pub(crate) fn ask(&self, command: &str) -> Result<String, Failure> {
        self.show(command)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(repository()).stdin(Stdio::null()).env("PATH", &self.path);
        // Without the user's settings and cache.
        shell.env("KUBECONFIG", &self.kubeconfig).env("KUBERC", "off");
        shell.env("KUBECACHEDIR", self.kubeconfig.with_file_name("kubectl-cache"));
        let output = shell.output().map_err(Failure::io("run", Path::new("sh")))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim_end().to_owned();
        if !output.status.success() {
            let status = output.status.to_string();
            return Err(Failure::Command { command: command.to_owned(), status, output: said });
        }
        if !said.is_empty() {
            self.note(&said)?;
        }
        Ok(said)
    }

    /// Shows a command and starts it in the background, with its output in `log`.
    pub(crate) fn start(&self, command: &Command, log: &Path) -> Result<Supervised, Failure> {
        let words = [command.get_program()].into_iter().chain(command.get_args()).map(|word| word.to_string_lossy());
        let line = words.collect::<Vec<_>>().join(" ");
        self.show(&format!("{line} >{} 2>&1 &", log.display()))?;
        let mut placed = Command::new(command.get_program());
        placed.args(command.get_args()).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        placed.current_dir(repository()).env("PATH", &self.path).env("KUBECONFIG", &self.kubeconfig);
        Ok(Supervised::spawn(&placed, log)?)
    }

    fn show(&self, command: &str) -> Result<(), Failure> {
        match (self.voice, self.bold) {
            (Voice::Narrator, true) => print(&format!("\x1b[1m$ {command}\x1b[0m\n")),
            (Voice::Narrator, false) => print(&format!("$ {command}\n")),
            (Voice::Brief, _) => Ok(()),
        }
    }
}
