"""Owns converted networks, the part of a model behind decoding: images in, probabilities out.

Each file wraps one runtime. A version folder holds the network in the file of its runtime and what
is around it in `network.json`; names of categories are around it too, in `assets/`.
"""
