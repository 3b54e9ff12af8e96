"""Owns the reading of labelled pictures of a data set, to calibrate and to compare models."""
