// Pins actionlint for the test that reads .github/workflows; `make tools` builds it.
module rescind.dev/tools/actionlint

go 1.26.0

tool github.com/rhysd/actionlint/cmd/actionlint

require github.com/rhysd/actionlint v1.7.12 // indirect
