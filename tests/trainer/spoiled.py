"""Pictures that a header check accepts and no decoder reads, in data sets of real bytes."""

from collections.abc import Callable, Collection

import numpy as np

from tests.trainer.conftest import jpeg


def draw_spoiled(spoiled: Collection[int], *, tail: bytes = b'') -> Callable[..., bytes]:
    """Returns `jpeg` for `make_data_set`, but the pictures with these numbers lack their ends.

    They are numbered from 0 as they are drawn: products in order, then views. `tail` replaces the
    missing bytes.
    """
    drawn = 0

    def draw(rng: np.random.Generator, *, label: int, view: int, size: int) -> bytes:
        nonlocal drawn
        picture = jpeg(rng, label=label, view=view, size=size)
        drawn += 1
        return picture[: len(picture) // 2] + tail if drawn - 1 in spoiled else picture

    return draw
