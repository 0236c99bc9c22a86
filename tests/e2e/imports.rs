//! Finds which file of a room imports which, from the text alone: `use` and paths that begin with `super`, `self` or
//! `crate`. A re-exported name counts as an import from where it is defined.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Module = Vec<String>;

/// The files of a room, and which of the others each imports.
pub struct Imports(BTreeMap<Module, BTreeSet<Module>>);

impl Imports {
    pub fn of(src: &Path, room: &str) -> Self {
        let mut files = BTreeMap::new();
        read(&src.join(room), vec![room.to_owned()], &mut files);
        let handed_on: BTreeMap<_, _> =
            files.iter().map(|(module, text)| (module.clone(), hands_on(module, text))).collect();
        let edges = files.iter().map(|(module, text)| {
            let of = paths(module, text).into_iter().filter_map(|path| defined_in(path, &handed_on, 0));
            (module.clone(), of.filter(|other| other != module).collect())
        });
        Self(edges.collect())
    }

    /// Files that import each other, directly or through others.
    pub fn circle(&self) -> Option<Vec<String>> {
        let mut left = self.0.clone();
        // A file that imports none of those left is in no circle.
        loop {
            let known: BTreeSet<Module> = left.keys().cloned().collect();
            let free: Vec<Module> =
                left.iter().filter(|(_, of)| of.is_disjoint(&known)).map(|(m, _)| m.clone()).collect();
            if free.is_empty() {
                break;
            }
            free.iter().for_each(|module| drop(left.remove(module)));
        }
        let mut way = vec![left.keys().next()?.clone()];
        loop {
            let next = left[way.last().unwrap()].iter().find(|other| left.contains_key(*other)).unwrap().clone();
            if let Some(at) = way.iter().position(|module| *module == next) {
                let mut circle: Vec<String> = way[at..].iter().map(|module| module.join("::")).collect();
                let first = (0..circle.len()).min_by_key(|at| &circle[*at]).unwrap();
                circle.rotate_left(first);
                circle.push(circle[0].clone());
                return Some(circle);
            }
            way.push(next);
        }
    }
}

/// The text of every file below `folder` except tests, by module.
fn read(folder: &Path, module: Module, files: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let below = || module.iter().cloned().chain([name.clone()]).collect();
        if path.is_dir() {
            read(&path, below(), files);
        } else if name != "tests" {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let code: String =
                text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            files.insert(if name == "mod" { module.clone() } else { below() }, code);
        }
    }
}

/// The names that a module re-exports by `pub use`, and where each comes from.
fn hands_on(module: &Module, text: &str) -> BTreeMap<String, Module> {
    let mut names = BTreeMap::new();
    for (at, _) in text.match_indices("use ") {
        if line_before(text, at).starts_with("pub") {
            for path in use_paths(module, &text[at + 4..]) {
                names.insert(path.last().unwrap().clone(), path);
            }
        }
    }
    names
}

/// Every path within the crate that a file mentions.
fn paths(module: &Module, text: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let before = line_before(text, at);
        if before.is_empty() || before.starts_with("pub") {
            found.extend(use_paths(module, &text[at + 4..]));
        }
    }
    for start in ["super::", "crate::", "self::"] {
        for (at, _) in text.match_indices(start) {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            if !text[..at].ends_with(is_name) {
                let path: String = text[at..].chars().take_while(|c| is_name(*c)).collect();
                // Otherwise it begins a list, which `use_paths` reads as a whole.
                if !path.ends_with(':') {
                    found.extend(absolute(module, path.split("::")));
                }
            }
        }
    }
    found
}

/// The part of its line before `at`.
fn line_before(text: &str, at: usize) -> &str {
    text[..at].rsplit('\n').next().unwrap_or_default().trim()
}

/// The paths of one `use` statement, whose tree `text` begins with.
fn use_paths(module: &Module, text: &str) -> Vec<Module> {
    let tree = text.split(';').next().unwrap();
    let flat = expand(&tree.split_whitespace().collect::<Vec<_>>().join(" "));
    flat.iter().filter_map(|path| absolute(module, path.split(" as ").next().unwrap().trim().split("::"))).collect()
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expand(tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in inner.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(expand).map(|part| format!("{}{part}", head.trim())).collect()
}

fn absolute<'a>(module: &Module, path: impl Iterator<Item = &'a str>) -> Option<Module> {
    let mut at = module.clone();
    let mut named = Vec::new();
    for segment in path.map(str::trim) {
        match segment {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            "self" => {}
            segment => named.push(segment.to_owned()),
        }
    }
    (!named.is_empty()).then(|| at.into_iter().chain(named).collect())
}

/// The file that defines what this path names.
fn defined_in(path: Module, handed_on: &BTreeMap<Module, BTreeMap<String, Module>>, depth: usize) -> Option<Module> {
    let length = (1..=path.len()).rev().find(|length| handed_on.contains_key(&path[..*length]))?;
    let (module, rest) = path.split_at(length);
    let from = rest.first().and_then(|name| handed_on[module].get(name));
    match from.filter(|from| **from != path && depth < 8) {
        Some(from) => defined_in(from.iter().chain(&rest[1..]).cloned().collect(), handed_on, depth + 1),
        None => Some(module.to_vec()),
    }
}

#[test]
fn circular_imports_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join("room").join(name), text).unwrap();
    fs::create_dir(folder.path().join("room")).unwrap();
    write("mod.rs", "mod a;\nmod b;\nmod c;\npub use b::{B,\n    Other};\n");
    write("a.rs", "use super::B;\n");
    write("b.rs", "use std::fmt;\nuse super::c::C;\n#[cfg(test)]\nmod tests { use super::a::A; }\n");
    write("c.rs", "// use super::a;\npub struct C;\n");
    assert_eq!(Imports::of(folder.path(), "room").circle(), None);
    write("c.rs", "pub fn c() -> super::a::A { todo!() }\n");
    let circle = Imports::of(folder.path(), "room").circle().unwrap();
    assert_eq!(circle, ["room::a", "room::b", "room::c", "room::a"]);
}
