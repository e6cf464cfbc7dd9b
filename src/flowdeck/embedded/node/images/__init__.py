"""Images: what a reference means on this machine, and the environments that are built for it."""
