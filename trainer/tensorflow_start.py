"""Starts TensorFlow for a command line: it takes seconds, which --help and a typo need not wait."""

from catalog import allocator, quiet


def start() -> None:
    """Loads TensorFlow and finds the devices; its notes on what is absent are not shown."""
    allocator.keep_freed_memory()
    with quiet.start_up():
        import tensorflow as tf

        tf.config.list_physical_devices()  # says what it does not find
