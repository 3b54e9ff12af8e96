"""Owns the REST API: paths, bodies, connections and the thread that serves them."""
