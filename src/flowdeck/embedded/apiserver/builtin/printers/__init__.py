"""How `kubectl get` shows the built-in kinds: columns and cells, one file a group of kinds; pure functions on trees."""
