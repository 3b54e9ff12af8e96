"""`model_card.json`: a model, its training data, its metrics, its licences. Knows no TensorFlow."""

import dataclasses
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from catalog import storage
from catalog.categories import Categories
from trainer import naming
from trainer.config import InputConfig, LossConfig, ModelConfig, files
from trainer.data.data_set import DataInfo
from trainer.export.temperatures import ExportCalibration, read_evaluation
from trainer.inference.ensemble import read_ensemble

if TYPE_CHECKING:
    from trainer.inference.runs import Run


# Fields of evaluation.json with tables of classes, which stay in the report.
_NOT_COPIED = frozenset({'classes', 'most_confused', 'coverage_curve', 'definitions'})


def build_card(
    *,
    workdir: str,
    name: str,
    version: int,
    run: 'Run',
    tree: Categories,
    calibration: ExportCalibration,
    top_k: int,
    threshold: float,
    tta: str,
    target_prior: str | None,
) -> str:
    """Returns the card of a model, as JSON."""
    config, info = run.config, run.info
    card = {
        'schema_version': 1,
        'name': name,
        'version': version,
        'exported': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'classes': info.num_classes,
        'data_manifest_sha256': info.digest,
        'evaluation': _evaluation(workdir),
        'preprocessing': preprocessing(config.input),
        'test_time_augmentation': tta,
        'calibration': {
            **dataclasses.asdict(calibration.temperatures),
            'words': calibration.words,
        },
        'most_common': most_common(info, tree),
        'signatures': signatures(tree, size=config.input, top_k=top_k, calibration=calibration),
        'level_threshold': threshold,
        'prior': _prior(config.loss, workdir=workdir, target_prior=target_prior),
        'config': json.loads(files.to_json(config)),
        **_ensemble(run, workdir=workdir),
        'licences': licences([member.config.model for member in run.members]),
    }
    return json.dumps(card, indent=2, ensure_ascii=False) + '\n'


def _evaluation(workdir: str) -> dict[str, Any] | None:
    evaluation = read_evaluation(workdir)
    if evaluation is None:
        return None
    return {key: value for key, value in evaluation.items() if key not in _NOT_COPIED}


def _ensemble(run: 'Run', *, workdir: str) -> dict[str, Any]:
    """Describes the members of an ensemble and their weights; empty for one model."""
    ensemble = read_ensemble(workdir)
    if ensemble is None:
        return {}
    means = ensemble.combination.weights.mean(axis=1)  # for `stacking` over the classes
    return {
        'ensemble': {
            'way': ensemble.way,
            'rule': ensemble.combination.description,
            'members': [
                {
                    **dataclasses.asdict(named),
                    'weight': weight,
                    'config': json.loads(files.to_json(member.config)),
                }
                for named, weight, member in zip(
                    ensemble.members, means.tolist(), run.members, strict=True
                )
            ],
            'compared': [dataclasses.asdict(way) for way in ensemble.compared],
        }
    }


def most_common(info: DataInfo, tree: Categories) -> dict[str, Any]:
    """Returns the most frequent category and its share: the prediction without any picture."""
    label = int(np.argmax(info.natural_prior))
    return {'category_id': tree.shown_id(label), 'share': info.natural_prior[label]}


def _prior(config: LossConfig, *, workdir: str, target_prior: str | None) -> str:
    """Describes the prior that the model predicts with."""
    if target_prior is not None:
        return f'{Path(target_prior).name}, shifted at export'
    if storage.exists(storage.join(workdir, naming.TAU_NORM)):
        return 'unknown: the last layer is tau-normalized'
    if config.target_power is None:
        return 'that of the train shards, copies included, times the class weights'
    return f'natural ** {config.target_power}, normalized'


def preprocessing(config: InputConfig) -> dict[str, Any]:
    """Describes how the model preprocesses the bytes of a picture."""
    return {
        'formats': ['JPEG', 'PNG', 'GIF', 'BMP', 'WebP'],
        'height': config.height,
        'width': config.width,
        'resize': 'scaled to fit, aspect ratio kept, centred on white',
        'where': 'inside the SavedModel (trainer/data/preprocess.py)',
    }


def signatures(
    tree: Categories, *, size: InputConfig, top_k: int, calibration: ExportCalibration
) -> dict[str, Any]:
    """Describes the inputs and outputs of each signature; N pictures, P products."""
    classes = {
        'label': f'int64 [N, {top_k}]',
        'category_id': f'int64 [N, {top_k}]',
        'confidence': f'float32 [N, {top_k}], {calibration.words}',
        **{f'level{level}': f'string [N, {top_k}]' for level in range(1, tree.levels + 1)},
        **({'category_code': f'string [N, {top_k}]'} if tree.codes else {}),
    }
    embedding = {'embedding': 'float32 [N, d], length 1'}
    deepest_first = ', '.join(str(level) for level in range(tree.levels, 0, -1))
    return {
        'serving_default': {'inputs': {'image_bytes': 'string [N]'}, 'outputs': classes},
        'product': {
            'inputs': {'image_bytes': 'string [M]', 'product': 'int64 [M], 0 to P-1'},
            'outputs': {
                **{key: value.replace('[N', '[P') for key, value in classes.items()},
                'level': 'int64 [P], the deepest level whose summed confidence is at least '
                f'level_threshold: {deepest_first}, or 0 if none is',
            },
        },
        'embedding': {
            'inputs': {'image_bytes': 'string [N]'},
            'outputs': embedding,
        },
        'pixels': {
            'inputs': {'images': f'uint8 [N, {size.height}, {size.width}, 3]'},
            'outputs': {**classes, **embedding},
        },
    }


def licences(networks: Sequence[ModelConfig]) -> dict[str, str]:
    """Returns what is known of the licences of the parts."""
    return {
        'code': 'Apache-2.0',
        'initial_weights': '; '.join(
            dict.fromkeys(_initial_weights(config) for config in networks)
        ),
        'training_data': "the owner's: ask the provider of the data set that the digest names",
    }


def _initial_weights(config: ModelConfig) -> str:
    match config.weights:
        case None:
            return 'none: trained from random weights'
        case 'imagenet':
            return 'Keras applications, trained on ImageNet, whose terms allow research'
        case path:
            return f'those of {Path(path).name}: ask its provider'
