"""What a run's model says of a split: its pictures and products, piece by piece; the temperatures.

Temperatures are fitted on the validation split where it has labels, on the evaluated one otherwise:
on all of its products, or on a share of them, drawn by product, that fits into memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from trainer import calibration, checkpoint, input_pipeline, predictions
from trainer.calibration import Calibrated, Temperatures
from trainer.config import TrainConfig
from trainer.data_set import DataInfo, DataSet
from trainer.predictions import Scored

_FIT_PRODUCTS = 10_000
_FIT_BYTES = 256 << 20  # 256 MiB of probabilities


@dataclass(frozen=True)
class Run:
    """The newest model of a workdir.

    Attributes:
      model: with its weights.
      config: of the run.
      info: what it knows of its data.
      step: of the checkpoint.
    """

    model: keras.Model
    config: TrainConfig
    info: DataInfo
    step: int


@dataclass(frozen=True)
class Piece:
    """Pictures of whole products, and these products."""

    pictures: Scored
    products: Scored


def open_run(workdir: str) -> Run:
    """Restores the newest checkpoint of a workdir.

    Raises:
      UserError: if there is none.
    """
    model, config, info = checkpoint.restore_model(workdir)
    return Run(model, config, info, checkpoint.steps(workdir)[0])


def pieces(run: Run, data: DataSet, split: str, *, share: float = 1.0) -> Iterator[Piece]:
    """What the model says of the products of a split, or of a share of them."""
    batches = input_pipeline.evaluation_batches(data, split, run.config, share=share)
    scored = predictions.score(run.model, batches, model_config=run.config.model)
    fuse = predictions.fuser(run.model, run.config.model.fusion)
    for pictures in predictions.whole_products(scored):
        yield Piece(pictures, fuse(pictures))


def calibrated(run: Run, data: DataSet, split: str) -> tuple[Calibrated, Iterator[Piece]]:
    """The temperatures for a split, and its pieces: none runs through the model twice if all of
    them fit into memory.
    """
    fitted = 'validation' if _has_labels(data, 'validation') else split
    share = _share(data, fitted)
    sample = list(pieces(run, data, fitted, share=share))
    found = Calibrated(
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
    return calibration.fit(
        np.concatenate([part.probabilities for part in examples]),
        np.concatenate([part.label for part in examples]),
    )
