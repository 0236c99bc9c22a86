// Pins the OpenPGP library, the one that Helm uses, for the test that signs the chart; `make test-long` builds it.
module rescind.dev/chart/pgp-key

go 1.26.0

require github.com/ProtonMail/go-crypto v1.4.1

require (
	github.com/cloudflare/circl v1.6.2 // indirect
	golang.org/x/crypto v0.41.0 // indirect
	golang.org/x/sys v0.35.0 // indirect
)
