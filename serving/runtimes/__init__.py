"""Owns loaded models: a version folder in, then numpy arrays in and out."""
