//! The table of tools, and the folders that pin their versions.
//!
//! Another tool takes one folder with `go.mod` and `go.sum`, and one entry in [`TOOLS`].

use std::path::{Path, PathBuf};

use crate::Error;

/// Programs built from one Go module, whose version is pinned by a folder under `tests`.
#[derive(Debug)]
pub(crate) struct Tool {
    /// The folder under `tests`: in `tools`, or beside the only test that needs it.
    pub folder: &'static str,
    /// The module whose version is the version of the tool.
    pub module: &'static str,
    /// The programs to build, by name and package. Empty if only source files of the module are needed.
    pub programs: &'static [(&'static str, &'static str)],
    /// Build tags, separated by commas, that exclude what no test needs.
    pub tags: &'static str,
    /// Variables set at link time, so that the programs know their version. `{version}`, `{major}` and `{minor}` are
    /// replaced by the version of `module`.
    pub variables: &'static [&'static str],
    /// How long the first build takes on two cores, for the message before it.
    pub takes: &'static str,
}

/// A version of Kubernetes.
const fn kubernetes(folder: &'static str) -> Tool {
    Tool {
        folder,
        module: "k8s.io/kubernetes",
        programs: &[
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        ],
        tags: "",
        variables: &[
            "k8s.io/component-base/version.gitVersion=v{version}",
            "k8s.io/component-base/version.gitMajor={major}",
            "k8s.io/component-base/version.gitMinor={minor}",
        ],
        takes: "about 4 minutes",
    }
}

/// Kubernetes at the other ends of the supported range, in place of the first tool: by the value of
/// `RESCIND_KUBERNETES`.
pub(crate) const OTHER_KUBERNETES: [(&str, Tool); 2] =
    [("oldest", kubernetes("matrix/oldest")), ("newest", kubernetes("matrix/newest"))];

/// All tools.
pub(crate) const TOOLS: &[Tool] = &[
    kubernetes("tools/kube-apiserver"),
    Tool {
        folder: "tools/etcd",
        module: "go.etcd.io/etcd/server/v3",
        programs: &[("etcd", "go.etcd.io/etcd/server/v3")],
        tags: "",
        variables: &[],
        takes: "about half a minute",
    },
    Tool {
        folder: "tools/helm",
        module: "helm.sh/helm/v4",
        programs: &[("helm", "helm.sh/helm/v4/cmd/helm")],
        tags: "",
        variables: &["helm.sh/helm/v4/internal/version.version=v{version}"],
        takes: "about a minute and a half",
    },
    Tool {
        folder: "tools/promtool",
        module: "github.com/prometheus/prometheus",
        programs: &[("promtool", "github.com/prometheus/prometheus/cmd/promtool")],
        tags: "remove_all_sd",
        variables: &["github.com/prometheus/common/version.Version={version}"],
        takes: "about 2 minutes",
    },
    Tool {
        folder: "tools/argocd",
        module: "github.com/argoproj/argo-cd/v3",
        programs: &[
            ("argocd", "github.com/argoproj/argo-cd/v3/cmd"),
            ("miniredis", "rescind.dev/tools/argocd/miniredis"),
        ],
        tags: "",
        variables: &["github.com/argoproj/argo-cd/v3/common.version={version}"],
        takes: "about 3 minutes",
    },
    Tool {
        folder: "tools/kstatus",
        module: "github.com/fluxcd/cli-utils",
        programs: &[("kstatus", "rescind.dev/tools/kstatus")],
        tags: "",
        variables: &[],
        takes: "about half a minute",
    },
    Tool {
        folder: "tools/actionlint",
        module: "github.com/rhysd/actionlint",
        programs: &[("actionlint", "github.com/rhysd/actionlint/cmd/actionlint")],
        tags: "",
        variables: &["github.com/rhysd/actionlint.version={version}"],
        takes: "about a quarter of a minute",
    },
    Tool {
        folder: "tools/prometheus-operator",
        module: "github.com/prometheus-operator/prometheus-operator",
        programs: &[],
        tags: "",
        variables: &[],
        takes: "no time",
    },
    Tool {
        folder: "tools/external-secrets",
        module: "github.com/external-secrets/external-secrets",
        programs: &[],
        tags: "",
        variables: &[],
        takes: "no time",
    },
    Tool {
        folder: "tools/sealed-secrets",
        module: "github.com/bitnami-labs/sealed-secrets",
        programs: &[],
        tags: "",
        variables: &[],
        takes: "no time",
    },
    Tool {
        folder: "tools/vault-secrets-operator",
        module: "github.com/hashicorp/vault-secrets-operator",
        programs: &[],
        tags: "",
        variables: &[],
        takes: "no time",
    },
    Tool {
        folder: "tools/kustomize-controller",
        module: "github.com/fluxcd/kustomize-controller",
        programs: &[],
        tags: "",
        variables: &[],
        takes: "no time",
    },
    Tool {
        folder: "chart/kube-score",
        module: "github.com/zegl/kube-score",
        programs: &[("kube-score", "github.com/zegl/kube-score/cmd/kube-score")],
        tags: "",
        variables: &[],
        takes: "about a minute",
    },
    Tool {
        folder: "chart/pgp-key",
        module: "github.com/ProtonMail/go-crypto",
        programs: &[("pgp-key", "rescind.dev/chart/pgp-key")],
        tags: "",
        variables: &[],
        takes: "about a quarter of a minute",
    },
    Tool {
        folder: "bench/peer",
        module: "sigs.k8s.io/controller-runtime",
        programs: &[("peer", "rescind.dev/bench/peer")],
        tags: "",
        variables: &[],
        takes: "about a minute",
    },
];

/// The tool that builds the program `name`, or that has this name itself.
pub(crate) fn tool_of(name: &str) -> Result<&'static Tool, Error> {
    let builds = |tool: &&Tool| tool.programs.iter().any(|(program, _)| *program == name);
    let found = TOOLS.iter().find(builds).or_else(|| TOOLS.iter().find(|tool| tool.name() == name));
    found.ok_or_else(|| Error::UnknownProgram { name: name.to_owned() })
}

/// The folder `tests` of the checkout that this crate was compiled from.
pub(crate) fn tests_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// What the folder of a tool pins.
#[derive(Debug)]
pub(crate) struct Pinned {
    /// The folder.
    pub dir: PathBuf,
    /// The version without the `v`.
    pub version: String,
    /// The oldest Go that can build it, as `go.mod` says.
    pub go: String,
    /// A hash of everything that determines the build.
    pub fingerprint: String,
}

impl Tool {
    /// Its name: the last part of its folder.
    pub fn name(&self) -> &'static str {
        self.folder.rsplit('/').next().unwrap_or(self.folder)
    }

    /// Whether tests need it; `make tools` builds those.
    pub fn is_for_tests(&self) -> bool {
        self.folder.starts_with("tools/")
    }

    /// Reads the folder of the tool under `tests_dir`.
    pub fn pinned(&self, tests_dir: &Path) -> Result<Pinned, Error> {
        let dir = tests_dir.join(self.folder);
        let read = |path: PathBuf| std::fs::read_to_string(&path).map_err(Error::io("read", &path));
        let go_mod = read(dir.join("go.mod"))?;
        let go_sum = read(dir.join("go.sum"))?;
        let missing = |missing: &str| Error::GoMod { path: dir.join("go.mod"), missing: missing.to_owned() };
        let version = required_version(&go_mod, self.module).ok_or_else(|| missing(self.module))?;
        let go = go_mod.lines().find_map(|line| line.strip_prefix("go ")).ok_or_else(|| missing("the go line"))?;
        let machine = (std::env::consts::OS, std::env::consts::ARCH);
        let recipe = format!("{:?} {} {machine:?}{}", self.programs, self.ldflags(version), self.tags);
        let own = self.own_programs().map(|(folder, _)| go_files(&dir.join(folder)));
        let own = own.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().map(read);
        let own = own.collect::<Result<Vec<_>, _>>()?.concat();
        let fingerprint = fnv1a(&[go_mod.as_bytes(), go_sum.as_bytes(), recipe.as_bytes(), own.as_bytes()]);
        Ok(Pinned {
            version: version.to_owned(),
            go: go.trim().to_owned(),
            fingerprint: format!("{fingerprint:016x}"),
            dir,
        })
    }

    /// The programs whose code is in this repository: the folder within the tool's, and the package.
    fn own_programs(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let ours = format!("rescind.dev/{}", self.folder);
        self.programs.iter().filter_map(move |(_, package)| {
            let folder = package.strip_prefix(ours.as_str())?;
            Some((folder.trim_start_matches('/'), *package))
        })
    }

    /// The linker flags for a version.
    pub fn ldflags(&self, version: &str) -> String {
        let mut parts = version.split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        self.variables.iter().fold(String::from("-s -w"), |flags, variable| {
            let value = variable.replace("{version}", version).replace("{major}", major).replace("{minor}", minor);
            format!("{flags} -X {value}")
        })
    }
}

/// The Go files of a folder, sorted.
fn go_files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(dir).map_err(Error::io("read", dir))?;
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "go")).collect();
    files.sort();
    Ok(files)
}

/// The version that `go_mod` requires of `module`, without the `v`. A replace line (with `=>`) is no requirement.
fn required_version<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let line = line.trim();
        let mut words = line.strip_prefix("require ").unwrap_or(line).split_whitespace();
        (words.next()? == module).then(|| words.next()?.strip_prefix('v')).flatten()
    })
}

/// FNV-1a: the standard library's hasher may change between releases, and a changed name means a rebuild.
fn fnv1a(texts: &[&[u8]]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_tool_has_a_folder_that_pins_it() {
        for tool in TOOLS.iter().chain(OTHER_KUBERNETES.iter().map(|(_, tool)| tool)) {
            let pinned = tool.pinned(&tests_dir()).unwrap();
            assert!(pinned.version.starts_with(|c: char| c.is_ascii_digit()), "{pinned:?}");
            let go_mod = std::fs::read_to_string(pinned.dir.join("go.mod")).unwrap();
            let ours: Vec<_> = tool.own_programs().map(|(_, package)| package).collect();
            for (_, package) in tool.programs.iter().filter(|(_, package)| !ours.contains(package)) {
                assert!(go_mod.contains(package), "{} has no tool line for {package}", tool.folder);
            }
        }
    }

    #[test]
    fn staging_modules_follow_the_version_of_kubernetes() {
        for tool in OTHER_KUBERNETES.iter().map(|(_, tool)| tool).chain(&TOOLS[..1]) {
            let pinned = tool.pinned(&tests_dir()).unwrap();
            let staging = format!(" v0{}", &pinned.version[pinned.version.find('.').unwrap()..]);
            let go_mod = std::fs::read_to_string(pinned.dir.join("go.mod")).unwrap();
            let replaces: Vec<&str> = go_mod.lines().filter(|line| line.contains("=>")).collect();
            assert!(replaces.len() >= 30, "{tool:?}");
            assert!(replaces.iter().all(|line| line.ends_with(&staging)), "not all replaces end with{staging}");
        }
    }

    #[test]
    fn the_version_is_the_required_one_and_goes_into_the_linker_flags() {
        let go_mod = "require k8s.io/kubernetes v1.36.3\nreplace (\n\tk8s.io/kubernetes => x v9.9.9\n)\n";
        assert_eq!(required_version(go_mod, "k8s.io/kubernetes"), Some("1.36.3"));
        assert_eq!(required_version("require (\n\ta/b v2.0.0 // indirect\n)", "a/b"), Some("2.0.0"));
        assert_eq!(required_version("replace a/b => c v1.0.0", "a/b"), None);
        let flags = tool_of("kubectl").unwrap().ldflags("1.36.3");
        assert!(flags.starts_with("-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 -X "), "{flags}");
        assert!(flags.ends_with("gitMinor=36"), "{flags}");
    }
}
