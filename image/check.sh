#!/bin/sh
# Runs the program of the image as the image's user, and as one that OpenShift might choose, in a root directory that
# has nothing but the CA certificates and the files that a kubelet adds to every pod. Needs no container engine; uses a
# user namespace.
set -eu
cd "$(dirname "$0")/.."

program=$(image/build.sh)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/etc/ssl/certs"
cp "$program" "$root/rescind"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo "127.0.0.1 api.test" > "$root/etc/hosts"
echo "nameserver 127.0.0.1" > "$root/etc/resolv.conf"
# A cluster that does not exist, under a host name that has to be resolved. Port 1 refuses connections.
echo '{"apiVersion":"v1","kind":"Config","current-context":"c","users":[{"name":"c","user":{"token":"t"}}],
"clusters":[{"name":"c","cluster":{"server":"https://api.test:1"}}],
"contexts":[{"name":"c","context":{"cluster":"c","user":"c"}}]}' > "$root/kubeconfig"
chmod -R a+rX "$root"

user=65532 group=65532
# The operator waits for its cluster, so it is terminated after 5 s.
run() { timeout 5 env -i "$@" unshare --user --map-user=$user --map-group=$group --root="$root" --wd=/ \
    /rescind $arguments; }
fail() { echo "image check: $*" >&2; exit 1; }

size=$(wc -c < "$program")
[ "$size" -lt 20000000 ] || fail "the program has $size bytes; 20,000,000 is the limit"
arguments=--version; run | grep -q '^rescind ' || fail "it does not start"
arguments=crds; [ "$(run | grep -c '^kind: CustomResourceDefinition')" -eq "$(ls crds/*.yaml | wc -l)" ] || fail "no CRDs"
arguments=run; said=$(run KUBECONFIG=/kubeconfig 2>&1) && fail "it ended by itself: $said"
case "$said" in
  *refused*) ;;
  *) fail "it did not get as far as a refused connection: $said" ;;
esac
user=1000980000 group=0
arguments=--version; run | grep -q '^rescind ' || fail "it does not start as user $user of group $group"
echo "image check: ok, $size bytes, alone in its root as 65532 and as $user"
