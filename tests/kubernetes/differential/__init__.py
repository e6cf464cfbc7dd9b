"""The same requests to a real Kubernetes API server and to the embedded one; the answers must be alike."""
