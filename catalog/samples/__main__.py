r"""Writes a sample data set in the layout of Kaggle's Cdiscount challenge.

Examples:
  python -m catalog.samples fashion --output=run/fashion
  python -m catalog.samples fashion --output=run/balanced --imbalance=1 --views=1
  python -m catalog.samples fashion --output=run/wrong --wrong_labels=0.1
  python -m catalog.samples grocery --output=run/grocery
  python -m catalog.samples kaggle-like --output=run/like --products=50000 --classes=500

fashion: real product photos, Fashion-MNIST (MIT licence): 10 classes, 28x28, grey, with a long
tail. They come from the Debian package dataset-fashion-mnist (installed, or downloaded without
root) or from Keras's downloader. If the download is unavailable, the exit code is 3.

grocery: real colour photos, Grocery Store Dataset (MIT licence; arXiv:1901.00711): 5,421 photos
from phones of 81 products in a tree of three levels, in the official splits. They are downloaded
once from github.com/marcusklasson/GroceryStoreDataset (120 MB), or read from a copy of it
(--source); their digest is checked. If the download is unavailable, the exit code is 3.
  python -m beam_pipelines.shard --input=run/grocery/train.bson --fields=split=split \
    --categories=run/grocery/category_names.csv --output=DIR

kaggle-like: any number of synthetic product pictures. Layout, sizes, long tail, duplicate images
and wrong labels match Kaggle's data set. About 10 kB per product.

All write train.bson, test.bson (without labels), test_labels.csv (the labels of test.bson, to
score predictions) and category_names.csv; --wrong_labels also writes wrong_labels.csv, the list of
mislabelled products. The same flags give the same bytes.
"""

import sys
from pathlib import Path

from absl import flags

from catalog import command_line
from catalog.errors import UserError
from catalog.samples import (
    dump,
    fashion,
    fashion_photos,
    french_tree,
    grocery,
    grocery_photos,
    kaggle_like,
    kaggle_plan,
)

NAMES = ('fashion', 'grocery', 'kaggle-like')
NO_PHOTOS_EXIT_CODE = 3

_OUTPUT = flags.DEFINE(
    command_line.PATH, 'output', None, 'Folder to write to. Created if it does not exist.'
)
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of all random draws.', lower_bound=0)
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace an existing sample in --output.')
_PRODUCTS = flags.DEFINE_integer(
    'products',
    None,
    'Number of train products. Default: for fashion, all that the photos give; for kaggle-like, '
    '10,000.',
)
_IMBALANCE = flags.DEFINE_float(
    'imbalance', None, 'fashion: Ratio of the largest class to the smallest. Default: 100.'
)
_WRONG_LABELS = flags.DEFINE_float(
    'wrong_labels', None, 'fashion: Share of train products with a wrong category. Default: 0.'
)
_VIEWS = flags.DEFINE_integer(
    'views', None, "fashion: Photos per product. Default: 1 to 4, in Kaggle's proportions."
)
_LABELLED_TEST = flags.DEFINE_bool(
    'labelled_test', None, 'fashion: Write the categories to test.bson, for evaluation.'
)
_CACHE = flags.DEFINE_string(
    'cache', None, 'fashion, grocery: Folder for downloads. Default: a folder in ~/.cache.'
)
_SOURCE = flags.DEFINE(
    command_line.LOCAL_PATH,
    'source',
    None,
    'grocery: A copy of the repository, or of its folder dataset. Default: a download.',
)
_CLASSES = flags.DEFINE_integer(
    'classes', None, "kaggle-like: Leaves of the category tree. Default: Kaggle's 5,270."
)
_TEST_PRODUCTS = flags.DEFINE_integer(
    'test_products', None, 'kaggle-like: Test products. Default: a quarter of --products.'
)
_WORKERS = flags.DEFINE_integer(
    'workers', None, 'kaggle-like: Processes that draw pictures. Default: 2.'
)

_FLAGS_OF = {
    'fashion': (_PRODUCTS, _IMBALANCE, _WRONG_LABELS, _VIEWS, _LABELLED_TEST, _CACHE),
    'grocery': (_SOURCE, _CACHE),
    'kaggle-like': (_PRODUCTS, _CLASSES, _TEST_PRODUCTS, _WORKERS),
}


def main(argv: list[str]) -> None:
    """Writes the sample that the command line names, and prints a summary."""
    name = _name(argv[1:])
    if not _OUTPUT.value:
        raise UserError('--output must be given: the folder to write to')
    write = {'fashion': _fashion, 'grocery': _grocery, 'kaggle-like': _kaggle_like}[name]
    try:
        sample = write(_OUTPUT.value)
    except dump.NoPhotos as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(NO_PHOTOS_EXIT_CODE)
    print(dump.table(sample))


def _name(arguments: list[str]) -> str:
    if len(arguments) != 1 or arguments[0] not in NAMES:
        raise UserError(
            f'sample must be one of {", ".join(NAMES)}, got {" ".join(arguments) or "none"}; '
            '--help shows examples'
        )
    name = arguments[0]
    own = {flag.name for flag in _FLAGS_OF[name]}
    for other in NAMES:
        for flag in _FLAGS_OF[other]:
            if flag.name not in own and flag.value is not None:
                raise UserError(f'--{flag.name} is only for {other}, got it with {name}')
    return name


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _fashion(output: str) -> dump.Sample:
    options = fashion.Options(
        imbalance=100.0 if _IMBALANCE.value is None else _IMBALANCE.value,
        products=_PRODUCTS.value,
        wrong_labels=_WRONG_LABELS.value or 0.0,
        views=_VIEWS.value,
        labelled_test=bool(_LABELLED_TEST.value),
        seed=_SEED.value,
    )
    dump.check_replaceable(output, overwrite=_OVERWRITE.value)
    cache = Path(_CACHE.value) if _CACHE.value else fashion_photos.default_cache()
    photos = fashion_photos.find(cache)
    return fashion.write(output, photos, options)


def _grocery(output: str) -> dump.Sample:
    dump.check_replaceable(output, overwrite=_OVERWRITE.value)
    origin = grocery_photos.Origin()
    if _SOURCE.value:
        return grocery.write(output, grocery_photos.open_folder(Path(_SOURCE.value), origin))
    cache = Path(_CACHE.value) if _CACHE.value else grocery_photos.default_cache()
    return grocery.write(output, grocery_photos.find(cache, origin))


def _kaggle_like(output: str) -> dump.Sample:
    products = _or(_PRODUCTS.value, 10_000)
    options = kaggle_plan.Options(
        products=products,
        test_products=_or(_TEST_PRODUCTS.value, products // 4),
        classes=_or(_CLASSES.value, french_tree.KAGGLE_CLASSES),
        seed=_SEED.value,
    )
    dump.check_replaceable(output, overwrite=_OVERWRITE.value)
    return kaggle_like.write(output, options, workers=_or(_WORKERS.value, 2))


if __name__ == '__main__':
    command_line.run(main, parse=command_line.parse_flags)
