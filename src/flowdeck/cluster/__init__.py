"""What the platform needs to run on a Kubernetes cluster: its process there, and the objects that bring it there."""
