#!/bin/sh
# Builds the program that goes into the image: static, and the same bytes wherever the checkout is.
# Prints its path. The Dockerfile and `make image-check` both call this. FEATURES are cargo's, comma-separated.
set -eu
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
# Static, so that the image needs no libc; since glibc 2.34 such a program resolves names by itself.
# Paths are cut and the build id is left out, so that they do not make two builds differ.
export RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,--build-id=none \
--remap-path-prefix=$PWD=/rescind --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
export CFLAGS="-ffile-prefix-map=$PWD=/rescind -ffile-prefix-map=${CARGO_HOME:-$HOME/.cargo}=/cargo"
export CARGO_INCREMENTAL=0
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-0}"

# With --target, build scripts and macros are not linked statically, which they could not be.
cargo build --locked --release --package rescind --bin rescind --features "${FEATURES:-}" --target "$host" >&2
echo "${CARGO_TARGET_DIR:-$PWD/target}/$host/release/rescind"
