"""The official SDK of pipelines, unmodified, in an environment of its own."""
