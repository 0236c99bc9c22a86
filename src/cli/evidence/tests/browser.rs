//! The page in a real browser: Chromium without a screen. Where there is none the tests say that they were skipped.

#![allow(clippy::print_stderr, reason = "a skipped test says why, and figures are printed")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::samples::quarter;
use crate::cli::evidence::html;

/// The browser, if this machine has one.
fn browser() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()));
    if found.is_none() {
        eprintln!("SKIPPED: there is no Chromium here (apt-get install chromium), so the page was not rendered");
    }
    found
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/evidence");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs the browser on a page with these arguments. Returns what it printed.
fn render(browser: &str, page: &Path, args: &[&str]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(args)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The width and height of a PNG.
fn size(png: &Path) -> (u32, u32) {
    let bytes = std::fs::read(png).unwrap();
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(&bytes[1..4], b"PNG");
    (number(16), number(20))
}

#[test]
fn ten_thousand_removals_are_one_page_that_a_browser_shows_and_prints() {
    let evidence = quarter(10_000);
    let began = Instant::now();
    let page = html::page(&evidence, &[]).unwrap();
    let made = began.elapsed();
    let file = folder().join("report.html");
    std::fs::write(&file, &page).unwrap();
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    let Some(browser) = browser() else { return };

    let began = Instant::now();
    let dom = render(browser, &file, &["--dump-dom"]);
    let shown = began.elapsed();
    assert_eq!(dom.matches("<summary>").count(), page.matches("<summary>").count());
    assert_eq!(dom.matches("<tr>").count(), page.matches("<tr>").count());
    assert!(dom.contains("Exceptions: "));

    let began = Instant::now();
    let screenshot = folder().join("report.png");
    let _ = std::fs::remove_file(&screenshot);
    render(browser, &file, &["--window-size=1280,2400", &format!("--screenshot={}", screenshot.display())]);
    let painted = began.elapsed();
    assert_eq!(size(&screenshot), (1280, 2400));
    let narrow = folder().join("report-narrow.png");
    render(browser, &file, &["--window-size=500,1800", &format!("--screenshot={}", narrow.display())]);

    let began = Instant::now();
    let pdf = folder().join("report.pdf");
    let _ = std::fs::remove_file(&pdf);
    render(browser, &file, &["--no-pdf-header-footer", &format!("--print-to-pdf={}", pdf.display())]);
    let printed = began.elapsed();
    let bytes = std::fs::read(&pdf).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let pages = text.matches("/Type /Page\n").count();
    assert!(text.contains("/MediaBox [0 0 594.95996 841.91998]") || text.contains("/MediaBox [0 0 595"), "A4");
    eprintln!(
        "10,000 removals: made in {made:.0?}, {} KiB; shown in {shown:.1?}, painted in {painted:.1?}, printed in \
         {printed:.1?} on {pages} pages",
        page.len() / 1024,
    );
}
