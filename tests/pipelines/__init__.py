"""Pipelines that run for real: pods of a running platform, the engine, SQL and files."""
