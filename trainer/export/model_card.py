"""`model_card.json`: what a model is, what it learned from, how good it is. Knows no TensorFlow."""

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
from trainer.config import InputConfig, LossConfig, ModelConfig
from trainer.config import files as configs
from trainer.data.data_set import DataInfo
from trainer.export import temperatures as baked
from trainer.export.temperatures import Baked
from trainer.inference import ensemble

if TYPE_CHECKING:
    from trainer.inference.runs import Run


# Of evaluation.json; its tables of classes stay with the report.
_KEPT_OUT = frozenset({'classes', 'most_confused', 'coverage_curve', 'definitions'})


def make(
    *,
    workdir: str,
    name: str,
    version: int,
    run: 'Run',
    tree: Categories,
    calibration: Baked,
    top_k: int,
    threshold: float,
    tta: str,
) -> str:
    """The card of a model, as JSON."""
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
        'signatures': signatures(top_k=top_k, calibration=calibration),
        'level_threshold': threshold,
        'prior': _prior(config.loss, workdir=workdir),
        'config': json.loads(configs.to_json(config)),
        **_ensemble(run, workdir=workdir),
        'licences': licences([member.config.model for member in run.members]),
    }
    return json.dumps(card, indent=2, ensure_ascii=False) + '\n'


def _evaluation(workdir: str) -> dict[str, Any] | None:
    figures = baked.evaluation(workdir)
    if figures is None:
        return None
    return {key: value for key, value in figures.items() if key not in _KEPT_OUT}


def _ensemble(run: 'Run', *, workdir: str) -> dict[str, Any]:
    """The members of an ensemble and their weights; nothing for one model."""
    found = ensemble.read(workdir)
    if found is None:
        return {}
    means = found.combination.weights.mean(axis=1)  # of `stacking` over the classes
    return {
        'ensemble': {
            'way': found.way,
            'rule': found.combination.words,
            'members': [
                {
                    **dataclasses.asdict(named),
                    'weight': weight,
                    'config': json.loads(configs.to_json(member.config)),
                }
                for named, weight, member in zip(
                    found.members, means.tolist(), run.members, strict=True
                )
            ],
            'compared': [dataclasses.asdict(way) for way in found.compared],
        }
    }


def most_common(info: DataInfo, tree: Categories) -> dict[str, Any]:
    """The category that most products have, and its share: what is said where nothing is seen."""
    label = int(np.argmax(info.natural_prior))
    return {'category_id': int(tree.ids[label]), 'share': info.natural_prior[label]}


def _prior(config: LossConfig, *, workdir: str) -> str:
    """The prior that the model answers with."""
    if storage.exists(storage.join(workdir, naming.TAU_NORM)):
        return 'not known: the last layer is tau-normalised'
    if config.target_power is None:
        return 'of the train shards, copies included, times the weights of the classes'
    return f'natural ** {config.target_power}, normalised'


def preprocessing(config: InputConfig) -> dict[str, Any]:
    """What becomes of a picture's bytes inside the model."""
    return {
        'formats': ['JPEG', 'PNG', 'GIF', 'BMP', 'WebP'],
        'height': config.height,
        'width': config.width,
        'resize': 'scaled to fit, sides in proportion, centred on white',
        'where': 'inside the SavedModel (trainer/preprocess.py)',
    }


def signatures(*, top_k: int, calibration: Baked) -> dict[str, Any]:
    """The inputs and outputs of each signature; N pictures, P products."""
    classes = {
        'label': f'int64 [N, {top_k}]',
        'category_id': f'int64 [N, {top_k}]',
        'confidence': f'float32 [N, {top_k}], {calibration.words}',
        'level1': f'string [N, {top_k}]',
        'level2': f'string [N, {top_k}]',
        'level3': f'string [N, {top_k}]',
    }
    return {
        'serving_default': {'inputs': {'image_bytes': 'string [N]'}, 'outputs': classes},
        'product': {
            'inputs': {'image_bytes': 'string [M]', 'product': 'int64 [M], 0 to P-1'},
            'outputs': {
                **{key: value.replace('[N', '[P') for key, value in classes.items()},
                'level': 'int64 [P], the deepest level whose summed confidence is at least '
                'level_threshold: 3, 2, 1, or 0 if none is',
            },
        },
        'embedding': {
            'inputs': {'image_bytes': 'string [N]'},
            'outputs': {'embedding': 'float32 [N, d], length 1'},
        },
    }


def licences(networks: Sequence[ModelConfig]) -> dict[str, str]:
    """What is known of the licences of the parts."""
    return {
        'code': 'Apache-2.0',
        'initial_weights': '; '.join(dict.fromkeys(_start(config) for config in networks)),
        'training_data': "the owner's: ask whoever gave the pictures, named by the data digest",
    }


def _start(config: ModelConfig) -> str:
    match config.weights:
        case None:
            return 'none: trained from random weights'
        case 'imagenet':
            return 'Keras applications, trained on ImageNet, whose terms allow research'
        case path:
            return f'the weights of {Path(path).name}: ask whoever made them'
