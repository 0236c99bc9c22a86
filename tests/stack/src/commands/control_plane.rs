//! `stack control-plane`: a control plane for as long as somebody holds our standard input.

use std::io;

use stack::ControlPlane;

use crate::failure::Failure;

use super::print;

/// Starts a control plane, prints how to reach it, and waits. A signal ends this process, and that ends the control
/// plane: no handler is needed.
pub(crate) fn run() -> Result<(), Failure> {
    let plane = ControlPlane::start()?;
    print(&format!("export KUBECONFIG={}\n", plane.kubeconfig_path().display()))?;
    // An input that cannot be read is as good as a closed one.
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    Ok(())
}
