"""Makes a sample data set in the layout of Kaggle's Cdiscount challenge.

  python -m catalog.samples fashion --output=run/fashion
  python -m catalog.samples fashion --output=run/balanced --imbalance=1 --views=1
  python -m catalog.samples fashion --output=run/wrong --wrong_labels=0.1
  python -m catalog.samples kaggle-like --output=run/like --products=50000 --classes=500

fashion: real product photos, Fashion-MNIST (MIT licence): 10 classes, 28x28, grey, with a long
tail. Found in the Debian package dataset-fashion-mnist (installed, or downloaded without root) or
by Keras's downloader. Where they are to be had nowhere, the exit code is 3.

kaggle-like: synthetic product pictures of any number that match Kaggle's set in layout, sizes,
tail, repeated pictures and wrong labels. About 10 kB a product.

Both write train.bson, test.bson (no labels), test_labels.csv (its labels, to score a prediction)
and category_names.csv; with --wrong_labels also wrong_labels.csv, which products they are. The same
flags give the same bytes.
"""

import sys
from pathlib import Path

from absl import flags

from catalog import command_line
from catalog.errors import UserError
from catalog.samples import dump, fashion, fashion_photos, french_tree, kaggle_like, kaggle_plan

NAMES = ('fashion', 'kaggle-like')
NO_PHOTOS_EXIT_CODE = 3

_OUTPUT = flags.DEFINE_string('output', None, 'Folder to write to; made if it is not there.')
_SEED = flags.DEFINE_integer('seed', 0, 'Another seed, another sample.', lower_bound=0)
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Write over a sample that is there.')
_PRODUCTS = flags.DEFINE_integer(
    'products', None, 'Train products. fashion: as many as the photos give; kaggle-like: 10,000.'
)
_IMBALANCE = flags.DEFINE_float(
    'imbalance', None, 'fashion: pictures of the largest class for one of the smallest; 100.'
)
_WRONG_LABELS = flags.DEFINE_float(
    'wrong_labels', None, 'fashion: share of the train products that get a wrong category; 0.'
)
_VIEWS = flags.DEFINE_integer(
    'views', None, "fashion: photos a product; if not given 1 to 4, as often as Kaggle's."
)
_LABELLED_TEST = flags.DEFINE_bool(
    'labelled_test', None, 'fashion: test.bson carries the categories too, to be measured on.'
)
_CACHE = flags.DEFINE_string(
    'cache', None, 'fashion: folder to keep downloads in; below ~/.cache if not given.'
)
_CLASSES = flags.DEFINE_integer('classes', None, "kaggle-like: leaves of the tree; Kaggle's 5,270.")
_TEST_PRODUCTS = flags.DEFINE_integer(
    'test_products', None, 'kaggle-like: test products; a quarter of --products.'
)
_WORKERS = flags.DEFINE_integer('workers', None, 'kaggle-like: processes that draw; 2.')

_FLAGS_OF = {
    'fashion': (_IMBALANCE, _WRONG_LABELS, _VIEWS, _LABELLED_TEST, _CACHE),
    'kaggle-like': (_CLASSES, _TEST_PRODUCTS, _WORKERS),
}


def main(argv: list[str]) -> None:
    """Makes the sample that the command line names, and prints what it made."""
    name = _name(argv[1:])
    if not _OUTPUT.value:
        raise UserError('--output must name a folder, got none')
    try:
        sample = _fashion(_OUTPUT.value) if name == 'fashion' else _kaggle_like(_OUTPUT.value)
    except fashion_photos.NoPhotos as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(NO_PHOTOS_EXIT_CODE)
    print(dump.table(sample))


def _name(arguments: list[str]) -> str:
    if len(arguments) != 1 or arguments[0] not in NAMES:
        raise UserError(
            f'the sample must be one of {", ".join(NAMES)}, got {" ".join(arguments) or "none"}; '
            '--help shows examples'
        )
    name = arguments[0]
    for other in NAMES:
        for flag in _FLAGS_OF[other]:
            if other != name and flag.value is not None:
                raise UserError(f'--{flag.name} is for {other} only, got it with {name}')
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
    dump.refuse_existing(output, overwrite=_OVERWRITE.value)
    cache = Path(_CACHE.value) if _CACHE.value else fashion_photos.default_cache()
    photos = fashion_photos.find(cache)
    return fashion.write(output, photos, options)


def _kaggle_like(output: str) -> dump.Sample:
    products = _or(_PRODUCTS.value, 10_000)
    options = kaggle_plan.Options(
        products=products,
        test_products=_or(_TEST_PRODUCTS.value, products // 4),
        classes=_or(_CLASSES.value, french_tree.KAGGLE_CLASSES),
        seed=_SEED.value,
    )
    dump.refuse_existing(output, overwrite=_OVERWRITE.value)
    return kaggle_like.write(output, options, workers=_or(_WORKERS.value, 2))


if __name__ == '__main__':
    command_line.run(main, parse=command_line.parse_flags)
