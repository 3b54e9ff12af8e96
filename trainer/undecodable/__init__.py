"""Undecodable pictures: passed over in their batch, and named by shard, product and index."""
