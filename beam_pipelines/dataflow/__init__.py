"""Runs a pipeline on Dataflow: checks the options, and follows the job until it ends."""
