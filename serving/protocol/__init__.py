"""Owns TensorFlow Serving's protocol as servers and clients share it. Imports no TensorFlow."""
