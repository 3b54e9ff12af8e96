"""Benchmarks: each module measures an implementation and its alternatives, and prints a table."""
