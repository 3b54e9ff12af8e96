"""Search spaces, values only: one file per search, with its command line in the docstring."""
