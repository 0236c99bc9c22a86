//! How a removal is verified.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which reads accompany a removal, ordered from the weakest verification to the strongest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Verification {
    /// No read: Auth0's answer is trusted.
    Never,
    /// A read after the removal.
    #[default]
    After,
    /// A read before the removal, which finds out what is already absent, and one after it.
    BeforeAndAfter,
}
