"""Owns the names of version folders, DIR/MODEL/VERSION, as TensorFlow Serving reads them."""
