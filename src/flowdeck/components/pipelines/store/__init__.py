"""Experiments, runs and their histories in SQL: tables, and the functions of a connection that use them."""
