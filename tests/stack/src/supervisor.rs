//! Processes and folders that do not outlive the process that owns them, however it ends.
//!
//! Each child runs under a small `sh` that holds the reading end of a pipe. The writing end belongs to this process
//! alone and is closed on exec. When this process ends, even by `kill -9`, the kernel closes the pipe and the `sh`
//! cleans up. This also works for values in a `static`, which are never dropped.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::Error;

/// Runs `"$@"` and exits with its status; kills it when the pipe on standard input closes. The `sh` is the parent and
/// has not reaped the process before the kill, so its process id cannot have been reused.
const RUN: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- &
child=$!
{ read -r _ <&3; kill -9 "$child"; } >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait "$child"
status=$?
kill -9 "$watcher" 2>/dev/null
exit "$status"
"#;

/// Removes the folder `$1` when told `remove`, and never when told `keep`. When the pipe just closes, it removes it
/// twice, because processes that are being killed may still write into it.
const REMOVE: &str = r#"
read -r word
case "$word" in
keep) exit 0 ;;
remove) exec rm -rf "$1" ;;
esac
rm -rf "$1"
sleep 1
exec rm -rf "$1"
"#;

/// A running process that is killed when this value is dropped or when this whole process ends in any way.
#[derive(Debug)]
pub struct Supervised {
    supervisor: Child,
    log: PathBuf,
}

impl Supervised {
    /// Starts `command` with empty standard input and its output appended to the file `log`. Of `command`, only the
    /// program, the arguments, the working folder and the changes to the environment are used.
    pub fn spawn(command: &Command, log: &Path) -> Result<Self, Error> {
        let open = || OpenOptions::new().create(true).append(true).open(log).map_err(Error::io("write", log));
        let mut shell = shell(RUN);
        shell.arg(command.get_program()).args(command.get_args()).stdout(open()?).stderr(open()?);
        if let Some(dir) = command.get_current_dir() {
            shell.current_dir(dir);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let supervisor = shell.spawn().map_err(Error::io("run", Path::new("sh")))?;
        Ok(Self { supervisor, log: log.to_owned() })
    }

    /// The exit status of the process, or `None` while it runs.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.supervisor.try_wait().map_err(Error::io("wait for", &self.log))
    }

    /// Kills the process (SIGKILL) and waits until it is gone. Does nothing if it has ended.
    pub fn stop(&mut self) {
        drop(self.supervisor.stdin.take());
        // This fails only if it was waited for before.
        let _ = self.supervisor.wait();
    }

    /// The file with the process's output.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A folder that is removed with its content when this value is dropped or when this process ends in any way.
#[derive(Debug)]
pub struct OwnedDir {
    path: PathBuf,
    remover: Child,
}

impl OwnedDir {
    /// Creates a folder with a new name in the system's temporary folder.
    pub fn temporary(prefix: &str) -> Result<Self, Error> {
        let parent = std::env::temp_dir();
        let dir = tempfile::Builder::new().prefix(prefix).tempdir_in(&parent);
        Self::own(dir.map_err(Error::io("make a folder in", &parent))?.keep())
    }

    /// Creates the folder `path`, without its earlier content.
    pub fn fresh(path: PathBuf) -> Result<Self, Error> {
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &path)(error)),
            _ => std::fs::create_dir_all(&path).map_err(Error::io("make", &path))?,
        }
        Self::own(path)
    }

    fn own(path: PathBuf) -> Result<Self, Error> {
        let mut shell = shell(REMOVE);
        shell.arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
        let remover = shell.spawn().map_err(Error::io("run", Path::new("sh")))?;
        Ok(Self { path, remover })
    }

    /// The path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the folder, for people to look into.
    pub fn keep(mut self) {
        self.tell("keep\n");
    }

    fn tell(&mut self, word: &str) {
        if let Some(mut pipe) = self.remover.stdin.take() {
            // If the remover is gone, the folder stays.
            let _ = pipe.write_all(word.as_bytes());
            drop(pipe);
            let _ = self.remover.wait();
        }
    }
}

impl Drop for OwnedDir {
    fn drop(&mut self) {
        self.tell("remove\n");
    }
}

/// A `sh` with our pipe, in a process group of its own, so that Ctrl-C does not interrupt the clean-up.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).stdin(Stdio::piped()).process_group(0);
    command
}

/// The last lines of a log file, for an error message; empty if the file cannot be read.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 15;
    const BYTES: u64 = 32 * 1024;
    let read = || -> io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
        let mut bytes = Vec::new();
        file.take(BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{BufRead, BufReader};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_dropped_process_is_gone_and_its_output_is_in_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$; exec sleep 1000"]);
        let mut process = Supervised::spawn(&command, &log).unwrap();
        let pid = first_line(&log);
        assert!(process.try_wait().unwrap().is_none());
        assert!(alive(&pid));
        drop(process);
        assert!(!alive(&pid));
    }

    #[test]
    fn a_process_that_ends_by_itself_is_noticed_with_its_status() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo so long >&2; exit 7"]);
        let mut process = Supervised::spawn(&command, &dir.path().join("log")).unwrap();
        let status = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(7));
        assert_eq!(tail(process.log()), "so long");
    }

    #[test]
    fn an_owned_folder_is_removed_and_a_kept_one_stays() {
        let removed = OwnedDir::temporary("stack-test-").unwrap();
        let kept = OwnedDir::temporary("stack-test-").unwrap();
        let (removed_path, kept_path) = (removed.path().to_owned(), kept.path().to_owned());
        std::fs::write(removed_path.join("file"), "x").unwrap();
        drop(removed);
        kept.keep();
        assert!(!removed_path.exists());
        assert!(kept_path.exists());
        std::fs::remove_dir_all(kept_path).unwrap();
    }

    /// Set for the copy of this test program that [`owner`] runs in.
    const OWNER: &str = "STACK_TEST_OWNER";

    #[test]
    fn a_killed_owner_takes_its_processes_along_though_others_started_later_live_on() {
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "supervisor::tests::owner", "--nocapture"])
            .env(OWNER, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains("pids ")).unwrap();
        let pids: Vec<&str> = line.split("pids ").nth(1).unwrap().split(' ').collect();
        let [supervised, bystander, dir] = pids[..] else { panic!("{line}") };
        assert!(alive(supervised) && alive(bystander) && Path::new(dir).exists());

        owner.kill().unwrap();
        owner.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while alive(supervised) || Path::new(dir).exists() {
            assert!(Instant::now() < deadline, "outlived its owner: {line}");
            std::thread::sleep(Duration::from_millis(10));
        }
        // If it had inherited a pipe, the other processes would still run.
        assert!(alive(bystander));
        Command::new("kill").arg(bystander).status().unwrap();
    }

    /// Not a test, but the owner that the test above kills.
    #[test]
    fn owner() {
        if std::env::var_os(OWNER).is_none() {
            return;
        }
        let dir = OwnedDir::temporary("stack-test-").unwrap();
        let log = dir.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$; exec sleep 60"]);
        let _supervised = Supervised::spawn(&command, &log).unwrap();
        let supervised = first_line(&log);
        let mut bystander = Command::new("sleep").arg("60").spawn().unwrap();
        writeln!(io::stdout(), "pids {supervised} {} {}", bystander.id(), dir.path().display()).unwrap();
        bystander.wait().unwrap();
    }

    fn first_line(log: &Path) -> String {
        loop {
            if let Some(line) = std::fs::read_to_string(log).unwrap().strip_suffix('\n') {
                return line.to_owned();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn alive(pid: &str) -> bool {
        Command::new("kill").args(["-0", pid]).stderr(Stdio::null()).status().unwrap().success()
    }
}
