# Every target is one command; what it does is in the Rust crates under tests/.

.PHONY: tools demo up down programs

# Finds etcd, kube-apiserver and kubectl, builds what is missing, and prints where they are.
tools:
	cargo run --quiet --package stack -- binaries

# Shows the operator at work: control plane, fake Auth0, four removals, a failure, a rate limit, clean-up.
demo: programs
	@cargo run --quiet --package stack -- demo

# The same, left running in the background, with a kubeconfig; and its end.
up: programs
	@cargo run --quiet --package stack -- up

down:
	@cargo run --quiet --package stack -- down

# The operator, the fake Auth0, and what starts them.
programs:
	cargo build --package rescind --package fake-auth0 --package stack --bins
