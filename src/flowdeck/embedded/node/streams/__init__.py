"""What flows through the kubelet's API: logs, terminals of containers, forwarded ports, numbers."""
