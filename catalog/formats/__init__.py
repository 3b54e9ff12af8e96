"""Byte formats, as pure functions: BSON documents, image headers, tf.Example and TFRecord."""
