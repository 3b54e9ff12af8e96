"""Starts TensorFlow for a command line: it takes seconds, which --help and a typo need not wait."""

import os

from catalog.process import allocator, startup_messages


def start() -> None:
    """Loads TensorFlow and finds the devices; its notes on what is absent are not shown.

    Every processor gets the kernels of oneDNN. Left alone, TensorFlow takes them where there is
    AVX512_VNNI or newer; with AVX2 a step of MobileNetV2 took twice as long without them.
    """
    allocator.keep_freed_memory()
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
    with startup_messages.hide():
        import tensorflow as tf

        tf.config.list_physical_devices()  # says what it does not find
