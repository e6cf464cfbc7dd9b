"""The operator and its manifests, without a cluster or on the embedded API server."""
