"""Runs a pipeline: runner, and on this machine memory and progress."""
