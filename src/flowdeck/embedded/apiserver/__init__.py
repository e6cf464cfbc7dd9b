"""The Kubernetes API, in one process: what `kubectl`, client-go and the SDKs talk to. See README.md for the map."""
