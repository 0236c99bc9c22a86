#!/bin/sh
# Packs the program as a plugin of kubectl, and writes the manifest by which krew installs it.
# Usage: release/plugin.sh pack PROGRAM ARCH   writes target/image/kubectl-rescind-linux-ARCH.tar.gz
#        release/plugin.sh krew SOURCE         writes target/dist/rescind.yaml for what was packed; SOURCE is the
#                                              address of the repository
set -eu
cd "$(dirname "$0")/.."
version=$(release/version.sh)
out=target/image

pack() {
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    # One program under both names that kubectl looks for.
    install -m 755 "$1" "$folder/kubectl-rescind"
    ln "$folder/kubectl-rescind" "$folder/kubectl_complete-rescind"
    mkdir -p "$out"
    # The same bytes whenever it is packed.
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$folder" -cf - . | gzip -n \
        > "$out/kubectl-rescind-linux-$2.tar.gz"
    echo "$out/kubectl-rescind-linux-$2.tar.gz"
}

krew() {
    mkdir -p target/dist
    {
        cat <<YAML
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: rescind
spec:
  version: v$version
  homepage: $1
  shortDescription: Take access away in Auth0, and see what that does
  description: |
    Names in, manifests out: which manifests take roles, permissions and
    memberships of Auth0 away from people, what they would remove, where they
    stand, why somebody still gets in, and what an auditor asks for. It reads
    Auth0 and never changes anything there; the operator of Rescind in the
    cluster does that.
  caveats: |
    Reading Auth0 takes a token of its Management API that can read, in the
    variable RESCIND_AUTH0_TOKEN, or the right to read the tenant's Secret.
  platforms:
YAML
        for file in "$out"/kubectl-rescind-linux-*.tar.gz; do
            arch=${file##*-linux-}
            cat <<YAML
  - selector:
      matchLabels:
        os: linux
        arch: ${arch%.tar.gz}
    uri: $1/releases/download/v$version/${file##*/}
    sha256: $(sha256sum "$file" | cut -d' ' -f1)
    bin: kubectl-rescind
    files:
    - from: kubectl-rescind
      to: .
    - from: kubectl_complete-rescind
      to: .
YAML
        done
    } > target/dist/rescind.yaml
    echo target/dist/rescind.yaml
}

"$@"
