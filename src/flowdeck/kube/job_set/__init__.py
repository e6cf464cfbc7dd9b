"""JobSet (`jobset.x-k8s.io/v1alpha2`): its names, defaults and rules, for whoever makes one or serves them. Pure."""
