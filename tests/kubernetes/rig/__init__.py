"""A real Kubernetes for tests: binaries built once a machine, a control plane on loopback, stopped whole."""
