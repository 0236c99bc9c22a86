//! Finds the programs: in `KUBEBUILDER_ASSETS`, or built before, or built now.
//!
//! Builds are kept in the user's cache, in a folder named by tool, version and a fingerprint of everything that
//! determines the result. So a new clone on the same machine builds nothing, and a changed pin builds again.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::build::{build, module_dir};
use crate::tools::{OTHER_KUBERNETES, TOOLS, Tool, tests_dir, tool_of};

/// The path of the program `name` (`etcd`, `kube-apiserver`, `kubectl`, `helm`, `promtool`). If it is missing, it is
/// built first, which takes minutes and is announced on standard error.
pub fn locate(name: &str) -> Result<PathBuf, Error> {
    Places::from_env().locate(name)
}

/// The paths of all programs that tests need, in the order of the table, and of the sources from which nothing is
/// built. What is missing is built or fetched.
pub fn locate_all() -> Result<Vec<(&'static str, PathBuf)>, Error> {
    let places = Places::from_env();
    let tools = || TOOLS.iter().filter(|tool| tool.is_for_tests());
    let names = tools().flat_map(|tool| tool.programs).map(|(name, _)| *name);
    let programs = names.map(|name| Ok((name, places.locate(name)?)));
    let sources = tools().filter(|tool| tool.programs.is_empty());
    let sources = sources.map(|tool| Ok((tool.name(), source(tool.name())?)));
    programs.chain(sources).collect()
}

/// The source of the module of the program or tool `name`: some programs need files of it to run. It is fetched if it
/// is not in Go's cache.
pub fn source(name: &str) -> Result<PathBuf, Error> {
    let tool = tool_of(name)?;
    module_dir(tool, &tool.pinned(&tests_dir())?)
}

/// The folders to search.
#[derive(Debug)]
struct Places {
    /// `KUBEBUILDER_ASSETS`, if set.
    assets: Option<PathBuf>,
    /// The folder of the builds.
    cache: PathBuf,
    /// The folder with the folders that pin the tools.
    tests: PathBuf,
    /// `RESCIND_KUBERNETES`, if set: one of [`OTHER_KUBERNETES`].
    kubernetes: Option<String>,
}

impl Places {
    fn from_env() -> Self {
        let tests = tests_dir();
        let assets = env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()).map(PathBuf::from);
        // The working folder of a test is not that of the shell that set the variable, so make the path absolute.
        let assets = assets.map(|dir| std::path::absolute(&dir).unwrap_or(dir));
        let cache = cache_dir(env::var_os("XDG_CACHE_HOME"), env::var_os("HOME"), &tests);
        let kubernetes = env::var("RESCIND_KUBERNETES").ok().filter(|value| !value.is_empty());
        Self { assets, cache, tests, kubernetes }
    }

    fn locate(&self, name: &str) -> Result<PathBuf, Error> {
        let tool = self.of_this_kubernetes(tool_of(name)?)?;
        if !tool.programs.iter().any(|(program, _)| *program == name) {
            return Err(Error::UnknownProgram { name: name.to_owned() });
        }
        if let Some(given) = self.assets.as_ref().map(|dir| dir.join(name)).filter(|path| path.is_file()) {
            return Ok(given);
        }
        let pinned = tool.pinned(&self.tests)?;
        let folder = self.cache.join(format!("{}-{}-{}", tool.name(), pinned.version, pinned.fingerprint));
        if !is_complete(tool, &folder) {
            build(tool, &pinned, &folder)?;
        }
        Ok(folder.join("bin").join(name))
    }

    /// `tool`, or the version of Kubernetes that was chosen in its place.
    fn of_this_kubernetes(&self, tool: &'static Tool) -> Result<&'static Tool, Error> {
        let Some(chosen) = self.kubernetes.as_deref().filter(|_| tool.name() == "kube-apiserver") else {
            return Ok(tool);
        };
        let found = OTHER_KUBERNETES.iter().find(|(name, _)| *name == chosen);
        found.map(|(_, tool)| tool).ok_or_else(|| Error::UnknownProgram { name: format!("kube-apiserver {chosen}") })
    }
}

/// Whether `folder` has all programs of `tool`. It appears as a whole, so a file is missing only if somebody removed
/// it.
pub(crate) fn is_complete(tool: &Tool, folder: &Path) -> bool {
    tool.programs.iter().all(|(name, _)| folder.join("bin").join(name).is_file())
}

/// The user's cache, shared by all clones; without a home, `tools/bin` beside the pins.
fn cache_dir(xdg: Option<OsString>, home: Option<OsString>, tests: &Path) -> PathBuf {
    let absolute = |value: Option<OsString>| value.map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute(xdg).or_else(|| absolute(home).map(|home| home.join(".cache")));
    cache.map_or_else(|| tests.join("tools/bin"), |cache| cache.join("rescind-tools"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    /// Places in a temporary folder, with the real pins and a cache of programs "built before".
    fn places(dir: &Path) -> Places {
        let (assets, cache) = (Some(dir.join("assets")), dir.join("cache"));
        let places = Places { assets, cache, tests: tests_dir(), kubernetes: None };
        fs::create_dir_all(dir.join("assets")).unwrap();
        for tool in TOOLS.iter().chain(OTHER_KUBERNETES.iter().map(|(_, tool)| tool)) {
            let bin = built(&places, tool);
            fs::create_dir_all(&bin).unwrap();
            for (name, _) in tool.programs {
                fs::write(bin.join(name), "").unwrap();
            }
        }
        places
    }

    fn built(places: &Places, tool: &Tool) -> PathBuf {
        let pinned = tool.pinned(&places.tests).unwrap();
        places.cache.join(format!("{}-{}-{}", tool.name(), pinned.version, pinned.fingerprint)).join("bin")
    }

    #[test]
    fn assets_come_first_and_only_for_the_files_they_hold() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        fs::write(dir.path().join("assets/kubectl"), "").unwrap();
        assert_eq!(places.locate("kubectl").unwrap(), dir.path().join("assets/kubectl"));
        let kubernetes = tool_of("kubectl").unwrap();
        assert_eq!(places.locate("kube-apiserver").unwrap(), built(&places, kubernetes).join("kube-apiserver"));
        assert_eq!(places.locate("etcd").unwrap(), built(&places, tool_of("etcd").unwrap()).join("etcd"));
    }

    #[test]
    fn another_kubernetes_takes_the_place_of_the_usual_one_and_of_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let usual = places(dir.path());
        for (name, tool) in &OTHER_KUBERNETES {
            let places = Places { kubernetes: Some((*name).to_owned()), ..places(dir.path()) };
            assert_eq!(places.locate("kubectl").unwrap(), built(&places, tool).join("kubectl"));
            assert_ne!(places.locate("kube-apiserver").unwrap(), usual.locate("kube-apiserver").unwrap());
            assert_eq!(places.locate("etcd").unwrap(), usual.locate("etcd").unwrap());
        }
        let unknown = Places { kubernetes: Some("1.2".to_owned()), ..usual };
        assert!(unknown.locate("kubectl").unwrap_err().to_string().contains("kube-apiserver 1.2"));
    }

    #[test]
    fn a_folder_that_lost_a_program_is_not_taken_for_complete() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        let tool = tool_of("kubectl").unwrap();
        let bin = built(&places, tool);
        assert!(is_complete(tool, bin.parent().unwrap()));
        fs::remove_file(bin.join("kubectl")).unwrap();
        assert!(!is_complete(tool, bin.parent().unwrap()));
    }

    #[test]
    fn an_unknown_program_is_an_error_that_says_where_to_add_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = places(dir.path()).locate("minikube").unwrap_err().to_string();
        assert!(error.contains("minikube") && error.contains("tests/tools"), "{error}");
    }

    #[test]
    fn the_cache_is_the_users_and_relative_settings_do_not_count() {
        let tests = Path::new("/t");
        let cache = |xdg: Option<&str>, home: Option<&str>| cache_dir(xdg.map(Into::into), home.map(Into::into), tests);
        assert_eq!(cache(Some("/x"), Some("/h")), Path::new("/x/rescind-tools"));
        assert_eq!(cache(Some("x"), Some("/h")), Path::new("/h/.cache/rescind-tools"));
        assert_eq!(cache(None, Some("/h")), Path::new("/h/.cache/rescind-tools"));
        assert_eq!(cache(None, None), Path::new("/t/tools/bin"));
    }
}
