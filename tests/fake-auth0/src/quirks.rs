//! Misbehaviour of a whole tenant, as plain values. Faults, which apply to single calls, are in `faults.rs`.

use serde::{Deserialize, Serialize};

use crate::switches::Switches;

/// How lists misbehave, beyond what Auth0 is known or suspected to do. By default they do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PagingQuirks {
    /// Serve at most this many items a page whatever was requested, and say so in `limit`.
    pub max_page_size: Option<usize>,
    /// Serve at most this many items a page although more exist, while `limit` repeats what was requested.
    pub short_pages: Option<usize>,
    /// Leave out the last items of every page, although `total` counts them: they cannot be read at all.
    pub hidden_per_page: usize,
    /// Serve the first page again and again: `page` is ignored, `next` leads back to the beginning.
    pub repeat_first_page: bool,
    /// Give a `next` that leads to the same page again.
    pub looping_cursor: bool,
    /// Leave out `total`.
    pub omit_total: bool,
}

/// How new connections are received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Accepted, with the right certificate.
    #[default]
    Up,
    /// Closed before the TLS handshake.
    Closing,
    /// Accepted, then never answered.
    Silent,
    /// Accepted, with a certificate of an unknown authority.
    Untrusted,
    /// Accepted, with a certificate of the right authority for another host.
    WrongHost,
    /// Accepted for HTTP/1.1, and closed after each answer, of which `Connection: close` says nothing.
    OneAnswer,
}

/// The settings of a tenant that are plain values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quirks {
    pub paging: PagingQuirks,
    pub switches: Switches,
    pub network: Network,
}
