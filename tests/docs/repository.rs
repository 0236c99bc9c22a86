//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::markdown::Page;

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The path from the root of every file below `folder` whose name is `wanted`, without build results.
pub fn files(folder: &str, wanted: fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    collect(&root().join(folder), wanted, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, wanted: fn(&str) -> bool, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_symlink() || ["target", ".git", "node_modules"].contains(&name) {
            continue;
        } else if path.is_dir() {
            collect(&path, wanted, found);
        } else if wanted(name) {
            found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// Every page of Markdown.
pub fn pages() -> Vec<Page> {
    files("", |name| name.ends_with(".md")).iter().map(|path| Page::read(path, &read(path))).collect()
}

pub fn page(path: &str) -> Page {
    Page::read(path, &read(path))
}

/// The text of all sources that may cite a page or define a name.
pub fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let wanted = |name: &str| {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        ["rs", "yaml", "yml", "json", "lua", "sh", "toml", "tpl", "txt", "go"].contains(&extension)
            || ["Makefile", "Dockerfile", "run"].contains(&name)
    };
    let paths = folders.iter().flat_map(|folder| files(folder, wanted));
    paths
        .map(|path| (path.clone(), String::from_utf8_lossy(&fs::read(root().join(path)).unwrap()).into_owned()))
        .collect()
}

/// Panics with all findings at once.
pub fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
