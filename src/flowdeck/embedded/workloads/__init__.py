"""Controllers of Kubernetes' own workloads: what kube-controller-manager and kube-scheduler do on a real cluster."""
