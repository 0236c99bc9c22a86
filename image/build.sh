#!/bin/sh
# Builds the program of the image, statically linked and with the same bytes wherever the checkout is, and prints its
# path. The Dockerfile and `make image-check` call this. FEATURES: cargo features, comma-separated;
# `cli` adds the commands for people.
set -eu
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
# Static, so that the image needs no libc. Since glibc 2.34 a static program can resolve host names.
# Source paths are remapped and the build ID is left out, because they would make two builds differ.
export RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,--build-id=none \
--remap-path-prefix=$PWD=/rescind --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
export CFLAGS="-ffile-prefix-map=$PWD=/rescind -ffile-prefix-map=${CARGO_HOME:-$HOME/.cargo}=/cargo"
export CARGO_INCREMENTAL=0
# A tenth smaller, for some minutes more.
export CARGO_PROFILE_RELEASE_LTO=fat
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-0}"

# With --target, RUSTFLAGS do not apply to build scripts and procedural macros, which cannot be linked statically.
cargo build --locked --release --package rescind --bin rescind --no-default-features \
    --features "jemalloc${FEATURES:+,$FEATURES}" --target "$host" >&2
echo "${CARGO_TARGET_DIR:-$PWD/target}/$host/release/rescind"
