"""The pixels of an encoded picture by TensorFlow's operations, as `catalog.pixels` defines them."""
