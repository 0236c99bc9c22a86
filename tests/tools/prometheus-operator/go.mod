// Pins the CRDs of the Prometheus operator for the tests of the chart; nothing is built from it.
module rescind.dev/tools/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
