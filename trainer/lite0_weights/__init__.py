"""Converts a package of EfficientNet-Lite0 weights to a Keras file."""
