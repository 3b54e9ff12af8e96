"""Values only: one file a search, each with its command line in the docstring."""
