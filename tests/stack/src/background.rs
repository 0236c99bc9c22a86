//! The folder of a stack that was left running, and the process that owns it.
//!
//! The owner holds a lock on a file with its process id for as long as it lives, and the system lets go of it however it
//! ends. So whoever finds the lock held knows that the id in the file is the owner's and nobody else's.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::failure::Failure;
use crate::playground::repository;

/// How long an owner may take to end, and its processes with it.
const END_WITHIN: Duration = Duration::from_secs(10);

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct Home(PathBuf);

/// Held by the owner while it lives.
#[derive(Debug)]
pub(crate) struct Claim {
    _locked: File,
}

impl Home {
    /// `dir`, or the place in the repository that `make up` and `make down` use.
    pub(crate) fn new(dir: Option<PathBuf>) -> Self {
        let dir = dir.unwrap_or_else(|| repository().join("target/stack"));
        Self(std::path::absolute(&dir).unwrap_or(dir))
    }

    /// Where it is.
    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    /// What the owner says.
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("owner.log")
    }

    /// Makes this process the owner, of an empty folder; `None` if there is one already.
    pub(crate) fn claim(&self) -> Result<Option<Claim>, Failure> {
        self.make()?;
        let Some(mut file) = self.lock()? else { return Ok(None) };
        for entry in fs::read_dir(&self.0).map_err(Failure::io("read", &self.0))?.flatten() {
            let path = entry.path();
            // This process's own two files stay; all else is of an owner that is gone.
            if path == self.pid_file() || path == self.log() {
                continue;
            }
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(Failure::io("remove", &path))?;
        }
        let written = file.set_len(0).and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        written.map_err(Failure::io("write", &self.pid_file()))?;
        Ok(Some(Claim { _locked: file }))
    }

    /// Makes the folder.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        fs::create_dir_all(&self.0).map_err(Failure::io("make", &self.0))
    }

    /// Says that everything is ready, and where.
    pub(crate) fn say_ready(&self, ready: &Value) -> Result<(), Failure> {
        fs::write(self.ready_file(), ready.to_string()).map_err(Failure::io("write", &self.ready_file()))
    }

    /// What was said when everything was ready; `None` while nobody owns the folder.
    pub(crate) fn ready(&self) -> Result<Option<Value>, Failure> {
        if self.owner()?.is_none() {
            return Ok(None);
        }
        let text = fs::read_to_string(self.ready_file()).ok();
        let ready = text.and_then(|text| serde_json::from_str(&text).ok());
        ready.map(Some).ok_or_else(|| Failure::Busy { dir: self.0.clone() })
    }

    /// Ends the owner, if there is one, and removes the folder. Returns whether there was anything.
    pub(crate) fn clear(&self) -> Result<bool, Failure> {
        if !self.0.exists() {
            return Ok(false);
        }
        if let Some(pid) = self.owner()? {
            // The lock is held, so this is the owner's id. `kill` is a part of every shell.
            let status = Command::new("sh").args(["-c", "kill \"$1\"", "sh", &pid.to_string()]).status();
            status.map_err(Failure::io("run", Path::new("sh")))?;
            self.wait_until_free(pid)?;
        }
        fs::remove_dir_all(&self.0).map_err(Failure::io("remove", &self.0))?;
        Ok(true)
    }

    fn wait_until_free(&self, pid: u32) -> Result<(), Failure> {
        let deadline = Instant::now() + END_WITHIN;
        while self.lock()?.is_none() {
            if Instant::now() >= deadline {
                return Err(Failure::StillUp { pid });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The process id of the owner, if there is one.
    fn owner(&self) -> Result<Option<u32>, Failure> {
        if !self.pid_file().exists() {
            return Ok(None);
        }
        if self.lock()?.is_some() {
            return Ok(None);
        }
        let mut text = String::new();
        let read = File::open(self.pid_file()).and_then(|mut file| file.read_to_string(&mut text));
        read.map_err(Failure::io("read", &self.pid_file()))?;
        // Between taking the lock and writing its id, an owner has none.
        text.parse().map(Some).map_err(|_| Failure::Busy { dir: self.0.clone() })
    }

    /// The locked file, unless somebody else has locked it.
    fn lock(&self) -> Result<Option<File>, Failure> {
        let path = self.pid_file();
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(Failure::io("write", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Failure::io("lock", &path)(error)),
        }
    }

    fn pid_file(&self) -> PathBuf {
        self.0.join("owner.pid")
    }

    fn ready_file(&self) -> PathBuf {
        self.0.join("ready.json")
    }
}
