"""Runs a pipeline on this machine: runner, memory, progress."""
