"""Owns the index of product embeddings: its files, its search, and its reload. No TensorFlow.

`published_index.PublishedIndex` is what a server uses: it opens the newest version in a folder,
searches it from any thread, and replaces it when `serving.index` publishes another one.
"""
