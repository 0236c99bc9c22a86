//! How a removal is verified.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which reads verify a removal. An object can ask for more than its tenant, never for less.
// The order of the variants is that of `Ord`: from the weakest to the strongest. For the optional field of the removal
// kinds, `kubectl explain` shows this description and not that of the field.
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
