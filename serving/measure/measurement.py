"""Measures one model, in a process that has loaded nothing else."""

import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from catalog import categories, storage
from catalog.networks import spec
from serving.convert.source import count_flops, open_source
from serving.measure.result import BATCHES, Measurement
from serving.runtimes import opening
from serving.runtimes.model import Model
from serving.shard_pictures import labelled
from serving.shard_pictures.labelled import LabelledPicture

_ROUNDS = 20  # timed runs of each batch size, at least
_WARM_UP_ROUNDS = 3


def measure(folder: str, *, data: str | None, pictures: int) -> Measurement:
    """Measures a version folder.

    Args:
      folder: A SavedModel of trainer.export or a model of serving.convert.
      data: A data set, on whose validation pictures the accuracy is measured.
      pictures: Number of these pictures.

    Raises:
      UserError: If the model or the data set cannot be used.
    """
    found = _validation_pictures(folder, data, pictures)
    description, flops = _describe(folder) if spec.is_there(folder) else ('SavedModel fp32', 0)
    before = _memory('VmRSS')
    Path('/proc/self/clear_refs').write_text('5')  # the peak starts again from here
    start = time.perf_counter()
    model = opening.open_model(folder)
    load_seconds = time.perf_counter() - start
    encoded = [picture.encoded for picture in found] or [_picture()]
    seconds = tuple(_picture_seconds(model, encoded, batch=batch) for batch in BATCHES)
    accuracy = _accuracy(model, found) if found else None
    memory = _memory('VmHWM') - before
    model.close()
    return Measurement(
        description=description,
        size_bytes=sum(path.stat().st_size for path in Path(folder).rglob('*') if path.is_file()),
        load_seconds=load_seconds,
        picture_seconds=seconds,
        flops=flops or count_flops(open_source(folder)),
        memory_bytes=memory,
        accuracy=accuracy,
    )


def _describe(folder: str) -> tuple[str, int]:
    network = spec.read(folder)
    return f'{network.runtime} {network.precision}', network.flops


def _validation_pictures(folder: str, data: str | None, limit: int) -> list[LabelledPicture]:
    if data is None:
        return []
    tree = categories.load(storage.join(folder, 'assets', categories.FILE_NAME))
    labelled.check_categories(data, tree.sha256)
    return labelled.read(data, 'validation', limit=limit)


def _picture() -> bytes:
    """Returns a photo-like JPEG of 180 x 180 pixels."""
    coarse = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((180, 180)).save(file, 'JPEG', quality=75)
    return file.getvalue()


def _picture_seconds(model: Model, encoded: Sequence[bytes], *, batch: int) -> float:
    seconds = []
    for number in range(_WARM_UP_ROUNDS + _ROUNDS):
        taken = [encoded[(number * batch + place) % len(encoded)] for place in range(batch)]
        start = time.perf_counter()
        model.run('', _feed(taken))
        seconds.append((time.perf_counter() - start) / batch)
    return float(np.median(seconds[_WARM_UP_ROUNDS:]))


def _accuracy(model: Model, pictures: Sequence[LabelledPicture]) -> float:
    right = 0
    for start in range(0, len(pictures), BATCHES[-1]):
        batch = pictures[start : start + BATCHES[-1]]
        found = model.run('', _feed([picture.encoded for picture in batch]), outputs=['label'])
        labels = np.array([picture.label for picture in batch])
        right += int((found['label'][:, 0] == labels).sum())
    return right / len(pictures)


def _feed(encoded: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    return {'image_bytes': np.array(encoded, object)}


def _memory(field: str) -> int:
    """Returns a field of this process's memory in bytes."""
    for line in Path(f'/proc/{os.getpid()}/status').read_text().splitlines():
        name, _, value = line.partition(':')
        if name == field:
            return 1024 * int(value.split()[0])
    raise RuntimeError(f'/proc/self/status must have {field}')
