//! The page in a real browser: Chromium without a screen. Where there is none the tests say that they were skipped.

#![allow(clippy::print_stderr, reason = "a skipped test says why, and figures are printed")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

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

/// A node of the accessibility tree.
struct Spoken {
    role: String,
    name: String,
    level: u64,
}

impl Spoken {
    /// The accessibility tree of a page, by Chromium's remote debugging over pipes.
    fn of(browser: &str, page: &Path) -> Vec<Self> {
        let folder = tempfile::tempdir().unwrap();
        let pipe = |name: &str| folder.path().join(name);
        assert!(Command::new("mkfifo").args([pipe("in"), pipe("out")]).status().unwrap().success());
        let flags = "--headless --no-sandbox --disable-gpu --no-first-run --remote-debugging-pipe";
        let script =
            format!("exec {browser} {flags} --user-data-dir=\"$0/profile\" 3<\"$0/in\" 4>\"$0/out\" 2>/dev/null");
        let mut child = Command::new("sh").args(["-c", &script]).arg(folder.path()).spawn().unwrap();
        let mut to = std::fs::File::create(pipe("in")).unwrap();
        let mut from = BufReader::new(std::fs::File::open(pipe("out")).unwrap());
        let mut number = 0;
        let mut ask = |session: &str, method: &str, params: Value| {
            number += 1;
            let mut request = json!({"id": number, "method": method, "params": params});
            if !session.is_empty() {
                request["sessionId"] = json!(session);
            }
            to.write_all(format!("{request}\0").as_bytes()).unwrap();
            loop {
                let mut bytes = Vec::new();
                assert!(from.read_until(0, &mut bytes).unwrap() > 0, "the browser has gone");
                let answer: Value = serde_json::from_slice(&bytes[..bytes.len() - 1]).unwrap();
                if answer["id"] == number {
                    return answer["result"].clone();
                }
            }
        };
        let url = format!("file://{}", page.display());
        let target = ask("", "Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let session = ask("", "Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        let session = session["sessionId"].as_str().unwrap().to_owned();
        ask(&session, "Page.navigate", json!({"url": url}));
        let loaded = "new Promise(r => document.readyState == 'complete' ? r(1) : onload = r)";
        let loaded = json!({"expression": loaded, "awaitPromise": true});
        ask(&session, "Runtime.evaluate", loaded);
        let tree = ask(&session, "Accessibility.getFullAXTree", json!({}));
        ask("", "Browser.close", json!({}));
        child.wait().unwrap();
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().trim().to_owned();
        let spoken = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == false);
        let level = |node: &Value| {
            let properties = node["properties"].as_array()?;
            properties.iter().find(|property| property["name"] == "level")?["value"]["value"].as_u64()
        };
        spoken
            .map(|node| Self { role: text(&node["role"]), name: text(&node["name"]), level: level(node).unwrap_or(0) })
            .collect()
    }
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

/// What a screen reader is told: headings that lead through the page, tables with captions and headers, and no bar
/// without words.
#[test]
fn a_screen_reader_is_told_everything() {
    let Some(browser) = browser() else { return };
    let evidence = quarter(300);
    let file = folder().join("report-read.html");
    std::fs::write(&file, html::page(&evidence, &[]).unwrap()).unwrap();
    let nodes = Spoken::of(browser, &file);
    let names =
        |role: &str| nodes.iter().filter(|node| node.role == role).map(|node| node.name.as_str()).collect::<Vec<_>>();
    assert_eq!((names("main").len(), names("banner").len(), names("contentinfo").len()), (1, 1, 1));
    let headings: Vec<_> =
        nodes.iter().filter(|node| node.role == "heading").map(|node| (node.level, node.name.as_str())).collect();
    assert_eq!(headings[0], (1, "Access taken away in Auth0: 300 removals"));
    let second: Vec<&str> = headings.iter().filter(|(level, _)| *level == 2).map(|(_, name)| *name).collect();
    let expected = [
        "Exceptions: 2",
        "In short",
        "From request to proof, person by person",
        "Who asked, and how that is known",
        "What this does not show",
        "Where this comes from",
    ];
    assert_eq!(second, expected);
    assert_eq!(names("region"), expected, "each section has its name");
    for role in ["table", "columnheader", "rowheader", "DisclosureTriangle"] {
        let names = names(role);
        assert!(!names.is_empty() && names.iter().all(|name| !name.is_empty()), "{role}: {names:?}");
    }
    let people = names("DisclosureTriangle");
    assert!(
        people.iter().any(|name| name.contains("auth0|5f7c") && name.contains("5 removals") && name.contains(" s, "))
    );
    assert!(names("image").is_empty() && names("graphics-document").is_empty());
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
