# Every target is one command; most of the work is done by the Rust crates under tests/.

.PHONY: tools demo up down programs test test-long bench simulate lint docs crds golden scripts mutants chart image-check sbom
.PHONY: test-programs release-check chart-package install-manifest plugin-package krew-manifest matrix skew soak

# Finds etcd, kube-apiserver, kubectl, helm, promtool, Argo CD, kstatus and actionlint, builds what is missing, and
# prints where they are.
tools:
	cargo run --quiet --package stack -- binaries

# Shows the operator at work: control plane, fake Auth0, four removals, one without effect, one for later, one that only
# looks, too many at once and their release, a failure, a rate limit, clean-up.
demo: programs
	@cargo run --quiet --package stack -- demo

# Starts the same in the background and leaves it running, with a kubeconfig; `make down` ends it.
up: programs
	@cargo run --quiet --package stack -- up

down:
	@cargo run --quiet --package stack -- down

# Builds the operator, the fake Auth0, and the program that starts them.
programs:
	cargo build --package rescind --package fake-auth0 --bins
	cargo build --package stack

# All tests, against a real API server, which is built if it is missing. The property tests have a fixed seed here, so
# that a run can be repeated; test-long has a new one each time. The tests of the largest suites mostly wait, so at least
# four run at once. tests/README.md says which suite answers which question.
test: tools
	PROPTEST_RNG_SEED=20261125 RUST_TEST_THREADS=$$(nproc | sed 's/^[123]$$/4/') cargo test --workspace
	cargo test --features otlp --lib otlp::

# Compiles what `make test` runs.
test-programs:
	cargo test --workspace --no-run
	cargo test --features otlp --lib --no-run

# What takes too long for `make test`: hours. docs/testing.md has the date and the result of the last run.
test-long: tools
	RESCIND_WORLDS=100000 cargo test --release --test worlds -- --nocapture
	PROPTEST_CASES=2000 cargo test --release --lib --test dispatch
	cargo test --test chart -- --ignored
	cargo test --lib evidence:: -- --ignored --nocapture
	RESCIND_ORACLE_WORLDS=30 cargo test --test cli oracle
	tests/mutants.sh
	cargo test --test e2e walk:: -- --ignored
	$(MAKE) matrix skew soak
	$(MAKE) release-check chart-package install-manifest image-check plugin-package krew-manifest sbom
	image/reproduce.sh

# The end-to-end tests against the oldest Kubernetes that is supported and the newest that there was, both of which are
# built when they are missing. Half an hour.
matrix: tools
	RESCIND_KUBERNETES=oldest cargo test --test e2e
	RESCIND_KUBERNETES=newest cargo test --test e2e

# This version of the operator and an earlier one, which is built under target/, with the CRDs of both.
skew: tools
	tests/skew.sh

# An hour of churn, or RESCIND_SOAK_MINUTES, after which memory, descriptors, tasks, series and queues are back where
# they began; and before that 3,000 domains and 1,000 CA bundles that come and go.
soak: tools
	cargo test --profile bench --features jemalloc --test e2e soak:: -- --ignored --nocapture

# Measures what the operator costs, as it is in the image, compared with a plain Go operator and with the rate of the
# API server itself, and prints ratios and counts of one run. Ten minutes; RESCIND_BENCH_OBJECTS=300 is quicker and less
# telling, RESCIND_BENCH_LARGE=1 adds 100,000 objects.
bench: tools
	cargo bench --package rescind --no-default-features --features jemalloc --bench operator --bench dispatch

# Simulates what removing access costs under the limits of Auth0's plans, in virtual time. Three minutes, once built.
simulate:
	cargo bench --package rescind --bench simulate

# Writes the pages of docs/ that are made from what the code does.
docs:
	RESCIND_WRITE=1 cargo test --quiet --test docs every_
	RESCIND_WRITE=1 cargo test --quiet --test worlds every_answer
	RESCIND_WRITE=1 cargo test --quiet --test e2e numbers_are_right

# Format, clippy, and whether tests/mutants.sh still fits the code.
lint:
	tests/mutants.sh --fits
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo clippy --features otlp --lib --bins --quiet -- -D warnings
	cargo clippy --no-default-features --lib --bins --quiet -- -D warnings

# Writes crds/ from the code.
crds:
	RESCIND_WRITE=1 cargo test --quiet --test e2e crds_are_up_to_date

# Writes tests/cli/golden: what the commands for people print.
golden:
	RESCIND_WRITE=1 cargo test --quiet --test cli

# Writes target/resource_customizations: the scripts for Argo CD with test data from the code, in the layout in which
# Argo CD keeps them upstream, one folder for each kind.
scripts:
	cargo test --quiet --test scripts the_folders_pass_the_tests_they_hold

# Breaks each promise on purpose, in a copy, and requires that its test fails. Hours.
mutants: tools
	tests/mutants.sh

# Writes what is generated from other files: the chart's CRDs, README and schema, and the kustomize base. Run it after
# `make crds`, whose result it copies.
chart:
	RESCIND_WRITE=1 cargo test --quiet --test chart generated_files_are_up_to_date

# Builds the program of the image as the Dockerfile does and runs it in an empty root directory. Minutes; needs no
# container engine.
image-check:
	image/check.sh

# Writes the software bill of materials, rescind.cdx.json (CycloneDX): the crates with versions, licenses and hashes.
sbom:
	cargo install --quiet --locked --root target/sbom --version 0.5.9 cargo-cyclonedx
	target/sbom/bin/cargo-cyclonedx cyclonedx --format json --no-build-deps --no-default-features --features jemalloc --target $$(rustc -vV | sed -n 's/^host: //p')
	rm -f tests/*/*.cdx.json

# The image that the chart and the manifest of a release name, without its tag; and its digest, for the manifest.
IMAGE ?= rescind
DIGEST ?=
# The address of the repository, which the chart of a release names.
SOURCE ?=

# Compares the versions in Cargo.toml, the chart and config/; with TAG=vX.Y.Z also the tag, and looks for the
# changelog's section. This and the two below are the steps of .github/workflows/release.yaml that need no forge.
release-check:
	release/check.sh $(TAG)

# The chart of a release in target/dist.
chart-package:
	release/chart.sh "$$(cargo run --quiet --package stack -- locate helm)" $(IMAGE) $(SOURCE)

# The program with the commands for people as a plugin of kubectl, for this architecture, in target/image.
plugin-package:
	release/plugin.sh pack "$$(FEATURES=cli image/build.sh)" $$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')

# The manifest by which krew installs the plugins that are in target/image, target/dist/rescind.yaml.
krew-manifest:
	release/plugin.sh krew $(or $(SOURCE),https://github.com/OWNER/REPO)

# The manifest of a release for `kubectl apply`, target/dist/install.yaml.
install-manifest:
	release/manifest.sh $(IMAGE) $(DIGEST)
