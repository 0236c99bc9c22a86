//! `stack`: the tests' control plane from the command line.

mod commands;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Finds, builds and runs a real etcd and kube-apiserver on loopback.
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
    /// Start a control plane and keep it until standard input closes or Ctrl-C.
    ControlPlane,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Commands::Binaries => commands::binaries::run(),
        Commands::ControlPlane => commands::control_plane::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody to hear it is no reason to end differently.
            let _ = writeln!(io::stderr(), "stack: {error}");
            ExitCode::FAILURE
        }
    }
}
