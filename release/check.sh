#!/bin/sh
# Compares the version in Cargo.toml with those that a release must name alike: the chart's, that of the image in
# config/ and, if one is given, the tag (vX.Y.Z), for which CHANGELOG.md must have a section.
set -eu
cd "$(dirname "$0")/.."
version=$(release/version.sh)

fail() { echo "release check: Cargo.toml has version $version, but $*" >&2; exit 1; }

for field in version appVersion; do
    found=$(sed -n "s/^$field: //p" charts/rescind/Chart.yaml)
    [ "$found" = "$version" ] || fail "charts/rescind/Chart.yaml has $field $found"
done
grep -q "^ *image: rescind:$version\$" config/rescind.yaml || fail "config/rescind.yaml has another: run make chart"
if [ $# -gt 0 ]; then
    [ "$1" = "v$version" ] || fail "the tag is $1"
    release/notes.sh "$version" >/dev/null
fi
echo "release check: ok, $version"
