"""The schema of a shop's data: what its fields are called, and the products of its documents."""
