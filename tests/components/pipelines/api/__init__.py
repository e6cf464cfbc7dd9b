"""The REST surface, on a real API server in the same process."""
