"""Owns the REST API: paths, bodies and the thread that serves them."""
