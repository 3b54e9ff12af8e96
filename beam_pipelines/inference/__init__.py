"""Owns loaded models in Beam workers: an exported model in its runtime, once per process.

The only room that imports TensorFlow, and only when a SavedModel is loaded.
"""
