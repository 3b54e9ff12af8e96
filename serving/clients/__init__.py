"""Owns the clients: one request over REST or gRPC, and its predictions. Imports no TensorFlow."""
