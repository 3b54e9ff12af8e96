"""What a run writes about itself: metrics.jsonl, TensorBoard, Weights & Biases, profiles."""
