//! Which removal objects a command is about: some by name, or those that a selector finds.

use super::cluster::{Cluster, Listing, Selected};
use super::error::CliError;
use super::flags::nonempty;
use super::object::named;

/// The objects that a command line names.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Targets {
    /// Objects, such as urr/jane-admin.
    #[arg(value_name = "KIND/NAME", conflicts_with = "selector")]
    pub objects: Vec<String>,

    /// Objects with these labels, such as rescind.dev/batch=2026-11-25.
    #[arg(short = 'l', long, value_parser = nonempty)]
    pub selector: Option<String>,
}

impl Targets {
    /// The objects. None by these names or labels is an error.
    pub async fn find(&self, cluster: &Cluster) -> Result<Listing, CliError> {
        if self.objects.is_empty() {
            let selected = Selected { labels: self.selector.as_deref(), ..Selected::default() };
            let listing = cluster.objects(&selected).await?;
            if listing.objects.is_empty() && listing.unread.is_empty() {
                return Err(CliError::failed(format!("nothing is selected {}", cluster.place())));
            }
            return Ok(listing);
        }
        let mut listing = Listing::default();
        for text in &self.objects {
            let wrong = || CliError::usage(format!("{text} names no removal: write KIND/NAME, such as urr/jane-admin"));
            listing.objects.push(cluster.object(&named(text).ok_or_else(wrong)?).await?);
        }
        Ok(listing)
    }
}
