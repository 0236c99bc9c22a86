#!/bin/sh
# Writes target/dist/install.yaml, which `kubectl apply --server-side -f` installs: what config/ installs, with the
# image given and, if one is given, its digest.
# Usage: release/manifest.sh IMAGE [DIGEST]
set -eu
cd "$(dirname "$0")/.."
version=$(release/version.sh)
image=$1:$version${2:+@$2}
mkdir -p target/dist
{
    cat config/namespace.yaml
    for file in crds/*.yaml; do
        echo ---
        cat "$file"
    done
    cat config/rescind.yaml
} |
    sed "s|^\( *image: \)rescind:$version\$|\1$image|" > target/dist/install.yaml
echo "target/dist/install.yaml installs $image"
