"""Values only: one file a run, each with its command line in the docstring."""
