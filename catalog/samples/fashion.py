"""Writes Fashion-MNIST as a dump with a long tail, a three-level tree and a shop's category ids.

The photos keep their size, 28x28, and are encoded as grey JPEG, the only format in Kaggle's layout,
at quality 95, which is close to lossless.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from catalog import storage
from catalog.errors import UserError
from catalog.samples import dump, long_tail
from catalog.samples.fashion_photos import LICENCE, Photos

JPEG_QUALITY = 95
CLASSES = 10
PER_CLASS = 6_000  # train photos of each class in Fashion-MNIST
MAX_IMBALANCE = 1_000  # leaves 6 photos in the smallest class
MAX_VIEWS = 4  # photos per product, as in Kaggle's data

# By Fashion-MNIST's own label. The category ids are in the order of neither labels nor names.
TREE = (
    (1000016018, 'VETEMENTS', 'HAUTS', 'T-SHIRT - DEBARDEUR'),
    (1000004085, 'VETEMENTS', 'BAS', 'PANTALON'),
    (1000011349, 'VETEMENTS', 'HAUTS', 'PULL - SWEAT'),
    (1000002770, 'VETEMENTS', 'PIECES LONGUES', 'ROBE'),
    (1000019512, 'VETEMENTS', 'PIECES LONGUES', 'MANTEAU'),
    (1000007204, 'CHAUSSURES', 'CHAUSSURES BASSES', 'SANDALE'),
    (1000014893, 'VETEMENTS', 'HAUTS', 'CHEMISE'),
    (1000000631, 'CHAUSSURES', 'CHAUSSURES BASSES', 'BASKET'),
    (1000021157, 'BAGAGERIE - MAROQUINERIE', 'SACS', 'SAC A MAIN'),
    (1000009426, 'CHAUSSURES', 'CHAUSSURES MONTANTES', 'BOTTINE'),
)

_BATCH_PRODUCTS = 512

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Product:
    """A product.

    Attributes:
      fashion_label: The class that its photos show, by Fashion-MNIST's own label.
      rows: Rows of its 1 to 4 photos in Fashion-MNIST.
      wrong_label: The shop's label if it is wrong, else None.
    """

    fashion_label: int
    rows: tuple[int, ...]
    wrong_label: int | None = None

    @property
    def label(self) -> int:
        """The shop's label."""
        return self.fashion_label if self.wrong_label is None else self.wrong_label


@dataclass(frozen=True)
class Options:
    """Options of the sample.

    Attributes:
      imbalance: Ratio of the pictures of the largest class to those of the smallest.
      products: Number of train products; None for all that the photos give.
      wrong_labels: Share of train products with a wrong label, drawn uniformly from the others.
      views: Photos per product, except the last product of a class; None for 1 to 4, in Kaggle's
        proportions.
      labelled_test: Whether the products in test.bson have their category, so that a model can be
        evaluated on them.
      seed: Seed of all random draws.
    """

    imbalance: float = 100.0
    products: int | None = None
    wrong_labels: float = 0.0
    views: int | None = None
    labelled_test: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.imbalance <= MAX_IMBALANCE:
            raise UserError(f'imbalance must be from 1 to {MAX_IMBALANCE}, got {self.imbalance:g}')
        if self.products is not None and self.products < CLASSES:
            raise UserError(
                f'products must be at least {CLASSES}, one per class, got {self.products}'
            )
        if not 0 <= self.wrong_labels < 1:
            raise UserError(f'wrong_labels must be in [0, 1), got {self.wrong_labels:g}')
        if self.views is not None and not 1 <= self.views <= MAX_VIEWS:
            raise UserError(f'views must be from 1 to {MAX_VIEWS}, got {self.views}')


def write(folder: str, photos: Photos, options: Options) -> dump.Sample:
    """Writes the sample to `folder`, train.bson last."""
    train = train_products(photos.train_labels, options)
    rng = np.random.default_rng([options.seed, 1])
    test = _group(photos.test_labels, sizes=None, views=options.views, rng=rng)
    test = _shuffled(test, rng)
    train_ids, test_ids = _interleave(len(train), len(test), rng)
    train = _mislabelled(train, options)

    dump.start(folder, dump.category_names(TREE))
    test_contents = dump.write_products(
        storage.join(folder, dump.TEST),
        _batches(test_ids, test, photos.test_images, labelled=options.labelled_test),
        total=len(test),
    )
    dump.write_test_labels(
        folder,
        (
            (int(product_id), TREE[product.fashion_label][0])
            for product_id, product in zip(test_ids, test, strict=True)
        ),
    )
    dump.write_photos(folder)
    if options.wrong_labels:
        dump.write_wrong_labels(folder, _wrong_labels(train_ids, train))
    train_contents = dump.write_products(
        storage.join(folder, dump.TRAIN),
        _batches(train_ids, train, photos.train_images, labelled=True),
        total=len(train),
    )
    sizes = np.bincount([product.label for product in train for _ in product.rows])
    return dump.Sample(
        folder=folder,
        train=train_contents,
        test=test_contents,
        classes=CLASSES,
        largest_class=int(sizes.max()),
        smallest_class=int(sizes.min()),
        source=f'real photos, Fashion-MNIST from {photos.source}',
        licence=LICENCE,
    )


def train_products(labels: npt.NDArray[np.uint8], options: Options) -> list[Product]:
    """Draws the train products, in random order; class sizes are n_max * imbalance^(-i/9)."""
    rng = np.random.default_rng([options.seed, 0])
    sizes = long_tail.exponential_sizes(PER_CLASS, classes=CLASSES, imbalance=options.imbalance)
    products = _group(labels, sizes=sizes, views=options.views, rng=rng)
    if options.products is not None:
        products = _fewer(products, options.products)
    return _shuffled(products, rng)


def _group(
    labels: npt.NDArray[np.uint8],
    *,
    sizes: Sequence[int] | None,
    views: int | None,
    rng: np.random.Generator,
) -> list[Product]:
    """Groups photos of a class into products; `sizes`: photos by class, None for all."""
    shares = np.array(long_tail.PRODUCTS_BY_VIEWS) / sum(long_tail.PRODUCTS_BY_VIEWS)
    if views is not None:
        shares = (np.arange(1, MAX_VIEWS + 1) == views).astype(float)
    products = []
    for label in range(CLASSES):
        rows = rng.permutation(np.flatnonzero(labels == label))
        rows = rows if sizes is None else rows[: sizes[label]]
        counts = rng.choice(np.arange(1, MAX_VIEWS + 1), size=len(rows), p=shares)
        ends = np.cumsum(counts)
        cuts = ends[ends < len(rows)]
        products += [
            Product(label, tuple(int(row) for row in part)) for part in np.split(rows, cuts)
        ]
    return products


def _fewer(products: list[Product], count: int) -> list[Product]:
    if count > len(products):
        raise UserError(
            f'products must be at most {len(products)} at this imbalance, got {count}; '
            'use kaggle-like for more'
        )
    by_class = [
        [product for product in products if product.fashion_label == label]
        for label in range(CLASSES)
    ]
    kept = long_tail.apportion(count, [len(group) for group in by_class], minimum=1)
    return [product for group, keep in zip(by_class, kept, strict=True) for product in group[:keep]]


def _mislabelled(products: list[Product], options: Options) -> list[Product]:
    """Returns the products with `options.wrong_labels` of them mislabelled."""
    rng = np.random.default_rng([options.seed, 2])
    wrong = rng.permutation(len(products))[: round(options.wrong_labels * len(products))]
    steps = rng.integers(1, CLASSES, len(wrong))  # from the right label, modulo CLASSES
    products = list(products)
    for place, step in zip(wrong.tolist(), steps.tolist(), strict=True):
        right = products[place]
        products[place] = replace(right, wrong_label=(right.fashion_label + step) % CLASSES)
    return products


def _wrong_labels(ids: IntArray, products: Sequence[Product]) -> Iterator[tuple[int, int, int]]:
    for product_id, product in zip(ids.tolist(), products, strict=True):
        if product.wrong_label is not None:
            yield product_id, TREE[product.label][0], TREE[product.fashion_label][0]


def _shuffled(products: list[Product], rng: np.random.Generator) -> list[Product]:
    return [products[i] for i in rng.permutation(len(products))]


def _interleave(train: int, test: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Assigns product ids 0, 1, 2, … to train and test at random, ascending in each, as Kaggle."""
    is_test = rng.permutation(np.arange(train + test) < test)
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def _batches(
    ids: IntArray, products: list[Product], images: npt.NDArray[np.uint8], *, labelled: bool
) -> Iterator[tuple[int, int, bytes]]:
    for start in range(0, len(products), _BATCH_PRODUCTS):
        batch = products[start : start + _BATCH_PRODUCTS]
        documents = b''.join(
            dump.document(
                int(product_id),
                pictures=[_jpeg(images[row]) for row in product.rows],
                category_id=TREE[product.label][0] if labelled else None,
            )
            for product_id, product in zip(ids[start:], batch, strict=False)
        )
        yield len(batch), sum(len(product.rows) for product in batch), documents


def _jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'JPEG', quality=JPEG_QUALITY)
    return file.getvalue()
