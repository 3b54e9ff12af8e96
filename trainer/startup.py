"""Loads TensorFlow for a command line, which takes seconds: --help and typos do not wait for it."""

import os

from catalog.process import allocator, startup_messages


def start() -> None:
    """Loads TensorFlow and lists the devices; hides its notes on missing ones.

    oneDNN's kernels are used on every CPU. By default TensorFlow uses them only with AVX512_VNNI or
    newer; with AVX2 a step of MobileNetV2 took twice as long without them.
    """
    allocator.keep_freed_memory()
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
    with startup_messages.hide():
        import tensorflow as tf

        tf.config.list_physical_devices()  # prints notes on missing devices
