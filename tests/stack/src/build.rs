//! Builds a tool from its pinned Go module: one build at a time on this machine, all or nothing, with messages of
//! progress.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Error;
use crate::binaries::is_complete;
use crate::supervisor::{OwnedDir, Supervised, tail};
use crate::tools::{Pinned, Tool};

/// The interval of the messages while a build runs.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Builds `tool` into `folder`/bin. The folder appears as a whole when everything is built; a concurrent builder waits
/// and then uses the result.
pub(crate) fn build(tool: &Tool, pinned: &Pinned, folder: &Path) -> Result<(), Error> {
    let cache = folder.parent().unwrap_or(folder);
    fs::create_dir_all(cache).map_err(Error::io("make", cache))?;
    let _lock = lock(tool, &beside(folder, "lock"))?;
    if is_complete(tool, folder) {
        return Ok(());
    }
    check_go(tool, pinned)?;

    let names: Vec<&str> = tool.programs.iter().map(|(name, _)| *name).collect();
    let what = format!("{} {}", names.join(" and "), pinned.version);
    say(&format!("building {what} with go; the first time this takes {} on two cores", tool.takes));
    let started = Instant::now();
    let staging = OwnedDir::fresh(beside(folder, "building"))?;
    let log = beside(folder, "log");
    fs::write(&log, "").map_err(Error::io("write", &log))?;
    for (name, package) in tool.programs {
        go_build(tool, pinned, &staging, (name, package), &log, started)?;
    }
    let (from, to) = (staging.path().join("bin"), folder.join("bin"));
    fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
    if to.exists() {
        fs::remove_dir_all(&to).map_err(Error::io("remove", &to))?;
    }
    fs::rename(&from, &to).map_err(Error::io("move the finished build to", &to))?;
    say(&format!("built {what} in {} s: {}", started.elapsed().as_secs(), to.display()));
    Ok(())
}

fn go_build(
    tool: &Tool,
    pinned: &Pinned,
    staging: &OwnedDir,
    (name, package): (&'static str, &str),
    log: &Path,
    started: Instant,
) -> Result<(), Error> {
    // Go's temporary folder is inside ours, so that it is also removed when the build is interrupted.
    let scratch = staging.path().join("tmp");
    fs::create_dir_all(&scratch).map_err(Error::io("make", &scratch))?;
    let mut go = go(pinned);
    // The linker leaves debug information out (`-s -w`), so the compiler need not make it: a sixth of the time.
    go.args(["build", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-tags", tool.tags])
        .args(["-ldflags", &tool.ldflags(&pinned.version), "-o"])
        .arg(staging.path().join("bin").join(name))
        .arg(package)
        .env("GOTMPDIR", &scratch);
    let mut process = Supervised::spawn(&go, log)?;
    let mut next_sign = Instant::now() + SIGN_OF_LIFE;
    let status = loop {
        if let Some(status) = process.try_wait()? {
            break status;
        }
        if Instant::now() >= next_sign {
            next_sign += SIGN_OF_LIFE;
            say(&format!("still building {name}, {} s", started.elapsed().as_secs()));
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    if status.success() {
        return Ok(());
    }
    Err(Error::Build { program: name, status: status.to_string(), log: log.to_owned(), tail: tail(log) })
}

/// `go` in the tool's folder, without user settings that could change the result.
fn go(pinned: &Pinned) -> Command {
    let mut go = Command::new("go");
    go.current_dir(&pinned.dir)
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=readonly")
        .env("CGO_ENABLED", "0")
        .env_remove("GOOS")
        .env_remove("GOARCH");
    go
}

/// The folder in Go's cache with the source of the tool's module.
pub(crate) fn module_dir(tool: &Tool, pinned: &Pinned) -> Result<PathBuf, Error> {
    let module = format!("{}@v{}", tool.module, pinned.version);
    // Not in the tool's folder, where `-mod=readonly` would also check the other modules.
    let output = go(pinned).current_dir("/").args(["mod", "download", "-json", &module]).output();
    let output = output.map_err(Error::io("run", Path::new("go")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let dir = text.lines().find_map(|line| line.trim().strip_prefix("\"Dir\": \"")?.strip_suffix("\","));
    let missing = || Error::GoMod { path: pinned.dir.join("go.mod"), missing: format!("{module}, which go fetches") };
    dir.map(PathBuf::from).ok_or_else(missing)
}

/// Fails with a plain message if Go is missing or too old.
fn check_go(tool: &Tool, pinned: &Pinned) -> Result<(), Error> {
    let program = tool.programs.first().map_or(tool.name(), |(name, _)| name);
    let needed = major_minor(&pinned.go).map_or_else(|| pinned.go.clone(), |(major, minor)| format!("{major}.{minor}"));
    // Not in the tool's folder, where an old `go` would reject the go.mod instead of answering.
    let output = match go(pinned).current_dir("/").args(["env", "GOVERSION"]).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::GoMissing { program, needed }),
        output => output.map_err(Error::io("run", Path::new("go")))?,
    };
    let found = String::from_utf8_lossy(&output.stdout);
    let found = found.trim();
    // A version that cannot be parsed (a development build) is accepted.
    let old = found.strip_prefix("go").and_then(major_minor).is_some_and(|have| Some(have) < major_minor(&pinned.go));
    if old {
        return Err(Error::GoTooOld { program, found: found.to_owned(), needed });
    }
    Ok(())
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let (major, rest) = version.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Holds the lock until the value is dropped; the system releases it when the process ends.
fn lock(tool: &Tool, path: &Path) -> Result<File, Error> {
    let file = File::create(path).map_err(Error::io("write", path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            say(&format!("waiting for another process that is building {}", tool.name()));
            file.lock().map_err(Error::io("lock", path))?;
        }
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
    }
    Ok(file)
}

/// `folder` with a suffix added to its name, whatever dots the name has.
fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.file_name().map(OsStr::to_owned).unwrap_or_default();
    name.push(".");
    name.push(suffix);
    folder.with_file_name(name)
}

/// Prints a line on standard error directly, because the test runner would hold it back until the end. Errors are
/// ignored.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "tools: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(major_minor("1.26.8"), Some((1, 26)));
        assert_eq!(major_minor("1.27rc1"), Some((1, 27)));
        assert!(major_minor("1.9") < major_minor("1.26.0"));
        assert_eq!(major_minor("devel"), None);
    }

    #[test]
    fn names_beside_a_folder_keep_the_version_in_its_name() {
        assert_eq!(beside(Path::new("/c/etcd-3.6.16-ab"), "lock"), Path::new("/c/etcd-3.6.16-ab.lock"));
    }
}
