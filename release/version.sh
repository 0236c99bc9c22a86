#!/bin/sh
# Prints the version that Cargo.toml gives to the whole workspace.
set -eu
cd "$(dirname "$0")/.."
sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"$/\1/p' Cargo.toml
