"""Owns the servers behind the gateway: TensorFlow Serving, and the Open Inference Protocol v2."""
