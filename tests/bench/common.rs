//! What both benchmarks begin with.

use std::io::Write;

/// Whether `cargo bench` runs this: `cargo test --all-targets` runs benches, too, and minutes of load are not what it
/// asks for.
pub fn is_asked_for() -> bool {
    let asked = std::env::args().any(|argument| argument == "--bench");
    if !asked {
        progress("nothing is measured: run make bench");
    }
    asked
}

/// A line on standard error, so that nobody wonders whether it hangs.
pub fn progress(line: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {line}");
}
