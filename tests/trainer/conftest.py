"""Small data sets of real bytes for the trainer's tests, as the shard job writes them."""

import contextlib
import hashlib
import io
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog import categories, manifest, record
from catalog.formats import tfrecord
from catalog.shards import ShardName

SIZE = 28  # pixels


def jpeg(rng: np.random.Generator, *, label: int, view: int = 0, size: int = SIZE) -> bytes:
    """Draws a picture of a label: noise with a bright band whose height depends on the label."""
    del view
    pixels = rng.integers(0, 90, (size, size, 3))
    band = max(size // 8, 1)
    pixels[(label * band) % size : (label * band) % size + band] += 150
    return _encoded(pixels)


def half_jpeg(rng: np.random.Generator, *, label: int, view: int, size: int = SIZE) -> bytes:
    """Draws half of the evidence for one of nine labels: the colour of the upper half is label // 3
    in even views, the colour of the lower half is label % 3 in odd views."""
    pixels = rng.integers(0, 90, (size, size, 3))
    half = slice(0, size // 2) if view % 2 == 0 else slice(size // 2, size)
    pixels[half, :, label // 3 if view % 2 == 0 else label % 3] += 150
    return _encoded(pixels)


def _encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, 'JPEG', quality=90)
    return buffer.getvalue()


def category_names(num_classes: int) -> bytes:
    rows = [f'{1000 + 7 * c},ROOT {c % 2},BRANCH {c // 2},LEAF {c}' for c in range(num_classes)]
    return ('\n'.join([','.join(categories.HEADER), *rows]) + '\n').encode()


def _records(
    rng: np.random.Generator,
    *,
    counts: Sequence[int],
    first_id: int,
    size: int,
    labelled: bool,
    train: bool,
    views: Sequence[int],
    draw: Callable[..., bytes],
) -> list[record.Record]:
    tree = categories.parse(category_names(len(counts)), path='category_names.csv')
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    records = []
    for i, label in enumerate(labels.tolist()):
        count = views[(first_id + i) % len(views)]
        category = record.Category(
            label, int(tree.ids[label]), tuple(int(nodes[label]) for nodes in tree.parents)
        )
        records.append(
            record.Record(
                product_id=first_id + i,
                pictures=[draw(rng, label=label, view=v, size=size) for v in range(count)],
                indices=list(range(count)),
                category=category if labelled else None,
                leaked=None if train or not labelled else [i % 2] * count,
            )
        )
    return records


def _split_views(records: Sequence[record.Record]) -> list[record.Record]:
    return [
        record.Record(
            product_id=product.product_id,
            pictures=[product.pictures[view]],
            indices=[product.indices[view]],
            category=product.category,
            leaked=None if product.leaked is None else [product.leaked[view]],
        )
        for product in records
        for view in range(len(product.pictures))
    ]


def _write_split(
    folder: Path, name: str, records: Sequence[record.Record], *, shards: int, num_classes: int
) -> manifest.Split:
    written = []
    for index in range(shards):
        mine = records[index::shards]
        data = b''.join(tfrecord.frame(record.encode(product)) for product in mine)
        file = ShardName(name, index, shards).file()
        (folder / file).write_bytes(data)
        pictures = sum(len(product.pictures) for product in mine)
        sha256 = hashlib.sha256(data).hexdigest()
        written.append(manifest.Shard(file, len(mine), pictures, len(data), sha256))
    per_class = np.zeros((3, num_classes), int)
    for label in range(num_classes):
        mine = [p for p in records if p.category is not None and p.category.label == label]
        per_class[0, label] = len(mine)
        per_class[1, label] = sum(len(product.pictures) for product in mine)
        per_class[2, label] = len({product.product_id for product in mine})
    return manifest.Split(tuple(written), *(tuple(row) for row in per_class.tolist()))


def make_data_set(
    folder: Path,
    *,
    counts: Sequence[int] = (40, 24, 12, 4),
    validation_counts: Sequence[int] | None = None,
    predict_products: int = 7,
    shards: int = 3,
    size: int = SIZE,
    kind: str = 'product',
    cut_a_picture: bool = False,
    views: Sequence[int] = (1, 2, 3),
    draw: Callable[..., bytes] = jpeg,
    seed: int = 0,
) -> str:
    """Writes a data set of real JPEG bytes and returns its folder.

    Args:
      folder: Folder to write, created if it does not exist.
      counts: Products of each class in `train`; product i has `views[i % len(views)]` views.
      validation_counts: Products of each class in `validation`, by default 6, 5, 4, … 1, 1; half of
        them are marked as leaked.
      predict_products: Number of unlabelled products in `predict`.
      shards: Shards of each split.
      size: Height and width of the pictures, in pixels.
      kind: Kind of the records, `product` or `image`.
      cut_a_picture: Whether the first picture of `train` is truncated to half of its bytes.
      views: Numbers of pictures of a product, in turn.
      draw: Draws a picture of a label.
      seed: Seed of the pixels and the order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    validation_counts = validation_counts or [max(6 - c, 1) for c in range(len(counts))]
    tree = category_names(len(counts))
    (folder / categories.FILE_NAME).write_bytes(tree)
    rng = np.random.default_rng(seed)
    splits, first_id = {}, 1
    predict_counts = [predict_products] + [0] * (len(counts) - 1)
    for name, amounts in [
        ('train', counts),
        ('validation', validation_counts),
        ('predict', predict_counts),
    ]:
        records = _records(
            rng,
            counts=amounts,
            first_id=first_id,
            size=size,
            labelled=name != 'predict',
            train=name == 'train',
            views=views,
            draw=draw,
        )
        first_id += len(records)
        if cut_a_picture and name == 'train':
            first, *rest = records[0].pictures
            truncated = first[: len(first) // 2]
            records[0] = records[0]._replace(pictures=[truncated, *rest])
        if kind == 'image':
            records = _split_views(records)
        splits[name] = _write_split(folder, name, records, shards=shards, num_classes=len(counts))
    total = np.array(counts) + np.array(validation_counts)
    manifest.write(
        manifest.Manifest(
            options={'record': kind, 'seed': seed},
            source={'fingerprint': '0' * 32, 'documents': 0, 'pictures': 0, 'picture_bytes': 0},
            categories={'sha256': hashlib.sha256(tree).hexdigest(), 'count': len(counts)},
            splits=splits,
            priors={
                'natural': tuple((total / total.sum()).tolist()),
                'written': tuple((np.array(counts) / max(sum(counts), 1)).tolist()),
            },
            ledger={'documents': {'read': 0}, 'pictures': {'read': 0}, 'notes': {}},
        ),
        str(folder),
    )
    return str(folder)


@pytest.fixture(autouse=True)
def same_weights_each_time() -> None:
    """Seeds the draws of tests that set no seed."""
    if keras := sys.modules.get('keras'):
        keras.utils.set_random_seed(0)


@pytest.fixture(scope='session')
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A product-record data set: 80 train, 18 validation and 7 unlabelled products, 4 classes."""
    return make_data_set(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='session')
def half_evidence_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Nine classes, each view with half of the evidence: 360 train and 90 validation products."""
    return make_data_set(
        tmp_path_factory.mktemp('half'),
        counts=[40] * 9,
        validation_counts=[10] * 9,
        size=12,
        views=(2, 3),
        draw=half_jpeg,
    )


@pytest.fixture(scope='session')
def fused_workdir(half_evidence_folder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on it that fuses two views by gated attention and evaluates at its end."""
    from tests.trainer import fused  # loads TensorFlow, which other tests need not

    workdir = tmp_path_factory.mktemp('fused') / 'workdir'
    flags = ('model.fusion.name=gated', 'model.fusion.max_views=2', 'validation.every_steps=150')
    fused.run(half_evidence_folder, workdir, *flags)
    return workdir


@contextlib.contextmanager
def _largest_file(size_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def largest_file() -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """Returns a context in which no file can grow beyond a number of bytes."""
    return _largest_file


@pytest.fixture(name='make_data_set', scope='session')
def make_data_set_fixture() -> Callable[..., str]:
    """`make_data_set`, for tests that need their own data set."""
    return make_data_set
