#!/bin/sh
# Builds the program of the image twice, here and in a copy of the tree in another folder, and requires the same bytes.
set -eu
cd "$(dirname "$0")/.."

first=$(image/build.sh)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/some-other-folder"
tar cf - --exclude=./target --exclude=./.git . | tar xf - -C "$copy/some-other-folder"
second=$(env -u CARGO_TARGET_DIR "$copy/some-other-folder/image/build.sh")
cmp "$first" "$second" || { echo "two builds in two folders differ" >&2; exit 1; }
echo "two builds in two folders are the same $(wc -c < "$first") bytes: $(sha256sum < "$first" | cut -d' ' -f1)"
