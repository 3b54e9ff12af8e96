"""The layout of Kaggle's dump: documents, file names, what is refused, what is reported.

`train.bson` is written last: where it lies, the sample is whole.
"""

import contextlib
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import bson

from catalog import categories, storage
from catalog.errors import UserError
from catalog.formats import bson_document
from catalog.process.progress import Progress

TRAIN = 'train.bson'
TEST = 'test.bson'
TEST_LABELS = 'test_labels.csv'  # not in Kaggle's set: with it a prediction can be scored
WRONG_LABELS = 'wrong_labels.csv'  # not in Kaggle's set: the train products of a wrong label
PHOTOS = 'photos'  # a few test pictures as files, to try a server with
PHOTO_COUNT = 6
_LARGE_PRODUCT_BYTES = 1 << 20
TEST_LABELS_HEADER = '_id,category_id'
WRONG_LABELS_HEADER = '_id,category_id,right_category_id'


@dataclass(frozen=True)
class Contents:
    """How much is in one file."""

    products: int
    pictures: int
    bytes: int


@dataclass(frozen=True)
class Sample:
    """What was written, and what a person should know of it.

    Attributes:
      folder: where.
      train: what is in train.bson.
      test: what is in test.bson.
      classes: leaves of the tree.
      largest_class: train pictures of the class that has most.
      smallest_class: train pictures of the class that has fewest, of those that have any.
      source: where the pictures come from.
      licence: of the pictures.
    """

    folder: str
    train: Contents
    test: Contents
    classes: int
    largest_class: int
    smallest_class: int
    source: str
    licence: str


def document(
    product_id: int, *, pictures: Sequence[bytes], category_id: int | None = None
) -> bytes:
    """A product as BSON: `_id` int32, `imgs` [{`picture`: binary}], and last `category_id` int32.

    Test products have no `category_id`.
    """
    fields: dict[str, object] = {
        '_id': product_id,
        'imgs': [{'picture': picture} for picture in pictures],
    }
    if category_id is not None:
        fields['category_id'] = category_id
    return bson.encode(fields)


def category_names(rows: Iterable[tuple[int, str, str, str]]) -> bytes:
    """(category id, three names) of each leaf as a category_names.csv, sorted by name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(categories.HEADER)
    for row in sorted(rows, key=lambda row: row[1:]):
        writer.writerow(row)
    return text.getvalue().encode()


def refuse_existing(folder: str, *, overwrite: bool) -> None:
    """Looks whether a sample may be written.

    Raises:
      UserError: if there is one already and `overwrite` is not set.
    """
    train = storage.join(folder, TRAIN)
    if storage.exists(train) and not overwrite:
        raise UserError(
            f'{train}: a sample is not written over another, got a file that is there already; '
            'name another --output, or add --overwrite'
        )


def start(folder: str, names: bytes) -> None:
    """Deletes what an earlier sample left, train.bson first, and writes the category tree."""
    for name in (TRAIN, TEST, TEST_LABELS, WRONG_LABELS):
        storage.delete(storage.join(folder, name))
    storage.delete_folder(storage.join(folder, PHOTOS))
    storage.write_bytes(storage.join(folder, categories.FILE_NAME), names)


def write_products(path: str, batches: Iterable[tuple[int, int, bytes]], *, total: int) -> Contents:
    """Writes a dump from batches of (products, pictures, documents), and shows how far it is."""
    products = pictures = size_bytes = 0
    with (
        contextlib.closing(Progress(path, total=total, unit='products')) as progress,
        storage.write_atomic(path) as file,
    ):
        for batch_products, batch_pictures, documents in batches:
            file.write(documents)
            products += batch_products
            pictures += batch_pictures
            size_bytes += len(documents)
            progress.update(products)
    return Contents(products=products, pictures=pictures, bytes=size_bytes)


def write_test_labels(folder: str, rows: Iterable[tuple[int, int]]) -> None:
    """Writes the (product id, category id) of the test products."""
    lines = [TEST_LABELS_HEADER, *(f'{product},{category}' for product, category in rows)]
    storage.write_bytes(storage.join(folder, TEST_LABELS), ('\n'.join(lines) + '\n').encode())


def write_wrong_labels(folder: str, rows: Iterable[tuple[int, int, int]]) -> None:
    """Writes the (product id, category id, right category id) of the mislabelled train products."""
    lines = [WRONG_LABELS_HEADER, *(','.join(map(str, row)) for row in rows)]
    storage.write_bytes(storage.join(folder, WRONG_LABELS), ('\n'.join(lines) + '\n').encode())


def write_photos(folder: str) -> None:
    """Writes the first picture of the first products of test.bson as `photos/product-ID.jpg`."""
    with storage.open_reader(storage.join(folder, TEST)) as reader:
        data = reader.read_at(0, PHOTO_COUNT * _LARGE_PRODUCT_BYTES)
    at = 0
    for _ in range(PHOTO_COUNT):
        length = bson_document.framed_length(data, at)
        if not length:  # fewer products than photos
            return
        product = bson_document.parse(data, at)
        offset, size = product.pictures[0]
        path = storage.join(folder, PHOTOS, f'product-{product.product_id}.jpg')
        storage.write_bytes(path, data[offset : offset + size])
        at += length


def table(sample: Sample) -> str:
    """The sample in a few lines for a person."""
    return '\n'.join(f'{name:<12}{text}' for name, text in _rows(sample))


def _rows(sample: Sample) -> Iterator[tuple[str, str]]:
    yield 'folder', sample.folder
    for name, part in ((TRAIN, sample.train), (TEST, sample.test)):
        megabytes = part.bytes / 1e6
        yield (
            name,
            f'{part.products:>11,} products {part.pictures:>11,} pictures {megabytes:>10,.1f} MB',
        )
    imbalance = sample.largest_class / sample.smallest_class
    yield 'classes', f'{sample.classes:,}'
    yield (
        'imbalance',
        f'{imbalance:,.0f} (train pictures a class: {sample.largest_class:,} to '
        f'{sample.smallest_class:,})',
    )
    yield 'source', sample.source
    yield 'licence', sample.licence
