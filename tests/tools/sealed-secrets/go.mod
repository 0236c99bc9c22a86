// Pins the CRDs of Sealed Secrets for the test of docs/secrets.md; nothing is built from it.
module rescind.dev/tools/sealed-secrets

go 1.26.0

require github.com/bitnami-labs/sealed-secrets v0.40.0
