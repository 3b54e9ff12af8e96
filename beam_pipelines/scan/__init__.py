"""Reads ranges of a source into rows, rejected pieces and counts, and proves that ranges meet."""
