"""Finds pictures that look the same: visual hashes, pairs of near hashes, groups of products."""
