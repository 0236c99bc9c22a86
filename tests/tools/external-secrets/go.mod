// Pins the CRDs of External Secrets for the test of docs/secrets.md; nothing is built from it.
module rescind.dev/tools/external-secrets

go 1.26.0

require github.com/external-secrets/external-secrets v1.3.2
