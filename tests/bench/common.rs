//! The start of every benchmark and simulation.

use std::io::Write;

/// Whether `cargo bench` runs this. `cargo test --all-targets` runs benches too, and must not load the machine for
/// minutes.
pub fn is_asked_for() -> bool {
    let asked = std::env::args().any(|argument| argument == "--bench");
    if !asked {
        progress("nothing to do: run make bench or make simulate");
    }
    asked
}

/// Prints a line of progress on standard error.
pub fn progress(line: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {line}");
}
