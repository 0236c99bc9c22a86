#!/bin/sh
# Packs the chart into target/dist. Its default image is the one given, without tag: the tag is the chart's version.
# Usage: release/chart.sh HELM IMAGE
set -eu
cd "$(dirname "$0")/.."
helm=$1 image=$2
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

cp -R charts/rescind "$copy"
sed -i "s|^  repository: rescind\$|  repository: $image|" "$copy/rescind/values.yaml"
row='| `image.repository` | `"'
sed -i "s#^$row"'rescind"` #'"$row$image"'"` #' "$copy/rescind/README.md"
mkdir -p target/dist
"$helm" package "$copy/rescind" --destination target/dist
