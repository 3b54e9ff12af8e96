"""Sources of products: each splits, reads and fetches a dump, and no other code knows its form."""
