"""Local copies of objects, for libraries that cannot read from an object store.

A copy appears when it is complete. Shards are kept in a cache and verified by the manifest; other
copies are deleted when the program, or the block that uses them, ends.
"""
