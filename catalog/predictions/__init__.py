"""Owns predictions of products: from their pictures to the rows of a file. Knows no runtime."""
