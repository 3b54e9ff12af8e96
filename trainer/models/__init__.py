"""The networks: images to logits, their weights by path, the frozen backbone's file."""
