"""Owns TensorFlow Serving's config files: text in its own formats, and the checked values.

A field that this server does not offer is an error that names it, never ignored in silence. Imports
no TensorFlow, so that a mistake is reported at once.
"""
