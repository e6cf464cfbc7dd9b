"""Revisions, watch and compaction on one SQLite file: what etcd is to Kubernetes. See README.md."""
