"""A run as a state machine: events in, instructions out. Pure."""
