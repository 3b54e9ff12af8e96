"""Owns the JSON bodies of TensorFlow Serving's REST API: text to arrays and back. Pure."""
