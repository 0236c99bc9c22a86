//! Gives back the memory that a burst needed: a map keeps the room of its largest size until it is told to shrink
//! (promise 14).

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use slab::Slab;

/// Smaller collections are left alone.
const SMALL: usize = 1024;

/// Shrinks a map of which less than a quarter is in use. To be called after a removal.
pub(crate) fn shrink_map<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if map.capacity() > SMALL && map.len() < map.capacity() / 4 {
        map.shrink_to(map.len() * 2);
    }
}

/// Shrinks a slab that is empty. To be called after a removal. It cannot shrink earlier, because keys in use keep their
/// place.
pub(crate) fn shrink_slab<T>(slab: &mut Slab<T>) {
    if slab.is_empty() && slab.capacity() > SMALL {
        slab.shrink_to_fit();
    }
}
