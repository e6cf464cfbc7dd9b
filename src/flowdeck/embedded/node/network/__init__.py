"""Where pods live on the network: addresses, names, services; and what stands in for them without namespaces."""
