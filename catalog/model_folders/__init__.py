"""Owns the version folders of exported models: what is beside the network, and their paths."""
