"""The pipeline document: archives, YAML and JSON, and the messages in it. Pure."""
