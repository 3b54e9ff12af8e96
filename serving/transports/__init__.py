"""Owns how clients connect over REST and gRPC: deadlines, retries, TLS. Imports no TensorFlow."""
