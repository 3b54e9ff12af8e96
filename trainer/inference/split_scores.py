"""The scores of a split by a run or an ensemble, and the temperatures that calibrate them.

Temperatures are fitted on the validation split if it has labels, otherwise on the evaluated split:
on all of its products, or on a share of them, drawn by product, that fits into memory.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import InputConfig
from trainer.data import batches, feature_shards
from trainer.data.data_set import DataSet
from trainer.inference import scores
from trainer.inference.combination import Combination, combined_log_probabilities
from trainer.inference.runs import Member, Run
from trainer.inference.scores import Scores
from trainer.metrics import calibration
from trainer.metrics.calibration import FittedTemperatures, Temperatures
from trainer.undecodable.log import UndecodableLog
from trainer.workdir import run_files

_FIT_PRODUCTS = 10_000
_FIT_BYTES = 256 << 20  # 256 MiB of probabilities


@dataclass(frozen=True)
class ScoredProducts:
    """The scores of some products and of all their pictures."""

    pictures: Scores
    products: Scores


def check_split(data: DataSet, *, workdir: str, split: str) -> None:
    """Checks that a model of a workdir can be evaluated on a split.

    Raises:
      UserError: If the split has no pictures or no labels, or the data set has another category
        tree than the model.
    """
    if feature_shards.is_feature_cache(data.manifest):
        raise UserError(
            f'{data.folder}: --data must hold pictures, got a feature cache; a run on features is '
            'a complete model: evaluate it on the shards that the features were computed from'
        )
    if not any(data.split(split).products_per_class):
        raise UserError(f'{data.folder}: evaluation needs labels, split {split!r} has none')
    learned = run_files.restore_categories(workdir)
    if learned.sha256 != data.categories.sha256:
        raise UserError(
            f'{data.folder}: category_names.csv must be that of {workdir}, of SHA-256 '
            f'{learned.sha256}, got {data.categories.sha256}'
        )


def score_split(
    run: Run,
    data: DataSet,
    split: str,
    *,
    share: float = 1.0,
    undecodable: UndecodableLog | None = None,
) -> Iterator[ScoredProducts]:
    """Computes the scores of a split, or of a share of its products, some products at a time.

    Products without a decodable picture are left out; `undecodable` logs such pictures.
    """
    for each in score_members(
        run.members,
        data,
        split,
        config=run.config.input,
        batch_size=run.config.batch_size,
        share=share,
        undecodable=undecodable,
    ):
        if run.combination is None:
            yield each[0]
        else:
            yield ScoredProducts(
                _combine([one.pictures for one in each], run.combination),
                _combine([one.products for one in each], run.combination),
            )


def score_members(
    members: Sequence[Member],
    data: DataSet,
    split: str,
    *,
    config: InputConfig,
    batch_size: int,
    share: float,
    undecodable: UndecodableLog | None = None,
) -> Iterator[tuple[ScoredProducts, ...]]:
    """Computes the scores of the same products by each of several models.

    Args:
      members: The models.
      data: The data set.
      split: Name of the split.
      config: Image size to decode to; each model resizes the images to its own size.
      batch_size: Pictures in a batch.
      share: Share of the products, drawn by product.
      undecodable: Where undecodable pictures are logged.
    """
    decoded = batches.picture_batches(
        data, split, config, batch_size=batch_size, share=share, undecodable=undecodable
    )
    streams = itertools.tee(decoded, len(members))  # all members take a batch before the next
    return zip(*(_score(*one) for one in zip(members, streams, strict=True)), strict=True)


def _score(member: Member, decoded: Iterable[dict[str, tf.Tensor]]) -> Iterator[ScoredProducts]:
    predictor = member.predictor()
    fuse = scores.build_fusion(predictor)
    scored = scores.score_pictures(predictor, decoded, strategy=member.strategy)
    for pictures in scores.split_at_products(scored):
        yield ScoredProducts(pictures, fuse(pictures))


def _combine(each: Sequence[Scores], rule: Combination) -> Scores:
    """Returns the same examples with the combined probabilities of all models."""
    probabilities = np.stack([one.probabilities for one in each])
    logs = combined_log_probabilities(probabilities, rule).numpy()
    return dataclasses.replace(
        each[0],
        pictures=np.max([one.pictures for one in each], axis=0),
        label_log_probability=logs[np.arange(len(logs)), each[0].label].astype(np.float64),
        probabilities=np.exp(logs),
        features=np.zeros([len(logs), 0], np.float32),
    )


def score_calibrated(
    run: Run, data: DataSet, split: str, *, undecodable: UndecodableLog
) -> tuple[FittedTemperatures, Iterator[ScoredProducts]]:
    """Fits the temperatures for a split and scores it.

    No picture passes through the model twice if the probabilities of all products fit into memory.
    """
    fitted = 'validation' if _has_labels(data, 'validation') else split
    share = _fit_share(data, fitted)
    log = undecodable if fitted == split else UndecodableLog(data.paths(fitted))
    sample = list(score_split(run, data, fitted, share=share, undecodable=log))
    log.report()
    calibrated = FittedTemperatures(
        temperatures=Temperatures(
            picture=_fit([part.pictures for part in sample]),
            product=_fit([part.products for part in sample]),
        ),
        split=fitted,
        products=sum(len(part.products) for part in sample),
    )
    if fitted == split and share == 1:
        return calibrated, iter(sample)
    return calibrated, score_split(run, data, split, undecodable=undecodable)


def _has_labels(data: DataSet, split: str) -> bool:
    return split in data.manifest.splits and any(data.split(split).products_per_class)


def _fit_share(data: DataSet, split: str) -> float:
    products, pictures = sum(data.split(split).products_per_class), data.split(split).pictures
    needed_bytes = 4 * data.num_classes * (products + pictures)
    return min(1.0, _FIT_PRODUCTS / products, _FIT_BYTES / needed_bytes)


def _fit(examples: Sequence[Scores]) -> float:
    if not examples:
        return 1.0
    return calibration.fit_temperature(
        np.concatenate([part.probabilities for part in examples]),
        np.concatenate([part.label for part in examples]),
    )
