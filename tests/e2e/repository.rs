//! Rules of the repository itself: the CRD files match the code, and rooms (the folders of `src`) depend on each other
//! one way.

use std::fs;
use std::path::{Path, PathBuf};

use crate::generated_file::assert_up_to_date;
use crate::imports::Imports;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// `make crds` writes them.
#[test]
fn crds_are_up_to_date() {
    let folder = root().join("crds");
    let crds = rescind::api::crds();
    let mut expected: Vec<_> = crds.iter().map(|crd| crd.file.clone()).collect();
    for crd in &crds {
        let (path, yaml) = (folder.join(&crd.file), crd.yaml().unwrap());
        assert_up_to_date(path, &yaml, "crds");
    }
    let mut found: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.retain(|file| file != "Kustomization");
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "one file a kind");
}

const ROOMS: [&str; 8] = ["api", "auth0", "dispatch", "tenant", "revocation", "telemetry", "runtime", "cli"];

/// runtime -> telemetry -> revocation -> tenant -> dispatch -> auth0, and all may read api. Nothing knows cli.
#[test]
fn arrows_between_rooms_run_one_way() {
    for (height, room) in ROOMS.iter().enumerate() {
        for file in rust_files(&root().join("src").join(room)) {
            let text = fs::read_to_string(&file).unwrap();
            let above = ROOMS.iter().skip(height + 1).map(|room| format!("crate::{room}"));
            // api knows nothing; auth0 may read api but need not.
            let outside = if height <= 2 && *room != "api" {
                vec!["kube::".to_owned(), "k8s_openapi::".to_owned()]
            } else {
                vec![]
            };
            for name in above.chain(outside) {
                assert!(!text.contains(&name), "{} must not use {name}", file.display());
            }
        }
    }
}

/// The commands for people run no operator, and what they read Auth0 with cannot remove anything.
#[test]
fn the_commands_for_people_only_read() {
    for file in rust_files(&root().join("src/cli")) {
        let text = fs::read_to_string(&file).unwrap();
        for name in ["crate::runtime", "ManagementApi", "auth0::Client", "Connection::", "Dispatcher"] {
            assert!(!text.contains(name), "{} must not use {name}", file.display());
        }
    }
    let reader = fs::read_to_string(root().join("src/auth0/reader.rs")).unwrap();
    assert!(!reader.contains(".remove("), "a reader has no DELETE");
}

/// So a file can be read before the others of its room.
#[test]
fn no_two_files_of_a_room_import_each_other() {
    let circles: Vec<_> = ROOMS.iter().filter_map(|room| Imports::of(&root().join("src"), room).circle()).collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
    files
}
