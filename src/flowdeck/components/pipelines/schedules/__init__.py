"""Recurring runs: when they are due, and who starts them."""
