"""Owns the command that builds and extends the index of similar products."""
