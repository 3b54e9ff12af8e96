"""Measures a model in a process of its own, which has loaded nothing else before."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from catalog.process import optional_libraries, startup_messages
from serving.measure.result import Measurement


def measure_alone(folder: str, *, data: str | None, pictures: int) -> Measurement:
    """Measures a version folder, see `measurement.measure`.

    Raises:
      UserError: If the model or the data set cannot be used.
    """
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(_measure, folder, data, pictures).result()


def _measure(folder: str, data: str | None, pictures: int) -> Measurement:
    with startup_messages.hide():
        with optional_libraries.skip():
            import tensorflow as tf

        tf.get_logger().setLevel('ERROR')  # hides deprecation warnings
        from serving.measure.measurement import measure

        return measure(folder, data=data, pictures=pictures)
