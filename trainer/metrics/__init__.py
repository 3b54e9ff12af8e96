"""Metrics from labels and probabilities. Uses numpy and pyarrow only: no model, no TensorFlow."""
