"""Loads TensorFlow for a command line, which takes seconds: --help and typos do not wait for it."""

import os

from catalog.process import allocator, startup_messages


def start(*, run_operation: bool = False) -> None:
    """Loads TensorFlow and lists the devices; hides its notes on missing ones.

    oneDNN's kernels are used on every CPU. By default TensorFlow uses them only with AVX512_VNNI or
    newer; with AVX2 a step of MobileNetV2 took twice as long without them.

    Args:
      run_operation: Whether to run an operation in float16 too, so that oneDNN's note on it is
        hidden. It initializes TensorFlow's devices, after which these cannot be configured.
    """
    allocator.keep_freed_memory()
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
    with startup_messages.hide():
        import tensorflow as tf

        tf.config.list_physical_devices()  # prints notes on missing devices
        if run_operation:
            tf.constant(0, tf.float16)
