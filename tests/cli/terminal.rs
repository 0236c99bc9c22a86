//! A pseudo-terminal with a person in front of it.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::harness::PATIENCE;
use crate::person::Person;

pub struct Terminal {
    child: tokio::process::Child,
    keys: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    /// How much of `seen` was expected already.
    read: usize,
}

impl Terminal {
    /// Starts kubectl with these arguments at a new terminal.
    pub fn start(person: &Person<'_>, args: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let open = || File::options().read(true).write(true).open(&name).unwrap();
        let mut command = person.command(args);
        command.stdin(open()).stdout(open()).stderr(open()).env("TERM", "xterm").env_remove("CI");
        let child = command.spawn().unwrap();
        let (sender, screen) = channel();
        let mut output = File::from(master.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys: File::from(master), screen, seen: String::new(), read: 0 }
    }

    /// Waits until this text appears.
    pub async fn expect(&mut self, text: &str) {
        let began = Instant::now();
        loop {
            if let Some(at) = self.seen[self.read..].find(text) {
                self.read += at + text.len();
                return;
            }
            assert!(began.elapsed() < PATIENCE, "no {text:?} in {:?}", self.seen);
            self.pull().await;
        }
    }

    async fn pull(&mut self) {
        match self.screen.try_recv() {
            Ok(bytes) => self.seen += &String::from_utf8_lossy(&bytes),
            // There is nothing to wait for but the program on the other side.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }

    /// Types these keys.
    pub async fn send(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Everything that was shown so far.
    pub fn seen(&self) -> String {
        self.seen.clone()
    }

    /// Waits for the end: the exit code, and everything that was shown.
    pub async fn end(mut self) -> (i32, String) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("the command ends").unwrap();
        for _ in 0..20 {
            self.pull().await;
        }
        (status.code().unwrap_or(-1), self.seen)
    }
}
