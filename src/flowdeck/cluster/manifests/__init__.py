"""The objects that bring the platform to a cluster, made from what the components say of themselves."""
