"""Benchmarks: they measure, and print a table beside what there is to beat. No assertions."""
