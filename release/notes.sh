#!/bin/sh
# Prints the section of CHANGELOG.md for a version; there must be one, with something in it.
set -eu
cd "$(dirname "$0")/.."
notes=$(awk -v version="$1" '/^## / { found = $2 == version || $2 == "[" version "]"; next } found' CHANGELOG.md)
case $notes in
*[![:space:]]*) printf '%s\n' "$notes" ;;
*) echo "CHANGELOG.md has no section for $1" >&2; exit 1 ;;
esac
