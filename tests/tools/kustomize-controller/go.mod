// Pins the CRD of Flux's Kustomization for the test of docs/flux.md; nothing is built from it.
module rescind.dev/tools/kustomize-controller

go 1.26.0

require github.com/fluxcd/kustomize-controller v1.9.6
