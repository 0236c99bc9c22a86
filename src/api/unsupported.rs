//! The list of what a version does not act on.

use std::fmt::Debug;

/// What is unknown, and then what is known but not acted on yet.
pub(super) struct Unsupported(Vec<String>);

impl Unsupported {
    pub(super) fn new(unknown: &[String]) -> Self {
        Self(unknown.to_vec())
    }

    /// A field that must not be set.
    pub(super) fn field(&mut self, path: &str, is_set: bool) {
        if is_set {
            self.0.push(path.to_owned());
        }
    }

    /// A field with one value that is acted on. Values of an enum are written as their name.
    pub(super) fn value<T: PartialEq + Debug>(&mut self, path: &str, value: T, supported: T) {
        if value != supported {
            self.0.push(format!("{path}: {value:?}"));
        }
    }
}

impl From<Unsupported> for Vec<String> {
    fn from(list: Unsupported) -> Self {
        list.0
    }
}
