"""Decides the split, copies, shard and order of every picture. Knows no Beam."""
