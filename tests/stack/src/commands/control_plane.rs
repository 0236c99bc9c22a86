//! `stack control-plane`: a control plane until standard input closes.

use std::io;

use stack::ControlPlane;

use crate::failure::Failure;

use super::print;

/// Starts a control plane, prints how to reach it, and waits. A signal needs no handler, because the control plane ends
/// with this process.
pub(crate) fn run() -> Result<(), Failure> {
    let plane = ControlPlane::start()?;
    print(&format!("export KUBECONFIG={}\n", plane.kubeconfig_path().display()))?;
    // An input that cannot be read counts as closed.
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    Ok(())
}
