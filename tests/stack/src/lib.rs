//! A real Kubernetes control plane on loopback, for tests and the demo.
//!
//! [`binaries`] finds or builds the programs pinned in `tests/tools`, [`control_plane`] starts and stops an etcd and a
//! kube-apiserver, [`kubectl`] runs kubectl, and [`supervisor`] ends everything with the process that started it.
//! Nothing here knows Rescind: it is a cluster like any other, without a kubelet and without controllers.

pub mod binaries;
mod build;
pub mod control_plane;
mod credentials;
mod error;
pub mod kubectl;
pub mod ports;
pub mod supervisor;
mod tools;

pub use control_plane::ControlPlane;
pub use error::Error;
pub use kubectl::kubectl;
