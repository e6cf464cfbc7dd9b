"""The scheduler: finds a node for each pod, all of a group or none, making room where priorities say so."""
