"""A document made ready to run, with everything resolved that does not need a run. Pure."""
