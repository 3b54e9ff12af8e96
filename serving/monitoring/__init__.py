"""Owns the metrics of the server and their Prometheus text.

Names, labels and buckets are TensorFlow Serving's where it has such a metric. The library
prometheus_client is not used, because it ends the name of each counter in `_total`.
"""
