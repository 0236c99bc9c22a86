//! The page in a real browser: Chromium without a screen. Where there is none the tests say that they were skipped.

#![allow(clippy::print_stderr, reason = "a skipped test says why, and figures are printed")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

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

/// What the browser made of a page.
struct Rendered {
    shown: Duration,
    painted: Duration,
    printed: Duration,
    pages: usize,
}

/// Has the browser show, paint and print a page, and holds the results against it.
fn rendered(browser: &str, name: &str, page: &str) -> Rendered {
    let file = |ending: &str| folder().join(format!("{name}{ending}"));
    std::fs::write(file(".html"), page).unwrap();
    let timed = |args: &[&str]| {
        let began = Instant::now();
        (render(browser, &file(".html"), args), began.elapsed())
    };
    let (dom, shown) = timed(&["--dump-dom"]);
    for element in ["<summary>", "<tr>", "<th scope=\"row\">", "<section", "<h2"] {
        assert_eq!(dom.matches(element).count(), page.matches(element).count(), "{element}");
    }
    let screenshot = |ending: &str, width: u32, height: u32| {
        let _ = std::fs::remove_file(file(ending));
        let path = format!("--screenshot={}", file(ending).display());
        let took = timed(&[&format!("--window-size={width},{height}"), &path]).1;
        assert_eq!(size(&file(ending)), (width, height));
        took
    };
    let painted = screenshot(".png", 1280, 2400);
    screenshot("-narrow.png", 500, 1800);
    let _ = std::fs::remove_file(file(".pdf"));
    let pdf = format!("--print-to-pdf={}", file(".pdf").display());
    let (_, printed) = timed(&["--no-pdf-header-footer", &pdf]);
    let bytes = std::fs::read(file(".pdf")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("/MediaBox [0 0 594.95996 841.91998]"), "A4");
    // A PDF with the structure of the page is one that a screen reader can read.
    assert!(text.contains("/StructTreeRoot") && text.contains("/Lang (en)"), "tagged");
    Rendered { shown, painted, printed, pages: text.matches("/Type /Page\n").count() }
}

#[test]
fn a_browser_shows_and_prints_the_page() {
    let Some(browser) = browser() else { return };
    let evidence = quarter(300);
    let rendered = rendered(browser, "report", &html::page(&evidence, &[]).unwrap());
    assert!((2..20).contains(&rendered.pages), "{} pages", rendered.pages);
}

#[test]
#[ignore = "half a minute: make test-long"]
fn ten_thousand_removals_are_one_page() {
    let evidence = quarter(10_000);
    let began = Instant::now();
    let page = html::page(&evidence, &[]).unwrap();
    let made = began.elapsed();
    assert!(page.len() < 4_500_000, "{} bytes", page.len());
    let Some(browser) = browser() else { return };
    let Rendered { shown, painted, printed, pages } = rendered(browser, "report-10000", &page);
    assert!(pages < 100, "{pages} pages");
    eprintln!(
        "10,000 removals: made in {made:.0?}, {} KiB; shown in {shown:.1?}, painted in {painted:.1?}, printed in \
         {printed:.1?} on {pages} pages",
        page.len() / 1024,
    );
}
