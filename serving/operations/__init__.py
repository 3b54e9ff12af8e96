"""Owns what a client asks of a server, in the form of each protocol. Imports no TensorFlow."""
