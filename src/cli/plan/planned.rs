//! An object of a plan.

use crate::cli::object::Object;

/// An object, and where it comes from.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The object.
    pub object: Object,
    /// `file:line`, if it comes from a file.
    pub source: Option<String>,
}
