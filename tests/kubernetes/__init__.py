"""Antiphon on a real Kubernetes of two nodes, with callers whose ears are measured. `make test-k8s` runs it."""
