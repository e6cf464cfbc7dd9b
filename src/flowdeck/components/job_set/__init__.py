"""The JobSet controller: a group of Jobs that start, fail, restart and end together."""
