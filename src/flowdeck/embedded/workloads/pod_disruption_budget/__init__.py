"""PodDisruptionBudgets: how many healthy pods may be evicted right now."""
