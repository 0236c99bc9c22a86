//! `stack up`: leaves the stack of the demo running, owned by a process in the background.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use stack::kubectl;

use crate::background::Home;
use crate::failure::{Failure, last_lines};
use crate::playground::{self, KUBECONFIG, OPERATOR_LOG, Playground, Voice, control_of};

use super::print;

/// The owner prints this when everything is ready.
const READY: &str = "ready";
/// The owner may outlive this process once it reads this.
const STAY: &str = "stay";

/// Starts the stack unless it runs, and says how to use it.
pub(crate) fn run(dir: Option<PathBuf>) -> Result<(), Failure> {
    let home = Home::new(dir);
    if let Some(ready) = home.ready()? {
        print("The stack is already up; `make down` ends it.\n")?;
        return print(&how_to_use(&home, &ready)?);
    }
    // In the foreground, so that the user sees the messages.
    playground::prepare()?;
    start(&home)?;
    let ready = home.ready()?.ok_or_else(|| not_up(&home))?;
    print("The stack is up and stays up in the background; `make down` ends it.\n")?;
    print(&how_to_use(&home, &ready)?)
}

/// The process in the background: starts everything, reports it, and owns it until it is killed. Until it is told to
/// stay, it ends with the process that started it, so Ctrl-C leaves nothing behind.
pub(crate) fn own(dir: Option<PathBuf>) -> Result<(), Failure> {
    let home = Home::new(dir);
    let Some(_claim) = home.claim()? else { return Err(Failure::Busy { dir: home.dir().to_owned() }) };
    std::thread::spawn(|| {
        let mut word = String::new();
        let read = io::stdin().lock().read_line(&mut word);
        if read.is_err() || word.trim() != STAY {
            // Nothing is dropped here; the supervisors end everything after this process.
            std::process::exit(1);
        }
    });
    let mut playground = Playground::start(home.dir(), Voice::Brief)?;
    home.say_ready(playground.fake.ready())?;
    print(&format!("{READY}\n"))?;
    loop {
        // If one part ends, all of the stack ends: a stack that runs but does nothing would mislead.
        playground.check().map_err(|failure| playground.explain(failure))?;
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Starts the owner, shows its output, and leaves it running when everything is ready.
fn start(home: &Home) -> Result<(), Failure> {
    let mut owner = spawn(home)?;
    let lines = owner.stdout.take().map(|pipe| BufReader::new(pipe).lines());
    for line in lines.into_iter().flatten().map_while(Result::ok) {
        if line == READY {
            let mut pipe = owner.stdin.take();
            let told = pipe.as_mut().map_or(Ok(()), |pipe| writeln!(pipe, "{STAY}"));
            return told.map_err(|_| not_up(home));
        }
        print(&format!("{line}\n"))?;
    }
    let _ = owner.wait();
    Err(not_up(home))
}

/// The owner has a process group of its own, so that Ctrl-C in this terminal does not reach it, and writes its errors
/// to a file.
fn spawn(home: &Home) -> Result<Child, Failure> {
    home.make()?;
    let log = std::fs::File::create(home.log()).map_err(Failure::io("write", &home.log()))?;
    let program = env::current_exe().map_err(Failure::io("find", Path::new("this program")))?;
    let mut command = Command::new(&program);
    command.arg("own").arg("--dir").arg(home.dir()).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    command.spawn().map_err(Failure::io("run", &program))
}

fn not_up(home: &Home) -> Failure {
    match last_lines(&home.log()) {
        log if log.is_empty() => {
            Failure::NotUp { log: "its process in the background was ended by somebody".to_owned() }
        }
        log => Failure::NotUp { log },
    }
}

fn how_to_use(home: &Home, ready: &Value) -> Result<String, Failure> {
    let dir = home.dir().display();
    let kubectl = match env::var_os("PATH").map(|path| env::split_paths(&path).any(|dir| dir.join("kubectl").is_file()))
    {
        Some(true) => String::new(),
        _ => {
            let path = kubectl::path()?;
            format!("  export PATH=\"$PATH:{}\"   # for kubectl\n", path.parent().unwrap_or(&path).display())
        }
    };
    Ok(format!(
        "
  export KUBECONFIG={dir}/{KUBECONFIG}
{kubectl}
Then, for instance:

  kubectl apply -f tests/stack/demo/removals/
  kubectl get rescind -n identity
  curl {control}/state

The fake Auth0 is steered at {control} (tests/fake-auth0/README.md).
Logs are in {dir}: {OPERATOR_LOG}, fake-auth0.log.
",
        control = control_of(ready)
    ))
}
