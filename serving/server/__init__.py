"""Owns the stand-in server: versions, REST, gRPC, status."""
