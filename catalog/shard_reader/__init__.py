"""Owns reading the records of TFRecord shards, compressed or not, without TensorFlow."""
