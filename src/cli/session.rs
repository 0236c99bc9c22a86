//! What every command is given.

use super::cluster::Cluster;
use super::error::CliError;
use super::flags::ClusterFlags;
use super::screen::Screen;

/// One run of a command.
#[derive(Debug)]
pub struct Session {
    /// Which cluster, as whom, and which namespace.
    pub flags: ClusterFlags,
    /// Where to write.
    pub screen: Screen,
}

impl Session {
    /// The cluster that the flags choose. No request is sent yet.
    pub fn cluster(&self) -> Result<Cluster, CliError> {
        Cluster::connect(&self.flags)
    }
}
