"""Devices and processes of a run: strategy, workers, signals, statistics kept per replica."""
