//! x
use std::io::Write;
fn main(){ for c in rescind::api::crds() { let _ = writeln!(std::io::stdout(), "---\n{}", serde_saphyr::to_string(&c.definition).unwrap_or_default()); } }
