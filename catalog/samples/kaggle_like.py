"""Synthetic pictures as a dump of any size: drawn in several processes, written as a stream.

The bytes depend on the options only, never on the number of processes. Memory holds the plan, and
a few batches for each process.
"""

import collections
import functools
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from catalog import categories, storage
from catalog.errors import UserError
from catalog.samples import drawing, dump, french_tree, kaggle_plan
from catalog.samples.kaggle_plan import IntArray, Options, Plan

LICENCE = 'none needed: drawn by this program'

_Documents = tuple[int, int, bytes]  # products, pictures, their documents

_BATCH_PRODUCTS = 256  # about 2.5 MB
_BATCHES_AHEAD = 4  # for each process


@dataclass(frozen=True)
class _Batch:
    """B products and what to draw for them. Small: it travels to another process.

    Attributes:
      classes: of the tree.
      seed: of the set.
      ids: product ids [B].
      labels: the class that the shop says [B]; None in test.
      shown: the class that the pictures show [B].
      views: pictures a product [B].
      source_products: which product each picture is drawn for [pictures].
      source_views: which view of it [pictures].
    """

    classes: int
    seed: int
    ids: IntArray
    labels: IntArray | None
    shown: IntArray
    views: IntArray
    source_products: IntArray
    source_views: IntArray


def write(folder: str, options: Options, *, workers: int) -> dump.Sample:
    """Writes the sample to `folder`, train.bson last.

    Raises:
      UserError: if `workers` is less than 1, or the tree cannot have so many classes.
    """
    if workers < 1:
        raise UserError(f'workers must be at least 1, got {workers}')
    names = french_tree.make(classes=options.classes, seed=options.seed)
    plan = kaggle_plan.make(options)
    train, test = np.flatnonzero(~plan.is_test), np.flatnonzero(plan.is_test)

    dump.start(folder, names)
    test_contents = dump.Contents(products=0, pictures=0, bytes=0)
    if len(test):
        batches = _batches(plan, test, options, labelled=False)
        test_contents = _write(folder, dump.TEST, batches, total=len(test), workers=workers)
        shop_ids = _tree(options.classes, options.seed).ids[plan.label[test]]
        dump.write_test_labels(folder, zip(test.tolist(), shop_ids.tolist(), strict=True))
        dump.write_photos(folder)
    batches = _batches(plan, train, options, labelled=True)
    train_contents = _write(folder, dump.TRAIN, batches, total=len(train), workers=workers)

    sizes = np.bincount(plan.label[train], weights=np.diff(plan.first)[train])
    return dump.Sample(
        folder=folder,
        train=train_contents,
        test=test_contents,
        classes=options.classes,
        largest_class=int(sizes.max()),
        smallest_class=int(sizes[sizes > 0].min()),
        source=f'synthetic pictures, seed {options.seed}',
        licence=LICENCE,
    )


def _write(
    folder: str, name: str, batches: Iterator[_Batch], *, total: int, workers: int
) -> dump.Contents:
    path = storage.join(folder, name)
    return dump.write_products(path, _drawn(batches, workers=workers), total=total)


def _batches(plan: Plan, ids: IntArray, options: Options, *, labelled: bool) -> Iterator[_Batch]:
    for start in range(0, len(ids), _BATCH_PRODUCTS):
        chosen = ids[start : start + _BATCH_PRODUCTS]
        pictures = [np.arange(plan.first[i], plan.first[i + 1]) for i in chosen]
        sources = plan.source[np.concatenate(pictures)]
        source_products = np.searchsorted(plan.first, sources, side='right') - 1
        yield _Batch(
            classes=options.classes,
            seed=options.seed,
            ids=chosen,
            labels=plan.label[chosen] if labelled else None,
            shown=plan.shown[chosen],
            views=np.array([len(places) for places in pictures]),
            source_products=source_products,
            source_views=sources - plan.first[source_products],
        )


@functools.cache
def _tree(classes: int, seed: int) -> categories.Categories:
    names = french_tree.make(classes=classes, seed=seed)
    return categories.parse(names, path=categories.FILE_NAME)


def _draw(batch: _Batch) -> _Documents:
    """A batch as documents."""
    tree = _tree(batch.classes, batch.seed)
    sources = zip(batch.source_products.tolist(), batch.source_views.tolist(), strict=True)
    documents = []
    for i, (product_id, shown) in enumerate(zip(batch.ids.tolist(), batch.shown, strict=True)):
        look = drawing.look_of(int(shown), level1=int(tree.level1[shown]), seed=batch.seed)
        pictures = [
            drawing.picture(look, product=product, view=view, seed=batch.seed)
            for _, (product, view) in zip(range(batch.views[i]), sources, strict=False)
        ]
        category_id = None if batch.labels is None else int(tree.ids[batch.labels[i]])
        documents.append(dump.document(product_id, pictures=pictures, category_id=category_id))
    return len(batch.ids), len(batch.source_products), b''.join(documents)


def _drawn(batches: Iterator[_Batch], *, workers: int) -> Iterator[_Documents]:
    """Draws the batches, in order, with only a few of them waiting in memory."""
    if workers == 1:
        yield from map(_draw, batches)
        return
    # Spawned, not forked: the caller may have threads, TensorFlow's for one.
    with ProcessPoolExecutor(workers, get_context('spawn'), _leave_ctrl_c_to_parent) as pool:
        waiting: collections.deque[Future[_Documents]] = collections.deque()
        try:
            for batch in batches:
                waiting.append(pool.submit(_draw, batch))
                if len(waiting) > _BATCHES_AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _leave_ctrl_c_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
