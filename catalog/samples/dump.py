"""Writes a sample in the layout of Kaggle's dump, and summarizes it.

`train.bson` is written last: if it exists, the sample is complete.
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
from catalog.schema import product_document

TRAIN = 'train.bson'
TEST = 'test.bson'
TEST_LABELS = 'test_labels.csv'  # not in Kaggle's data: the labels of test.bson, for scoring
WRONG_LABELS = 'wrong_labels.csv'  # not in Kaggle's data: the mislabelled train products
PHOTOS = 'photos'  # a few test pictures as files, as queries to a server
PHOTO_COUNT = 6
_LARGE_PRODUCT_BYTES = 1 << 20
TEST_LABELS_HEADER = '_id,category_id'
WRONG_LABELS_HEADER = '_id,category_id,right_category_id'


class NoPhotos(UserError):
    """The photos of a sample are unavailable; the message lists each source and its error."""


@dataclass(frozen=True)
class Contents:
    """The contents of a file."""

    products: int
    pictures: int
    bytes: int


@dataclass(frozen=True)
class Sample:
    """A written sample.

    Attributes:
      folder: The folder of the sample.
      train: The contents of train.bson.
      test: The contents of test.bson.
      classes: The number of leaves of the category tree.
      largest_class: The number of train pictures of the largest class.
      smallest_class: The number of train pictures of the smallest class that has any.
      source: The source of the pictures.
      licence: The licence of the pictures.
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
    product_id: int,
    *,
    pictures: Sequence[bytes],
    category_id: int | None = None,
    split: str | None = None,
) -> bytes:
    """Encodes a product as BSON: `_id` int32, `imgs` [{`picture`: binary}], `category_id` int32.

    Without a `category_id`, as in test.bson, the document has no such key. `split`, which is not in
    Kaggle's data, is the name of the product's split.
    """
    fields: dict[str, object] = {
        '_id': product_id,
        'imgs': [{'picture': picture} for picture in pictures],
    }
    if category_id is not None:
        fields['category_id'] = category_id
    if split is not None:
        fields['split'] = split
    return bson.encode(fields)


def category_names(rows: Iterable[tuple[int, str, str, str]]) -> bytes:
    """Formats (category id, three names) of each leaf as category_names.csv, sorted by name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(categories.HEADER)
    for row in sorted(rows, key=lambda row: row[1:]):
        writer.writerow(row)
    return text.getvalue().encode()


def check_replaceable(folder: str, *, overwrite: bool) -> None:
    """Checks that writing a sample replaces no other.

    Raises:
      UserError: If a sample exists and `overwrite` is not set.
    """
    train = storage.join(folder, TRAIN)
    if storage.exists(train) and not overwrite:
        raise UserError(
            f'{train}: must not exist yet, but it does; choose another --output, or add --overwrite'
        )


def start(folder: str, names: bytes) -> None:
    """Deletes an earlier sample, train.bson first, and writes the category tree."""
    for name in (TRAIN, TEST, TEST_LABELS, WRONG_LABELS):
        storage.delete(storage.join(folder, name))
    storage.delete_folder(storage.join(folder, PHOTOS))
    storage.write_bytes(storage.join(folder, categories.FILE_NAME), names)


def write_products(path: str, batches: Iterable[tuple[int, int, bytes]], *, total: int) -> Contents:
    """Writes a dump from batches of (products, pictures, documents), and shows the progress."""
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
    """Writes (product id, category id) of the test products."""
    lines = [TEST_LABELS_HEADER, *(f'{product},{category}' for product, category in rows)]
    storage.write_bytes(storage.join(folder, TEST_LABELS), ('\n'.join(lines) + '\n').encode())


def write_wrong_labels(folder: str, rows: Iterable[tuple[int, int, int]]) -> None:
    """Writes (product id, category id, right category id) of the mislabelled train products."""
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
        product = product_document.parse(data, at)
        offset, size = product.pictures[0]
        path = storage.join(folder, PHOTOS, f'product-{product.product_id}.jpg')
        storage.write_bytes(path, data[offset : offset + size])
        at += length


def table(sample: Sample) -> str:
    """Formats the sample as a short table."""
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
        f'{imbalance:,.0f} (train pictures per class: {sample.largest_class:,} to '
        f'{sample.smallest_class:,})',
    )
    yield 'source', sample.source
    yield 'licence', sample.licence
