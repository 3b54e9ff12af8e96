"""Owns the command line `python -m serving.model_server`."""
