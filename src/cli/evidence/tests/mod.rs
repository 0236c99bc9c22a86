//! Tests of what is written, and of the page in a real browser.

mod browser;
mod hostile;
mod joined;
pub mod samples;
