// Pins the CRDs of the Vault Secrets Operator for the test of docs/secrets.md; nothing is built from it.
module rescind.dev/tools/vault-secrets-operator

go 1.26.0

require github.com/hashicorp/vault-secrets-operator v0.10.0
