r"""Measures what pseudo-labels gain on photos whose labels were hidden.

  python -m catalog.samples fashion --output=SAMPLE
  python -m benchmarks.pseudo_labels --sample=SAMPLE --output=DIR

Of a labelled sample, a tenth of the products are validation, and most of the others lose their
labels. Three data sets have the same validation split: the labels that are left; these and
pseudo-labels, which the model of the first one predicts; all labels. A model is trained on each,
alike, and evaluated on the validation split.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

import bson
import numpy as np
from absl import flags

from catalog import command_line, manifest
from trainer import naming
from trainer.report import tables

_SAMPLE = flags.DEFINE_string('sample', None, 'Folder of the sample.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for files and results.', required=True)
_HIDDEN = flags.DEFINE_float('hidden', 0.8, 'Share of the train products without a label.')
_THRESHOLDS = flags.DEFINE_list('thresholds', ['0.9'], 'Thresholds of pseudo-labels.')
_STEPS = flags.DEFINE_integer('steps', 600, 'Steps of each training.')
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the hidden labels and of training.')

_VALIDATION = 0.1


def hide_labels(sample: Path, folder: Path) -> dict[int, int]:
    """Writes `all.bson` and `hidden.bson` with a field `part`. Returns the hidden labels by id."""
    products = list(bson.decode_file_iter((sample / 'train.bson').open('rb')))
    draws = np.random.default_rng(_SEED.value).random((len(products), 2))
    hidden = {}
    with (folder / 'all.bson').open('wb') as all_file, (folder / 'hidden.bson').open('wb') as file:
        for product, (split, label) in zip(products, draws, strict=True):
            product['part'] = 'validation' if split < _VALIDATION else 'train'
            all_file.write(bson.encode(product))
            if product['part'] == 'train' and label < _HIDDEN.value:
                hidden[product['_id']] = product.pop('category_id')
            file.write(bson.encode(product))
    return hidden


def call(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, '-m', module, *arguments], check=True)


def shard(source: Path, output: Path, *more: str) -> None:
    call(
        'beam_pipelines.shard', f'--input={source}', f'--output={output}', '--fields=split=part',
        f'--categories={_SAMPLE.value}/category_names.csv', '--balance=sqrt', '--overwrite', *more,
    )  # fmt: skip


def train(data: Path, workdir: Path) -> list[str]:
    """Trains and evaluates a run. Returns its cells of the table."""
    call(
        'trainer.task', '--config=configs/tiny.py', f'--data={data}', f'--workdir={workdir}',
        f'--config.total_steps={_STEPS.value}', f'--config.seed={_SEED.value}',
    )  # fmt: skip
    report = workdir / naming.REPORT
    call(
        'trainer.evaluate', f'--workdir={workdir}', f'--data={data}', '--split=validation',
        f'--output={report}',
    )  # fmt: skip
    found = json.loads((report / naming.EVALUATION).read_text())
    low, high = (f'{100 * end:.1f}' for end in found['intervals']['accuracy'])
    accuracy, f1 = (f'{100 * found[name]:.1f} %' for name in ('accuracy', 'macro_f1'))
    return [f'{found["train"]["products"]:,}', accuracy, f'{low} to {high}', f1]


def pseudo_labels_right(predictions: Path, hidden: dict[int, int], threshold: float) -> str:
    """Returns how many hidden labels the predictions give, and the share that is right."""
    with predictions.open(newline='') as file:
        sure = [row for row in csv.DictReader(file) if float(row['confidence']) >= threshold]
    right = [
        hidden[int(row['_id'])] == int(row['category_id'])
        for row in sure
        if int(row['_id']) in hidden
    ]
    return f'{len(right):,}, {100 * np.mean(right):.1f} % right' if right else '0'


def main(argv: list[str]) -> None:
    """Trains on all data sets and prints the table."""
    del argv
    folder = Path(_OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    hidden = hide_labels(Path(_SAMPLE.value), folder)
    shard(folder / 'hidden.bson', folder / 'few', '--max_rejected_fraction=1')
    rows = [['labels that are left', '', *train(folder / 'few', folder / 'work_few')]]
    model, predictions = folder / 'models' / '1', folder / 'predictions.csv'
    call('trainer.export', f'--workdir={folder / "work_few"}', f'--output={model}')
    call(
        'trainer.predict', f'--model={model}', f'--input={folder / "hidden.bson"}',
        f'--output={predictions}', '--confidence', '--overwrite',
    )  # fmt: skip
    for threshold in _THRESHOLDS.value:
        data = folder / f'pseudo_{threshold}'
        shard(
            folder / 'hidden.bson', data, f'--pseudo_labels={predictions}',
            f'--pseudo_threshold={threshold}',
        )  # fmt: skip
        right = pseudo_labels_right(predictions, hidden, float(threshold))
        title = f'and pseudo-labels from {threshold}'
        assert manifest.read(str(data)).pseudo_labelled_products
        rows.append([title, right, *train(data, folder / f'work_{threshold}')])
    shard(folder / 'all.bson', folder / 'all')
    rows.append(['all labels', '', *train(folder / 'all', folder / 'work_all')])
    header = ['train on', 'pseudo-labels', 'products', 'accuracy', '95 % interval', 'macro F1']
    print(tables.format_table(rows, header=header))


if __name__ == '__main__':
    command_line.run(main)
