"""Builds an ensemble: fits weights on labelled products and compares all methods on held-out ones.

The unit is the product: a member's probabilities are those of a product. Four fifths of the sample
fit the weights, every fifth product is for the comparison. Of a large split, the sample is a share
of the products that fits into memory.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from catalog import atomic_folder, categories, storage
from catalog.errors import UserError
from trainer import naming
from trainer.data import data_set
from trainer.data.data_set import DataSet
from trainer.ensemble import fitting
from trainer.inference import runs, split_scores
from trainer.inference.combination import (
    Combination,
    Name,
    combined_log_probabilities,
    equal_weights,
)
from trainer.inference.ensemble import Candidate, Ensemble, MemberRun, to_json
from trainer.inference.runs import Member
from trainer.metrics.calibration import clipped_log
from trainer.report import tables
from trainer.undecodable.log import UndecodableLog

BEST = 'best'

_MAX_PRODUCTS = 10_000
_MAX_BYTES = 1 << 30  # 1 GiB of probabilities
_HOLD_OUT_EVERY = 5  # products


@dataclass(frozen=True)
class LabelledProbabilities:
    """Probabilities of N labelled products by M models.

    Attributes:
      probabilities: float32 [M, N, C].
      labels: int64 [N].
    """

    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def select(self, rows: npt.NDArray[np.bool_]) -> 'LabelledProbabilities':
        """Returns some of the products, bool [N]."""
        return LabelledProbabilities(self.probabilities[:, rows], self.labels[rows])


Fit = Callable[[LabelledProbabilities], Combination]


def _equal(name: Literal['arithmetic', 'geometric']) -> Fit:
    return lambda sample: equal_weights(name, models=len(sample.probabilities))


def _fitted(name: Name) -> Fit:
    return lambda sample: fitting.fit(name, sample.probabilities, sample.labels)


METHODS: dict[str, Fit] = {
    'arithmetic': _equal('arithmetic'),
    'fitted_arithmetic': _fitted('arithmetic'),
    'geometric': _equal('geometric'),
    'fitted_geometric': _fitted('geometric'),
    'stacking': _fitted('stacking'),
}


def build_ensemble(
    *, workdirs: Sequence[str], data_folder: str, split: str, method: str, output: str
) -> Ensemble:
    """Builds an ensemble and writes it into a folder.

    Args:
      workdirs: Of the members, two or more.
      data_folder: A data set with the category tree that they were trained with.
      split: A labelled split of it, which no member was trained on.
      method: One of `METHODS`, or `best` for the one with the smallest log loss.
      output: A folder that does not exist.

    Raises:
      UserError: If the members do not fit each other or the data.
    """
    if len(set(workdirs)) < max(len(workdirs), 2):
        raise UserError(f'--workdirs must be two or more different folders, got {list(workdirs)}')
    data = data_set.open_data_set(data_folder)
    members = runs.open_members(workdirs)
    split_scores.check_split(data, workdir=workdirs[0], split=split)
    with atomic_folder.create(output, last=naming.ENSEMBLE) as partial:
        sample = _score_sample(members, data, split)
        held_out = np.arange(len(sample.labels)) % _HOLD_OUT_EVERY == 0
        rules = {name: fit(sample.select(~held_out)) for name, fit in METHODS.items()}
        compared = _compare(sample.select(held_out), rules, workdirs=workdirs)
        if method == BEST:
            method = min(compared[len(workdirs) :], key=lambda candidate: candidate.loss).name
        member_runs = [
            MemberRun(path if storage.is_remote(path) else os.path.abspath(path), member.step)
            for path, member in zip(workdirs, members, strict=True)
        ]
        ensemble = Ensemble(tuple(member_runs), method, rules[method], tuple(compared))
        _write(ensemble, partial)
    return ensemble


def _score_sample(members: Sequence[Member], data: DataSet, split: str) -> LabelledProbabilities:
    """The members' probabilities of a split's products, or of as many as fit into memory."""
    products = sum(data.split(split).products_per_class)
    wanted = min(_MAX_PRODUCTS, _MAX_BYTES // (4 * data.num_classes * len(members)))
    common = runs.common_config(members)
    undecodable = UndecodableLog(data.paths(split))
    scored = split_scores.score_members(
        members,
        data,
        split,
        config=common.input,
        batch_size=common.batch_size,
        share=min(1.0, wanted / products),
        undecodable=undecodable,
    )
    parts = [
        (np.stack([one.products.probabilities for one in each]), each[0].products.label)
        for each in scored
    ]
    undecodable.report()
    if sum(len(labels) for _, labels in parts) < _HOLD_OUT_EVERY:
        raise UserError(
            f'{data.folder}: split {split!r} must have {_HOLD_OUT_EVERY} products or more to fit '
            f'and compare, got {products}'
        )
    probabilities, labels = zip(*parts, strict=True)
    return LabelledProbabilities(np.concatenate(probabilities, axis=1), np.concatenate(labels))


def _compare(
    sample: LabelledProbabilities, rules: dict[str, Combination], *, workdirs: Sequence[str]
) -> list[Candidate]:
    """Measures each member on its own, then each rule."""
    logs = [
        *zip(workdirs, clipped_log(sample.probabilities), strict=True),
        *(
            (name, combined_log_probabilities(sample.probabilities, rule).numpy())
            for name, rule in rules.items()
        ),
    ]
    rows = np.arange(len(sample.labels))
    return [
        Candidate(
            name,
            loss=float(-log[rows, sample.labels].mean()),
            accuracy=float((log.argmax(axis=1) == sample.labels).mean()),
        )
        for name, log in logs
    ]


def _write(ensemble: Ensemble, folder: Path) -> None:
    (folder / naming.ENSEMBLE).write_text(to_json(ensemble), encoding='utf-8')
    for name in (naming.DATA, categories.FILE_NAME):
        path = storage.join(ensemble.members[0].workdir, name)
        (folder / name).write_bytes(storage.read_bytes(path))


def format_comparison(ensemble: Ensemble) -> str:
    """Returns the comparison as a table, and the chosen method with its weights."""
    table = tables.format_table(
        [
            [candidate.name, f'{candidate.loss:.4f}', tables.percent(candidate.accuracy)]
            for candidate in ensemble.compared
        ],
        header=['on held-out products', 'log loss', 'accuracy'],
    )
    weights = ensemble.combination.weights.mean(axis=1)
    shown = ', '.join(f'{weight:.3f}' for weight in weights)
    return f'{table}\n\nchosen: {ensemble.way}, weights {shown}'
