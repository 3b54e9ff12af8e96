"""Pseudo-labels: the predictions of an earlier model as labels of products without a category."""

import json
from collections.abc import Callable
from pathlib import Path

import bson
import pytest

from beam_pipelines.scan.pseudo_labels import open_pseudo_labels
from catalog import categories
from catalog.errors import UserError
from tests.beam_pipelines.running import read_split, run_command, run_job
from tests.shop import CATEGORY_IDS, jpeg, product

WriteBson = Callable[..., Path]

FIRST, SECOND = CATEGORY_IDS[:2]


def labelled() -> list[bytes]:
    """Twenty products of each of two categories, with ids from 0."""
    return [product(n, CATEGORY_IDS[n % 2], [jpeg(n)]) for n in range(40)]


def unlabelled(count: int, *, views: int = 1) -> list[bytes]:
    """Products without a category, with ids from 1000."""
    return [
        product(1000 + n, None, [jpeg(1000 + 10 * n + view) for view in range(views)])
        for n in range(count)
    ]


def write_predictions(path: Path, rows: list[tuple[int, int, float]]) -> Path:
    lines = [f'{product_id},{category},{confidence}' for product_id, category, confidence in rows]
    path.write_text('\n'.join(['_id,category_id,confidence', *lines]) + '\n')
    return path


def run(
    source: Path,
    tree: Path,
    output: Path,
    predictions: Path,
    threshold: str = '0.9',
    **options: object,
) -> dict[str, dict[str, int]]:
    """Runs the job with pseudo-labels and returns the ledger."""
    loaded = categories.load(str(tree))
    opened = open_pseudo_labels(str(predictions), threshold=threshold, tree=loaded)
    run_job(source, tree, output, pseudo_labels=opened, **options)
    return json.loads((output / 'manifest.json').read_text())['ledger']


def records(output: Path, split: str = 'train') -> dict[int, tuple[int, bool]]:
    """The category of each product of a split, and whether it is a pseudo-label."""
    return {
        record.product_id: (record.category.category_id, record.category.pseudo)
        for shard in read_split(output, split)
        for record in shard
    }


def test_confident_predictions_label_products_of_train_and_all_others_are_counted(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    source = write_bson([*unlabelled(6, views=2), *labelled()])
    predictions = write_predictions(
        tmp_path / 'predictions.csv',
        [
            (1000, FIRST, 0.95),
            (1001, SECOND, 0.9),
            (1002, SECOND, 0.899999),
            (1003, 12345, 1.0),  # a category that is not in the tree
            (0, SECOND, 1.0),  # a product that has a category, and keeps it
        ],
    )
    output = tmp_path / 'out'
    done = run_command(
        f'--input={source}',
        f'--categories={categories_path}',
        f'--output={output}',
        f'--pseudo_labels={predictions}',
        '--validation_fraction=0.25',
    )
    assert done.returncode == 0, done.stderr
    assert 'note       train products with a pseudo-label: 2\n' in done.stdout
    assert 'dropped    1 document, 2 pictures: below pseudo threshold\n' in done.stdout

    train = records(output)
    held_out = records(output, 'validation')
    assert {n: found for n, found in train.items() if found[1]} == {
        1000: (FIRST, True),
        1001: (SECOND, True),
    }
    assert len(held_out) == 10
    assert not any(pseudo for _, pseudo in held_out.values())
    assert (train | held_out)[0] == (FIRST, False)

    manifest = json.loads((output / 'manifest.json').read_text())
    assert manifest['ledger']['documents'] == {
        'read': 46,
        'train': 32,
        'validation': 10,
        'dropped_without_pseudo_label': 3,
        'dropped_below_pseudo_threshold': 1,
    }
    assert manifest['ledger']['pictures'] == {
        'read': 52,
        'train': 34,
        'validation': 10,
        'dropped_without_pseudo_label': 6,
        'dropped_below_pseudo_threshold': 2,
    }
    assert manifest['ledger']['notes']['pseudo_labelled_products'] == 2
    assert manifest['ledger']['notes']['pseudo_labelled_pictures'] == 4
    assert manifest['options']['pseudo_threshold'] == '0.9'
    assert manifest['priors']['natural'] == [0.5, 0.5, 0, 0]  # of the shop's own labels


def test_each_category_may_have_a_threshold_of_its_own(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    source = write_bson([*labelled(), *unlabelled(5)])
    rows = [(1000, FIRST, 0.7), (1001, FIRST, 0.5), (1002, SECOND, 0.7), (1003, SECOND, 0.9)]
    rows += [(1004, CATEGORY_IDS[2], 1.0)]  # a category without a threshold
    predictions = write_predictions(tmp_path / 'predictions.csv', rows)
    thresholds = tmp_path / 'thresholds.csv'
    thresholds.write_text(f'category_id,threshold\n{FIRST},0.6\n{SECOND},0.8\n')
    ledger = run(source, categories_path, tmp_path / 'out', predictions, str(thresholds))
    found = {n for n, (_, pseudo) in records(tmp_path / 'out').items() if pseudo}
    assert found == {1000, 1003}
    assert ledger['documents']['dropped_below_pseudo_threshold'] == 3


def test_other_records_are_the_same_byte_for_byte(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    source = write_bson(labelled())
    predictions = write_predictions(tmp_path / 'predictions.csv', [(1000, FIRST, 1.0)])
    run_job(source, categories_path, tmp_path / 'without')
    run(source, categories_path, tmp_path / 'with', predictions)
    for split in ('train', 'validation'):
        (name,) = (path.name for path in (tmp_path / 'without').glob(f'{split}-*'))
        data = (tmp_path / 'without' / name).read_bytes()
        assert (tmp_path / 'with' / name).read_bytes() == data
        assert b'image/class/pseudo' not in data


def test_a_product_that_the_shop_holds_out_gets_no_pseudo_label(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    parts = {1000: 'train', 1001: 'validation'}
    documents = [bson.decode(document) for document in [*labelled(), *unlabelled(2)]]
    source = write_bson(
        [bson.encode({**one, 'part': parts.get(one['_id'], 'train')}) for one in documents]
    )
    predictions = write_predictions(
        tmp_path / 'predictions.csv', [(1000, FIRST, 1.0), (1001, FIRST, 1.0)]
    )
    output = tmp_path / 'out'
    done = run_command(
        f'--input={source}',
        f'--categories={categories_path}',
        f'--output={output}',
        f'--pseudo_labels={predictions}',
        '--fields=split=part',
    )
    assert done.returncode == 0, done.stderr
    ledger = json.loads((output / 'manifest.json').read_text())['ledger']
    assert ledger['documents'] == {
        'read': 42,
        'train': 41,
        'dropped_pseudo_label_held_out': 1,
    }


@pytest.mark.parametrize(
    ('rows', 'threshold', 'message'),
    [
        ([(1, 5, 1.0)], '0.9', 'must predict categories of the tree, got 5'),
        ([], '0.9', 'must predict categories of the tree, got no prediction'),
        ([(1, FIRST, 1.0)], '1.5', r'--pseudo_threshold: must be in \(0, 1\], got 1\.5'),
        ([(1, FIRST, 1.0)], 'high', r'a number in \(0, 1\] or a CSV file, got .*high'),
        ([(1, FIRST, 1.0)], 'id,threshold\n', 'the header category_id,threshold, got id,'),
        ([(1, FIRST, 1.0)], 'category_id,threshold\n5,0.5\n', "line 2: must be .*, got '5,0.5'"),
        ([(1, FIRST, 1.0)], f'category_id,threshold\n{FIRST},0\n', 'line 2: must be .*,0'),
    ],
)
def test_a_wrong_file_is_an_error_of_one_line(
    categories_path: Path,
    tmp_path: Path,
    rows: list[tuple[int, int, float]],
    threshold: str,
    message: str,
) -> None:
    predictions = write_predictions(tmp_path / 'predictions.csv', rows)
    if '\n' in threshold:
        (tmp_path / 'thresholds.csv').write_text(threshold)
        threshold = str(tmp_path / 'thresholds.csv')
    tree = categories.load(str(categories_path))
    with pytest.raises(UserError, match=message) as error:
        open_pseudo_labels(str(predictions), threshold=threshold, tree=tree)
    assert '\n' not in str(error.value)


def test_pseudo_labels_do_not_go_with_data_without_categories(
    write_bson: WriteBson, tmp_path: Path
) -> None:
    predictions = write_predictions(tmp_path / 'predictions.csv', [(1000, FIRST, 1.0)])
    done = run_command(
        f'--input={write_bson(unlabelled(2))}',
        f'--output={tmp_path / "out"}',
        f'--pseudo_labels={predictions}',
        '--unlabelled',
    )
    assert done.returncode == 2
    assert done.stderr.strip().count('\n') == 0
    assert '--pseudo_labels: must not be given with --unlabelled' in done.stderr
