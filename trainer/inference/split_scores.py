"""What a run, or an ensemble, says of the pictures and products of a split; the temperatures.

Temperatures are fitted on the validation split where it has labels, on the evaluated one otherwise:
on all of its products, or on a share of them, drawn by product, that fits into memory.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import TrainConfig
from trainer.data import feature_shards as feature_source
from trainer.data import input_pipeline
from trainer.data.data_set import DataSet
from trainer.inference import scores as predictions
from trainer.inference.ensemble import Combination, log_probabilities
from trainer.inference.runs import Member, Run
from trainer.inference.scores import Scored
from trainer.metrics import calibration
from trainer.metrics.calibration import FittedTemperatures, Temperatures
from trainer.workdir import run_files

_FIT_PRODUCTS = 10_000
_FIT_BYTES = 256 << 20  # 256 MiB of probabilities


@dataclass(frozen=True)
class Piece:
    """Pictures of whole products, and these products."""

    pictures: Scored
    products: Scored


def check(data: DataSet, *, workdir: str, split: str) -> None:
    """Checks that a split can be used to measure a workdir's model.

    Raises:
      UserError: if it has no pictures or no labels, or the data another category tree than the
        model.
    """
    if data.manifest.options.get('record') == feature_source.RECORD:
        raise UserError(
            f'{data.folder}: --data must hold pictures, these are features of them; the run is a '
            'whole model: measure it on the shards that the features were made of'
        )
    if not any(data.split(split).products_per_class):
        raise UserError(f'{data.folder}: evaluation needs labels, split {split!r} has none')
    learned = run_files.restore_categories(workdir)
    if learned.sha256 != data.categories.sha256:
        raise UserError(
            f'{data.folder}: its category_names.csv must be the one that {workdir} learned, of '
            f'SHA-256 {learned.sha256}, got {data.categories.sha256}'
        )


def pieces(run: Run, data: DataSet, split: str, *, share: float = 1.0) -> Iterator[Piece]:
    """What a run says of the products of a split, or of a share of them."""
    for said in each_says(run.members, data, split, config=run.config, share=share):
        if run.combination is None:
            yield said[0]
        else:
            pictures, products = zip(*((one.pictures, one.products) for one in said), strict=True)
            yield Piece(_combined(pictures, run.combination), _combined(products, run.combination))


def each_says(
    members: Sequence[Member], data: DataSet, split: str, *, config: TrainConfig, share: float
) -> Iterator[tuple[Piece, ...]]:
    """What each of several models says of the same products, piece by piece.

    `config` has the size of the pictures; each model scales them to its own.
    """
    batches = input_pipeline.evaluation_batches(data, split, config, share=share)
    copies = itertools.tee(batches, len(members))  # all ask for the same batch in turn
    return zip(*(_says(*one) for one in zip(members, copies, strict=True)), strict=True)


def _says(member: Member, batches: Iterable[dict[str, tf.Tensor]]) -> Iterator[Piece]:
    scored = predictions.score(member.model, batches, model_config=member.config.model)
    fuse = predictions.fuser(member.model, member.config.model.fusion)
    for pictures in predictions.whole_products(scored):
        yield Piece(pictures, fuse(pictures))


def _combined(said: Sequence[Scored], rule: Combination) -> Scored:
    """The same examples with the probabilities of all models together."""
    logs = log_probabilities(np.stack([one.probabilities for one in said]), rule).numpy()
    return dataclasses.replace(
        said[0],
        pictures=np.max([one.pictures for one in said], axis=0),
        label_log_probability=logs[np.arange(len(logs)), said[0].label].astype(np.float64),
        probabilities=np.exp(logs),
        features=np.zeros([len(logs), 0], np.float32),
    )


def calibrated(run: Run, data: DataSet, split: str) -> tuple[FittedTemperatures, Iterator[Piece]]:
    """The temperatures for a split, and its pieces: none runs through the model twice if all of
    them fit into memory.
    """
    fitted = 'validation' if _has_labels(data, 'validation') else split
    share = _share(data, fitted)
    sample = list(pieces(run, data, fitted, share=share))
    found = FittedTemperatures(
        temperatures=Temperatures(
            picture=_fit([piece.pictures for piece in sample]),
            product=_fit([piece.products for piece in sample]),
        ),
        split=fitted,
        products=sum(len(piece.products) for piece in sample),
    )
    if fitted == split and share == 1:
        return found, iter(sample)
    return found, pieces(run, data, split)


def _has_labels(data: DataSet, split: str) -> bool:
    return split in data.manifest.splits and any(data.split(split).products_per_class)


def _share(data: DataSet, split: str) -> float:
    products, pictures = sum(data.split(split).products_per_class), data.split(split).pictures
    needed_bytes = 4 * data.num_classes * (products + pictures)
    return min(1.0, _FIT_PRODUCTS / products, _FIT_BYTES / needed_bytes)


def _fit(examples: Sequence[Scored]) -> float:
    if not examples:
        return 1.0
    return calibration.fit_temperature(
        np.concatenate([part.probabilities for part in examples]),
        np.concatenate([part.label for part in examples]),
    )
