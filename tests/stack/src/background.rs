//! The folder of a stack in the background, and the process that owns it.
//!
//! The owner locks a file with its process id for as long as it lives; the system releases the lock however it ends. So
//! while the file is locked, the id in it is that of the owner.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::failure::Failure;
use crate::playground::repository;

/// The time within which an owner and its processes must end.
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
    /// The folder `dir`, or by default the one in the repository that `make up` and `make down` use.
    pub(crate) fn new(dir: Option<PathBuf>) -> Self {
        let dir = dir.unwrap_or_else(|| repository().join("target/stack"));
        Self(std::path::absolute(&dir).unwrap_or(dir))
    }

    /// The path of the folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    /// The log file of the owner.
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("owner.log")
    }

    /// Makes this process the owner of the folder, which is emptied; `None` if there is an owner.
    pub(crate) fn claim(&self) -> Result<Option<Claim>, Failure> {
        self.make()?;
        let Some(mut file) = self.lock()? else { return Ok(None) };
        for entry in fs::read_dir(&self.0).map_err(Failure::io("read", &self.0))?.flatten() {
            let path = entry.path();
            // The two files of this process stay; all others belong to an owner that is gone.
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

    /// Creates the folder.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        fs::create_dir_all(&self.0).map_err(Failure::io("make", &self.0))
    }

    /// Records that everything is ready, with the addresses.
    pub(crate) fn say_ready(&self, ready: &Value) -> Result<(), Failure> {
        fs::write(self.ready_file(), ready.to_string()).map_err(Failure::io("write", &self.ready_file()))
    }

    /// What was recorded when everything was ready; `None` without an owner.
    pub(crate) fn ready(&self) -> Result<Option<Value>, Failure> {
        if self.owner()?.is_none() {
            return Ok(None);
        }
        let text = fs::read_to_string(self.ready_file()).ok();
        let ready = text.and_then(|text| serde_json::from_str(&text).ok());
        ready.map(Some).ok_or_else(|| Failure::Busy { dir: self.0.clone() })
    }

    /// Ends the owner, if there is one, and removes the folder. Returns whether there was an owner or a folder.
    pub(crate) fn clear(&self) -> Result<bool, Failure> {
        if !self.0.exists() {
            return Ok(false);
        }
        if let Some(pid) = self.owner()? {
            // The lock is held, so this is the id of the owner. Every shell has `kill`.
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
        // An owner that has the lock may not have written its id yet.
        text.parse().map(Some).map_err(|_| Failure::Busy { dir: self.0.clone() })
    }

    /// Locks the file; `None` if another process has it locked.
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
