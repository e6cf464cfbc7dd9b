"""The kubelet: runs the pods of one Node as sandboxed processes. See README.md for the map."""
