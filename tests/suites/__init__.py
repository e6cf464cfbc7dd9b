"""One suite an interface: every implementation runs it."""
