"""The models of benchmarks.serving: the thesis's network with random weights, and conversions."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np

from catalog import pixels
from catalog.networks.network import Precision, RuntimeName
from configs import thesis_inception_v3_conv
from serving.shard_pictures import labelled

CLASSES = 5270
CONVERSIONS: dict[str, tuple[RuntimeName, Precision]] = {
    'OpenVINO fp32': ('openvino', 'fp32'),
    'OpenVINO bf16': ('openvino', 'bf16'),
    'OpenVINO int8': ('openvino', 'int8'),
    'ONNX Runtime fp32': ('onnx', 'fp32'),
    'ONNX Runtime int8': ('onnx', 'int8'),
    'LiteRT fp32': ('litert', 'fp32'),
    'LiteRT int8': ('litert', 'int8'),
}
_CALIBRATION = 8  # pictures: speed does not depend on them


def make(folder: Path, names: list[str]) -> dict[str, Path]:
    """Makes what is missing; returns the version folder of each model by name."""
    shards, workdir, saved_model = folder / 'shards', folder / 'workdir', folder / 'saved_model/1'
    if not (shards / 'manifest.json').exists():
        _make_shards(folder, shards)
    if not saved_model.exists():
        _train_and_export(str(shards), str(workdir), str(saved_model))
    made = {'SavedModel': saved_model}
    for name in names:
        made[name] = folder / name.replace(' ', '_') / '1'
        if not made[name].exists():
            print(f'converting: {name}', flush=True)
            _convert(saved_model, made[name], CONVERSIONS[name], str(shards))
    return made


def photos(folder: Path, count: int) -> list[bytes]:
    """Returns photos to send."""
    return [one.encoded for one in labelled.read(str(folder / 'shards'), 'train', limit=count)]


def _make_shards(folder: Path, shards: Path) -> None:
    sample = folder / 'sample'
    for command in (
        [
            *('catalog.samples', 'kaggle-like', f'--output={sample}'),
            *(f'--products={2 * CLASSES}', f'--classes={CLASSES}'),
        ],
        [
            *('beam_pipelines.shard', f'--input={sample}/train.bson', f'--output={shards}'),
            f'--categories={sample}/category_names.csv',
        ],
    ):
        subprocess.run([sys.executable, '-m', *command], check=True)


def _train_and_export(shards: str, workdir: str, output: str) -> None:
    """Trains one step: a workdir needs a checkpoint."""
    from trainer.data import data_set
    from trainer.export import saved_model
    from trainer.training.loop import train

    config = thesis_inception_v3_conv.get_config()
    config = dataclasses.replace(
        config,
        batch_size=4,
        total_steps=1,
        steps_per_call=1,
        log_every_steps=1,
        model=dataclasses.replace(config.model, weights=None),
        input=dataclasses.replace(config.input, sample_fraction=1.0),
    )
    train(config, data_set.open_data_set(shards), workdir)
    saved_model.export(workdir=workdir, output=output, top_k=5, threshold=0.5)


def _convert(
    saved_model: Path, output: Path, what: tuple[RuntimeName, Precision], shards: str
) -> None:
    """Converts without comparing answers: those of random weights are close to each other."""
    from catalog import atomic_folder
    from serving.convert import networks, surroundings
    from serving.convert.source import open_source

    runtime, precision = what
    source = open_source(str(saved_model))
    calibration = []
    if precision == 'int8':
        for one in labelled.read(shards, 'train', limit=_CALIBRATION):
            image = pixels.decode(one.encoded)
            fitted = pixels.fit(image, height=source.height, width=source.width)
            calibration.append(np.asarray(fitted))
    with atomic_folder.create(str(output)) as partial:
        networks.write_network(
            source, partial, runtime=runtime, precision=precision, calibration=calibration
        )
        surroundings.write(source, partial, runtime=runtime, precision=precision)
