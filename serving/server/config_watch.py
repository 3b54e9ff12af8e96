"""Reads the models' config file again while the server runs, as TensorFlow Serving does."""

import threading
from collections.abc import Callable

from catalog.errors import UserError
from serving.config import models as model_configs
from serving.models.models import Models


def watch(
    path: str,
    models: Models,
    *,
    every_seconds: float,
    until: threading.Event,
    report: Callable[[str], None],
) -> None:
    """Applies the file at each interval until the event is set; reports a new error once.

    A config that failed is tried again: a label may name a version that has been loaded since.
    """
    failure = ''
    while not until.wait(every_seconds):
        try:
            models.configure(model_configs.read(path))
            failure = ''
        except (UserError, OSError) as error:
            if str(error) != failure:
                failure = str(error)
                report(f'the config is not changed: {failure}')
