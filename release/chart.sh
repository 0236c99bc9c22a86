#!/bin/sh
# Packs the chart into target/dist. Its default image is the one given, without tag: the tag is the chart's version.
# SOURCE is the address of the repository, for Artifact Hub; it may be empty. FLAGs are those of `helm package`, such as
# `--sign`.
# Usage: release/chart.sh HELM IMAGE [SOURCE [FLAG…]]
set -eu
cd "$(dirname "$0")/.."
helm=$1 image=$2 source=${3-}
shift $(($# < 3 ? $# : 3))
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

cp -R charts/rescind "$copy"
sed -i "s|^  repository: rescind\$|  repository: $image|" "$copy/rescind/values.yaml"
row='| `image.repository` | `"'
sed -i "s#^$row"'rescind"` #'"$row$image"'"` #' "$copy/rescind/README.md"
sed -i "s|\"image.repository\": \"rescind\"|\"image.repository\": \"$image\"|" "$copy/rescind/files/defaults.json"
sed -i "s|image: rescind:|image: $image:|" "$copy/rescind/Chart.yaml"
[ -z "$source" ] ||
    sed -i "s|^  artifacthub.io/links: .*|&\n    - name: Source\n      url: $source|" "$copy/rescind/Chart.yaml"
mkdir -p target/dist
"$helm" package "$copy/rescind" --destination target/dist "$@"
