"""Deployments: a ReplicaSet for each revision of the pod template, and the way from one to the next."""
