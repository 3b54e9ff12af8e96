r"""Builds an index of product embeddings, in which a server finds similar products.

Reads the products of a data set from its shards, embeds their pictures with the signature
`embedding` of an exported model, and publishes --output/VERSION by a rename. A second run extends
the newest version: products that it has, with the same pictures, keep their embeddings. A changed
model rebuilds all. The newest version and the one before it are kept.

A version has the graph of the embeddings, a table of the products, their category tree, and a
thumbnail of each product's first photo: docs/similar.md.

Examples:
  python -m serving.index --model=run/models/product_categories/1 --data=run/shards \
    --output=run/similar
  python -m serving.index --model=DIR/MODEL/1 --data=SHARDS --output=DIR --split=train
"""

import time

from absl import flags

from catalog import command_line, terminal
from catalog.process.progress import duration
from serving.index import building, summary

_MODEL = flags.DEFINE(
    command_line.TENSORFLOW_FOLDER,
    'model',
    None,
    'Version folder of an exported model, DIR/MODEL/VERSION; local or gs://.',
    required=True,
)
_DATA = flags.DEFINE(
    command_line.FOLDER, 'data', None, 'Folder of the shards; local or gs://.', required=True
)
_OUTPUT = flags.DEFINE(
    command_line.LOCAL_PATH, 'output', None, 'Local folder of the versions.', required=True
)
_SPLITS = flags.DEFINE_multi_string(
    'split', [], 'Split whose products are indexed; by default, all splits.'
)
_THUMBNAIL = flags.DEFINE_integer(
    'thumbnail_pixels', 160, 'Longest side of a thumbnail, in pixels.', lower_bound=16
)


def main(argv: list[str]) -> None:
    """Builds the index and prints what was done."""
    del argv
    start = time.monotonic()
    built = building.build(
        model=_MODEL.value,
        data=_DATA.value,
        output=_OUTPUT.value,
        splits=_SPLITS.value,
        thumbnail_pixels=_THUMBNAIL.value,
    )
    for line in summary.lines(built, output=_OUTPUT.value):
        print(terminal.escape(line))
    print(f'{"took":<10} {duration(time.monotonic() - start)}')


if __name__ == '__main__':
    command_line.run(main)
