"""Loads TensorFlow for a command line, which takes seconds: --help and typos do not wait for it."""

import contextlib
import os

from catalog.process import allocator, optional_libraries, startup_messages


def start(*, run_operation: bool = False) -> None:
    """Loads TensorFlow and lists the devices; hides its notes on missing ones.

    oneDNN's kernels are used on every CPU. By default TensorFlow uses them only with AVX512_VNNI or
    newer; with AVX2 a step of MobileNetV2 took twice as long without them.

    Args:
      run_operation: Whether to run `hide_notes_on_types` too.
    """
    allocator.keep_freed_memory()
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
    with startup_messages.hide():
        with optional_libraries.skip():
            import tensorflow as tf

        with contextlib.suppress(ModuleNotFoundError):  # an environment of its own, for s3://
            _name_s3_server()
            import tensorflow_io  # noqa: F401

        tf.config.list_physical_devices()  # prints notes on missing devices
    if run_operation:
        hide_notes_on_types()


def hide_notes_on_types() -> None:
    """Runs the operations with which oneDNN prints a note on types that this CPU lacks.

    It initializes TensorFlow's devices, after which these cannot be configured.
    """
    import tensorflow as tf

    with startup_messages.hide():
        tf.constant(0, tf.float16)
        tf.function(tf.transpose)(tf.zeros([2, 2], tf.uint8))  # [1, 1] would be left out


def _name_s3_server() -> None:
    """Names the server of `AWS_ENDPOINT_URL` in tensorflow-io's own variables too."""
    url = os.environ.get('AWS_ENDPOINT_URL')
    if url:
        os.environ.setdefault('S3_ENDPOINT', url)
        os.environ.setdefault('S3_USE_HTTPS', str(int(url.startswith('https://'))))
