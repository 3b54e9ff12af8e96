"""Owns the command line `python -m serving.query`."""
