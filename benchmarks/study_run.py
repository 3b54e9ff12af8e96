"""Writes the data of the study's cells, trains and evaluates them. A result is one atomic file."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.study_cells import STEPS, Cell, Data
from catalog import manifest, storage
from trainer.config import files

_RECIPE = 'configs/tiny.py'
_ALL = (
    f'total_steps={STEPS}',
    f'log_every_steps={STEPS}',
    f'checkpoint_every_steps={STEPS}',
    'steps_per_call=50',
    'board.sample_pictures=0',
)

Result = dict[str, Any]


def result_path(folder: Path, cell: Cell, *, seed: int) -> Path:
    """Returns the path of a cell's result."""
    return folder / 'cells' / f'{cell.name}-seed{seed}.json'


def write_sample(folder: Path, data: Data, *, seed: int) -> Path:
    """Writes a sample if missing, and returns its folder. The seed determines the train photos."""
    sample = folder / 'samples' / f'{data.sample}-seed{seed}'
    if not (sample / 'train.bson').exists():
        _call(
            'catalog.samples', 'fashion', f'--output={sample}', f'--imbalance={data.imbalance}',
            f'--views={data.views}', f'--wrong_labels={data.wrong_labels}', f'--seed={seed}',
            '--labelled_test', '--overwrite',
        )  # fmt: skip
    return sample


def write_train(folder: Path, data: Data, *, seed: int) -> None:
    """Writes the train shards of a cell if missing."""
    sample = write_sample(folder, data, seed=seed)
    _shard(sample, 'train.bson', train_folder(folder, data, seed=seed), balance=data.balance)


def write_test(folder: Path, data: Data, *, seed: int) -> None:
    """Writes the test shards for products of `data.views` views if missing."""
    sample = write_sample(folder, data, seed=seed)
    _shard(sample, 'test.bson', test_folder(folder, data), balance='none')


def train_folder(folder: Path, data: Data, *, seed: int) -> Path:
    """Returns the folder of the train shards of a cell."""
    return folder / 'shards' / f'{data.name}-seed{seed}'


def test_folder(folder: Path, data: Data) -> Path:
    """Returns the folder of the test shards. Their only split is called `train`."""
    return folder / 'shards' / f'test-views{data.views}'


def _shard(sample: Path, file: str, output: Path, *, balance: str) -> None:
    if (output / manifest.FILE_NAME).exists():
        return
    _call(
        'beam_pipelines.shard', f'--input={sample / file}', f'--output={output}',
        f'--categories={sample / "category_names.csv"}', f'--balance={balance}',
        '--max_copies=100', '--validation_fraction=0', '--shards=4', '--overwrite',
    )  # fmt: skip


def _call(module: str, *arguments: str) -> None:
    command = [sys.executable, '-m', module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'{" ".join(command)} failed: {done.stderr.strip()}')


def pin(number: int) -> None:
    """Pins this process to one core, so that TensorFlow uses one thread."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'


def run(folder: Path, cell: Cell, *, seed: int) -> Result:
    """Trains a cell, evaluates it on the test photos, and writes its result, unless it exists."""
    path = result_path(folder, cell, seed=seed)
    if path.exists():
        return dict(json.loads(path.read_bytes()))
    start = time.monotonic()
    workdir = folder / 'workdirs' / path.stem
    shutil.rmtree(workdir, ignore_errors=True)
    result = _train_and_evaluate(folder, cell, seed=seed, workdir=workdir)
    shutil.rmtree(workdir)
    result = {'cell': cell.name, 'seed': seed, **result, 'seconds': time.monotonic() - start}
    storage.write_bytes(str(path), (json.dumps(result) + '\n').encode())
    return result


def _train_and_evaluate(folder: Path, cell: Cell, *, seed: int, workdir: Path) -> Result:
    import keras  # here, because the parent process does not need TensorFlow

    from trainer.data import data_set
    from trainer.evaluate import evaluation
    from trainer.training.loop import train

    keras.backend.clear_session()  # deletes the state of the last cell
    data = data_set.open_data_set(str(train_folder(folder, cell.data, seed=seed)))
    config = files.load(_RECIPE, [*_ALL, *cell.overrides, f'seed={seed}'])
    train(config, data, str(workdir))
    report = workdir / 'report'
    evaluation.evaluate(
        workdir=str(workdir),
        data_folder=str(test_folder(folder, cell.data)),
        split='train',
        output=str(report),
    )
    document = json.loads((report / 'evaluation.json').read_bytes())
    recalls = {row['label']: row['recall'] for row in document['classes']}
    return {
        'recalls': [recalls[label] for label in range(data.num_classes)],
        'natural_prior': data.manifest.priors['natural'],
        'accuracy_alone': document['pictures']['accuracy'],
        'overrides': cell.overrides,
    }
