"""Owns what operators see of the gateway: metrics for Prometheus, the class mix, JSON logs."""
