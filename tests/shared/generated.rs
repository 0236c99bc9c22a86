//! Files that are generated from the code: tests compare them, or write them when `RESCIND_WRITE` is set.

use std::fs;
use std::path::Path;

/// Panics at the first line in which the file differs from `expected`. With `RESCIND_WRITE` set, writes the file first,
/// as the given target of the Makefile does.
pub fn assert_up_to_date(path: impl AsRef<Path>, expected: &str, target: &str) {
    let path = path.as_ref();
    if std::env::var_os("RESCIND_WRITE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, expected).unwrap();
    }
    let stored = fs::read_to_string(path).unwrap_or_default();
    if stored != expected {
        let line = stored.lines().zip(expected.lines()).take_while(|(stored, expected)| stored == expected).count();
        let at = |text: &str| text.lines().nth(line).unwrap_or("the end of the file").to_owned();
        let (path, stored, expected) = (path.display(), at(&stored), at(expected));
        panic!("{path} is out of date, run make {target}; line {} is\n{stored}\nand should be\n{expected}", line + 1);
    }
}
