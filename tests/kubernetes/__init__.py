"""The platform on a real Kubernetes, and the embedded one held against it. `make test-kubernetes` runs these tests."""
