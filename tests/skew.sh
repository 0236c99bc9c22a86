#!/bin/sh
# Two versions of the operator, and the CRDs of both, one after the other under the same objects (promise 13): builds
# the operator of an earlier commit in a worktree under target/, and runs tests/e2e/skew.rs with it and with this one.
set -eu
cd "$(dirname "$0")/.."

# The last commit that does not act on modes, times, holds and policy Continuous. It has the tag skew-base.
base=2ad0541
if git rev-parse --quiet --verify "skew-base^{commit}" >/dev/null; then base=skew-base; fi

worktree=target/skew/worktree
git worktree remove --force "$worktree" 2>/dev/null || true
git worktree prune
git worktree add --quiet --detach "$worktree" "$base"
trap 'git worktree remove --force "$worktree"' EXIT
(
    cd "$worktree"
    CARGO_TARGET_DIR=../build CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0 cargo build --quiet --locked --bin rescind
)
RESCIND_SKEW_PROGRAM="$PWD/target/skew/build/debug/rescind" RESCIND_SKEW_CRDS="$PWD/$worktree/crds" \
    cargo test --test e2e skew:: -- --ignored --nocapture
