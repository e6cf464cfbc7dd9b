"""Storage: claims bound to volumes, volumes made of folders on this machine, protection of what is in use."""
