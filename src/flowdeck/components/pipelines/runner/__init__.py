"""Runs the runs: carries out what the engine says, and tells it what happened."""
