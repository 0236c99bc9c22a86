//! `stack`: the tests' control plane, and all of Rescind on top of it, from the command line.

mod background;
mod commands;
mod failure;
mod playground;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Finds, builds and runs a real etcd and kube-apiserver on loopback, and Rescind with a fake Auth0.
#[derive(Debug, Parser)]
#[command(name = "stack")]
struct Arguments {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Find all programs, build what is missing, and print where they are.
    Binaries,
    /// Find one program, build it if it is missing, and print where it is.
    Locate {
        /// Its name, such as helm
        name: String,
    },
    /// Start a control plane and keep it until standard input closes or Ctrl-C.
    ControlPlane,
    /// Show the operator at work, from nothing to nothing.
    Demo,
    /// Bring up what the demo shows and leave it running.
    Up(Place),
    /// End what `up` left running.
    Down(Place),
    /// What `up` leaves running; not for people.
    #[command(hide = true)]
    Own(Place),
}

#[derive(Args, Debug)]
struct Place {
    /// The folder of the running stack [default: target/stack in the repository]
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Commands::Binaries => commands::binaries::run(),
        Commands::Locate { name } => commands::binaries::locate(&name),
        Commands::ControlPlane => commands::control_plane::run(),
        Commands::Demo => commands::demo::run(),
        Commands::Up(place) => commands::up::run(place.dir),
        Commands::Down(place) => commands::down::run(place.dir),
        Commands::Own(place) => commands::up::own(place.dir),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The exit code is the same if the message cannot be printed.
            let _ = writeln!(io::stderr(), "stack: {failure}");
            ExitCode::FAILURE
        }
    }
}
