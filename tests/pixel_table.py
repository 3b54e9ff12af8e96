"""Prints the table of docs/pixels.md: `python -m tests.pixel_table`.

Each row has the pictures of one format in `tests.pictures`. The differences are of 255, from
`catalog.pixels`.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from beam_pipelines.scan.pictures import inspect_picture
from beam_pipelines.table import CONVERT
from catalog import pixels
from tests import pictures
from trainer.pixels import decoding

HEADER = (
    'format, mode, depth',
    'pictures',
    'orientations',
    'drawn pixels',
    'exported model',
    'after conversion',
    'shard',
    'mean',
    'within areas',
)
_graph = tf.function(decoding.decode, input_signature=[tf.TensorSpec([], tf.string)])


def group_of(name: str) -> tuple[str, int]:
    """Returns the name of a case without its orientation and byte order, and the orientation."""
    words = name.removesuffix(' <').removesuffix(' >').split(' ')
    if words[-1].isdecimal() and 1 <= int(words[-1]) <= 8:
        return ' '.join(words[:-1]), int(words[-1])
    return name.replace('progressive=True', 'progressive').replace(' progressive=False', ''), 1


def decode_in_graph(data: bytes) -> np.ndarray | None:
    """Returns the pixels as an exported model decodes them, or None if it refuses the picture."""
    try:
        return _graph(tf.constant(data)).numpy().astype(int)
    except tf.errors.InvalidArgumentError:
        return None


def rows() -> Iterator[tuple[str, ...]]:
    """Yields one row per format, mode and depth."""
    groups: dict[str, list] = {}
    for name, data, drawn in [*pictures.lossless(), *pictures.lossy()]:
        group, orientation = group_of(name)
        groups.setdefault(group, []).append((orientation, data, drawn))
    for group, cases in groups.items():
        orientations, ours, model, served, kinds, means, inner = set(), [], [], [], set(), [], []
        for orientation, data, drawn in cases:
            orientations.add(orientation)
            reference = np.asarray(pixels.decode(data)).astype(int)
            found = np.abs(pictures.interior(reference) - pictures.interior(drawn))
            ours.append(found.max())
            shown = decode_in_graph(data)
            model.append(None if shown is None else np.abs(shown - reference).max())
            sent = decode_in_graph(pixels.to_served(data))
            if sent is None:  # palette BMP
                sent = decode_in_graph(pixels.to_png(data))
            served.append(np.abs(sent - reference).max())
            convert = inspect_picture(data, decode=False) & CONVERT
            kinds.add('converted' if convert else 'kept')
            written = pixels.to_jpeg(data) if convert else data
            stored = decoding.decode_jpeg(tf.constant(written)).numpy().astype(int)
            means.append(np.abs(stored - reference).mean())
            inner.append(np.abs(pictures.interior(stored) - pictures.interior(reference)).max())
        refused = all(value is None for value in model)
        yield (
            group,
            str(len(cases)),
            '1 to 8' if len(orientations) == 8 else '1',
            str(max(ours)),
            'refused' if refused else str(max(value for value in model if value is not None)),
            str(max(served)),
            ', '.join(sorted(kinds)),
            f'{max(means):.1f}',
            str(max(inner)),
        )


def main() -> None:
    """Prints the table as Markdown."""
    for row in (HEADER, ('---',) * len(HEADER), *rows()):
        print('| ' + ' | '.join(row) + ' |')


if __name__ == '__main__':
    main()
