"""Writes shards to a staging folder, then commits them as a data set with its manifest."""
