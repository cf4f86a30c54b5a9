"""Benchmarks: each prints what it measured, the floor measured in the same run, and their ratio."""
