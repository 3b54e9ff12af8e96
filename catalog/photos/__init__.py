"""Reads folders, lists and photos from outside: only files below their root, within limits."""
