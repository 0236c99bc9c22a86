# Every target is one command; what it does is in the Rust crates under tests/.

.PHONY: tools

# Finds etcd, kube-apiserver and kubectl, builds what is missing, and prints where they are.
tools:
	cargo run --quiet --package stack -- binaries
