"""Makes several runs one model: weights fitted on labelled products, every way compared on others.

Products are what counts: a member's probabilities are those of a product. Four fifths of the sample
are for the weights, every fifth product is for the comparison. Of a large split the sample is a
share, drawn by product, that fits into memory.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from catalog import atomic_folder, categories, storage
from catalog.errors import UserError
from trainer import naming
from trainer.data import data_set
from trainer.data.data_set import DataSet
from trainer.ensemble import fitting as combination_fitting
from trainer.inference import combination as combinations
from trainer.inference import ensemble as ensembles
from trainer.inference import runs, split_scores
from trainer.inference.combination import Combination
from trainer.inference.ensemble import Candidate, Ensemble, MemberRun
from trainer.inference.runs import Member
from trainer.metrics.calibration import MIN_PROBABILITY
from trainer.report import tables

BEST = 'best'

_PRODUCTS = 10_000
_BYTES = 1 << 30  # 1 GiB of probabilities
_COMPARED = 5  # every fifth product


@dataclass(frozen=True)
class Said:
    """What M models say of N labelled products.

    Attributes:
      probabilities: float32 [M, N, C].
      labels: int64 [N].
    """

    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def only(self, chosen: npt.NDArray[np.bool_]) -> 'Said':
        """Of some of the products."""
        return Said(self.probabilities[:, chosen], self.labels[chosen])


WAYS: dict[str, Callable[[Said], Combination]] = {
    'arithmetic': lambda said: combinations.equal_weights(
        'arithmetic', models=len(said.probabilities)
    ),
    'fitted_arithmetic': lambda said: _fit('arithmetic', said),
    'geometric': lambda said: combinations.equal_weights(
        'geometric', models=len(said.probabilities)
    ),
    'fitted_geometric': lambda said: _fit('geometric', said),
    'stacking': lambda said: _fit('stacking', said),
}


def _fit(name: combinations.Name, said: Said) -> Combination:
    return combination_fitting.fit(name, said.probabilities, said.labels)


def make(
    *, workdirs: Sequence[str], data_folder: str, split: str, way: str, output: str
) -> Ensemble:
    """Writes an ensemble into a folder.

    Args:
      workdirs: of the members, two or more.
      data_folder: a data set with the category tree that they learned.
      split: a labelled split of it, which no member learned from.
      way: one of `WAYS`, or `best` for that with the smallest log loss.
      output: a folder that does not exist.

    Raises:
      UserError: if the members do not fit each other or the data.
    """
    if len(set(workdirs)) < max(len(workdirs), 2):
        raise UserError(f'--workdirs must be two different ones or more, got {list(workdirs)}')
    data = data_set.open_data_set(data_folder)
    members = runs.open_members(workdirs)
    split_scores.check_split(data, workdir=workdirs[0], split=split)
    with atomic_folder.create(output) as partial:
        said = sample(members, data, split)
        held = np.arange(len(said.labels)) % _COMPARED == 0
        ways = {name: fit(said.only(~held)) for name, fit in WAYS.items()}
        compared = compare(said.only(held), ways, workdirs=workdirs)
        if way == BEST:
            way = min(compared[len(workdirs) :], key=lambda one: one.loss).name
        named = [
            MemberRun(at if storage.is_remote(at) else os.path.abspath(at), member.step)
            for at, member in zip(workdirs, members, strict=True)
        ]
        ensemble = Ensemble(tuple(named), way, ways[way], tuple(compared))
        _write(ensemble, partial)
    return ensemble


def sample(members: Sequence[Member], data: DataSet, split: str) -> Said:
    """What the members say of a split's products, or of as many as fit into memory."""
    products = sum(data.split(split).products_per_class)
    wanted = min(_PRODUCTS, _BYTES // (4 * data.num_classes * len(members)))
    common = runs.common_config(members)
    pieces = split_scores.score_members(
        members,
        data,
        split,
        config=common.input,
        batch_size=common.batch_size,
        share=min(1.0, wanted / products),
    )
    rows = [
        (np.stack([one.products.probabilities for one in said]), said[0].products.label)
        for said in pieces
    ]
    if sum(len(labels) for _, labels in rows) < _COMPARED:
        raise UserError(
            f'{data.folder}: split {split!r} must have {_COMPARED} products or more to fit and '
            f'compare, got {products}'
        )
    probabilities, labels = zip(*rows, strict=True)
    return Said(np.concatenate(probabilities, axis=1), np.concatenate(labels))


def compare(
    said: Said, ways: dict[str, Combination], *, workdirs: Sequence[str]
) -> list[Candidate]:
    """Each member alone, then each way to combine them."""
    alone = np.log(np.maximum(said.probabilities, MIN_PROBABILITY))
    logs = [
        *zip(workdirs, alone, strict=True),
        *(
            (name, combinations.combined_log_probabilities(said.probabilities, rule).numpy())
            for name, rule in ways.items()
        ),
    ]
    rows = np.arange(len(said.labels))
    return [
        Candidate(
            name,
            loss=float(-log[rows, said.labels].mean()),
            accuracy=float((log.argmax(axis=1) == said.labels).mean()),
        )
        for name, log in logs
    ]


def _write(ensemble: Ensemble, folder: Path) -> None:
    text = ensembles.to_json(ensemble)
    (folder / naming.ENSEMBLE).write_text(text, encoding='utf-8')
    for name in (naming.DATA, categories.FILE_NAME):
        path = storage.join(ensemble.members[0].workdir, name)
        (folder / name).write_bytes(storage.read_bytes(path))


def text(ensemble: Ensemble) -> str:
    """The comparison as a table, and the way that was taken with its weights."""
    table = tables.format_table(
        [[one.name, f'{one.loss:.4f}', tables.percent(one.accuracy)] for one in ensemble.compared],
        header=['products that nothing was fitted on', 'log loss', 'accuracy'],
    )
    weights = ensemble.combination.weights.mean(axis=1)
    shown = ', '.join(f'{weight:.3f}' for weight in weights)
    return f'{table}\n\ntaken: {ensemble.way}, weights {shown}'
