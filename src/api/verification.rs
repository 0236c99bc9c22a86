//! How far a removal is verified.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which reads accompany a removal; the later, the more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Verification {
    /// None: Auth0's answer is trusted.
    Never,
    /// One after the removal.
    #[default]
    After,
    /// One before, to remove only what is there, and one after.
    BeforeAndAfter,
}
