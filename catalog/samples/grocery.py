"""Writes the Grocery Store Dataset as a dump: a product a photo, each with its official split.

The bytes of the photos are unchanged. A product's `_id` is the place of its photo in the official
lists, and its `category_id` the number of its product there.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from catalog import storage
from catalog.samples import dump
from catalog.samples.grocery_photos import LICENCE, REPOSITORY, Grocery, Photo

_BATCH_PRODUCTS = 64


def write(folder: str, grocery: Grocery) -> dump.Sample:
    """Writes the sample to `folder`, train.bson last.

    train.bson has the products of all splits, with the field `split`; test.bson those of test
    again, without labels.
    """
    numbered = list(enumerate(grocery.photos))
    test = [(number, photo) for number, photo in numbered if photo.split == 'test']
    dump.start(folder, dump.category_names(grocery.tree))
    test_contents = dump.write_products(
        storage.join(folder, dump.TEST), _batches(grocery, test, labelled=False), total=len(test)
    )
    dump.write_test_labels(folder, ((number, photo.category_id) for number, photo in test))
    dump.write_photos(folder)
    train_contents = dump.write_products(
        storage.join(folder, dump.TRAIN),
        _batches(grocery, numbered, labelled=True),
        total=len(numbered),
    )
    sizes = Counter(photo.category_id for photo in grocery.photos if photo.split == 'train')
    return dump.Sample(
        folder=folder,
        train=train_contents,
        test=test_contents,
        classes=len(grocery.tree),
        largest_class=max(sizes.values()),
        smallest_class=min(sizes.values()),
        source=f'real photos, Grocery Store Dataset ({REPOSITORY}, arXiv:1901.00711)',
        licence=LICENCE,
    )


def _batches(
    grocery: Grocery, photos: Sequence[tuple[int, Photo]], *, labelled: bool
) -> Iterator[tuple[int, int, bytes]]:
    for start in range(0, len(photos), _BATCH_PRODUCTS):
        batch = photos[start : start + _BATCH_PRODUCTS]
        documents = b''.join(
            dump.document(
                number,
                pictures=[grocery.read(photo)],
                category_id=photo.category_id if labelled else None,
                split=photo.split if labelled else None,
            )
            for number, photo in batch
        )
        yield len(batch), len(batch), documents
