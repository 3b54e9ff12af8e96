"""Owns how an HTTP server listens: its address, its port, and connections that end in time."""
